//! Workloads for measuring decisions, and the two subjects that are measured:
//! the engine, and a peer put together from well-known parts (DashMap, BLAKE3
//! and governor) that does the same checks in the same order.
//!
//! Each run checks its answers, so that a fast wrong subject fails instead of
//! winning. `cargo xtask bench` takes times, `cargo xtask instructions` counts
//! instructions.

#![forbid(unsafe_code)]

pub mod form;
pub mod keys;
pub mod peer;
pub mod runner;
pub mod subject;

/// Both subjects run on the allocator that the program runs on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
