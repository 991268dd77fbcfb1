//! All that continuous integration runs, in its order, with the time of each
//! phase. The first that fails ends the run.

use std::fs;
use std::io;
use std::time::Instant;

use crate::shell::{Failure, root};
use crate::{bench, browser, built, capi, checks, concurrency, fuzz, instructions, nginx, openapi};

/// Seconds for each fuzz target: long enough to notice a slip, short enough
/// to run on every change.
const FUZZ_SECONDS: u64 = 60;

/// Where each fuzz target begins, so that a change is not failed by what a
/// draw of another day would have found.
const FUZZ_SEED: u64 = 1;

/// One of the things that are checked.
struct Phase {
    name: &'static str,
    run: fn() -> Result<(), Failure>,
    /// Whether a machine without what it runs on may do without it.
    may_miss: bool,
    /// What it built for itself alone, for which a small disk has no room
    /// beside what the later phases build.
    own_folder: Option<&'static str>,
}

const fn phase(name: &'static str, run: fn() -> Result<(), Failure>) -> Phase {
    Phase {
        name,
        run,
        may_miss: false,
        own_folder: None,
    }
}

impl Phase {
    const fn builds_in(self, folder: &'static str) -> Self {
        Self {
            own_folder: Some(folder),
            ..self
        }
    }

    /// Removes what nothing later needs.
    fn clear(&self) -> Result<(), Failure> {
        let Some(folder) = self.own_folder else {
            return Ok(());
        };
        match fs::remove_dir_all(root().join(folder)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Failure::found(format!("{folder} stays: {cause}")))
            }
            _ => Ok(()),
        }
    }
}

/// A phase on parts of nightly that not every machine can install.
const fn nightly_phase(name: &'static str, run: fn() -> Result<(), Failure>) -> Phase {
    Phase {
        may_miss: true,
        ..phase(name, run)
    }
}

/// The tests first, and by the command that the README names.
const PHASES: [Phase; 16] = [
    phase("test", checks::test),
    phase("lint", checks::lint),
    phase("examples", || built::by_tests().map(drop)),
    phase("capi", capi::run),
    phase("trace", || checks::trace(Vec::new())),
    phase("nginx", || nginx::run(None)),
    phase("browser", browser::run),
    Phase {
        may_miss: true,
        ..phase("openapi", openapi::run)
    },
    phase("deny", checks::deny),
    phase("model", concurrency::model).builds_in("target/loom"),
    phase("shuttle", concurrency::shuttle).builds_in("target/shuttle"),
    phase("fuzz", || fuzz::run(FUZZ_SECONDS, Some(FUZZ_SEED), None)).builds_in("fuzz/target"),
    phase("benches", bench::quick),
    phase("instructions", || instructions::run(false)),
    nightly_phase("miri", concurrency::quick_miri).builds_in("target/miri"),
    nightly_phase("tsan", concurrency::tsan).builds_in("target/tsan"),
];

/// Runs every phase, each closed by a line with its name and time; the last
/// line counts the phases. With `sparing`, what a phase built for itself alone
/// is removed after it.
pub(crate) fn run(sparing: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let (mut passed, mut skipped) = (0, 0);
    for phase in &PHASES {
        let phase_start = Instant::now();
        let outcome = (phase.run)();
        let word = match &outcome {
            Ok(()) => "ok",
            Err(Failure::Missing(_)) if phase.may_miss => "skipped",
            Err(_) => "FAILED",
        };
        let seconds = phase_start.elapsed().as_secs();
        println!("== {}: {word} in {seconds} s", phase.name);
        match outcome {
            Ok(()) => passed += 1,
            Err(missing @ Failure::Missing(_)) if phase.may_miss => {
                println!("== {missing}");
                skipped += 1;
            }
            failed => return failed,
        }
        if sparing {
            phase.clear()?;
        }
    }
    println!("== all phases in {} s", start.elapsed().as_secs());
    println!("phases: {passed} passed, 0 failed, {skipped} skipped");
    Ok(())
}
