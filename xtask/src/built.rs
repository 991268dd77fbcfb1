//! What the tests of Rust have built already, for the tests of other languages:
//! the program, the libraries, the examples.

use std::path::PathBuf;

use crate::shell::{Failure, Program, target};

/// Builds what is missing of it, with the tests' profile: the folder that holds
/// it, and the examples in `examples`.
///
/// For the whole workspace, as `cargo test --workspace` does: for some packages
/// alone cargo chooses fewer features of what they stand on, and builds all of
/// that once more.
pub(crate) fn by_tests() -> Result<PathBuf, Failure> {
    Program::cargo("build --workspace --lib --bin tokenkit --examples --profile test").run()?;
    Ok(target().join("debug"))
}

/// The program `tokenkit` as [`by_tests`] builds it.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    Ok(by_tests()?.join("tokenkit"))
}
