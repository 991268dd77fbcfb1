//! Workloads for measuring decisions, and what is measured: the engine, and a
//! peer put together from well-kept crates that does the same checks in the
//! same order.
//!
//! Each run checks its answers, so that a fast wrong subject fails instead of
//! winning. `cargo xtask bench` takes times, `cargo xtask instructions` counts
//! instructions.

#![deny(unsafe_code)]

pub mod abi;
pub mod contest;
pub mod field;
pub mod figures;
pub mod form;
pub mod harness;
pub mod keys;
pub mod kinds;
pub mod peer;
pub mod row;
pub mod runner;
pub mod selection;
pub mod subject;
pub mod threads;

/// All subjects run on the allocator that the program runs on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
