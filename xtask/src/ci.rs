//! All that continuous integration runs, in its order, with the time of each
//! phase. The first that fails ends the run.

use std::time::Instant;

use crate::shell::{Failure, Program};
use crate::{checks, concurrency, fuzz, instructions};

/// Seconds for each fuzz target: long enough to notice a slip, short enough
/// to run on every change.
const FUZZ_SECONDS: u64 = 25;

type Phase = (&'static str, fn() -> Result<(), Failure>);

/// The tests first, and by the command that the README names.
const PHASES: [Phase; 9] = [
    ("test", checks::test),
    ("lint", checks::lint),
    ("examples", examples),
    ("trace", || checks::trace(Vec::new())),
    ("model", concurrency::model),
    ("fuzz", || fuzz::run(FUZZ_SECONDS, None)),
    ("deny", checks::deny),
    ("benches", benches),
    ("instructions", || instructions::run(false)),
];

/// Runs every phase, each closed by a line with its name and time.
pub(crate) fn run() -> Result<(), Failure> {
    let start = Instant::now();
    for (name, phase) in PHASES {
        let phase_start = Instant::now();
        let outcome = phase();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("== {name}: {word} in {} s", phase_start.elapsed().as_secs());
        outcome?;
    }
    println!(
        "== all {} phases: ok in {} s",
        PHASES.len(),
        start.elapsed().as_secs()
    );
    Ok(())
}

/// The examples build; with the tests' profile, whose dependencies are there.
fn examples() -> Result<(), Failure> {
    Program::cargo("build --workspace --examples --profile test").run()
}

/// The benchmarks build; times are taken at a desk, not on a shared machine.
fn benches() -> Result<(), Failure> {
    Program::cargo("bench --package tokenkit-benches --no-run").run()
}
