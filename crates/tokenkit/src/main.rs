//! `tokenkit`: the server and the commands around it.

#![forbid(unsafe_code)]

mod error;
mod replay;
mod serve;
mod settings;

/// Allocation is a good part of serving a request outside the engine.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
