//! `tokenkit`: the server and the commands around it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Allocation is a good part of serving a request outside the engine.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tokenkit::main()
}
