//! What looks for races: loom's models, shuttle's schedules, Miri and
//! ThreadSanitizer. Each has a target folder of its own, for its flags would
//! rebuild everything else.

use std::sync::{Mutex, PoisonError};

use crate::proofs;
use crate::shell::{Failure, Program};
use crate::side_by_side;

/// The target that the sanitizers know.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const INSTALL_MIRI: &str = "rustup toolchain install nightly --component miri,rust-src";
const INSTALL_SOURCES: &str = "rustup toolchain install nightly --component rust-src";

/// The engine's own tests.
const ENGINE: &str = "--package engine --lib";
/// What the C interface does with pointers and handles.
const INTERFACE: &str = "--package engine-ffi --lib --test misuse";
/// The tests across the workspace that need no system call that Miri does not
/// know.
const ACROSS: &str = "--package tokenkit-tests --test concurrency";

/// What of them Miri runs on every change, by parts of their names: what takes
/// seconds. The longest come first, for they run side by side: Miri keeps one
/// processor busy.
const QUICK_MIRI: [(&str, &str); 7] = [
    (ENGINE, "failures::"),
    (ENGINE, "ledger::"),
    (ENGINE, "sessions::gate:: sessions::limbo::"),
    (
        ENGINE,
        "keyring::block::tests::lists keyring::generation:: keyring::tests::a_key_keeps \
         keyring::tests::a_new_key keyring::tests::what_was_replaced",
    ),
    (
        INTERFACE,
        "pointers_that_are_wrong handles_that_lead_nowhere freed_while_others_decide",
    ),
    (ACROSS, "threshold_guesses"),
    (ENGINE, "hours::"),
];

/// The loom models: every test of the engine whose name holds `loom`.
pub(crate) fn models() -> Program {
    scheduled_by("loom")
}

/// Shuttle's tests: every test of the engine whose name holds `shuttle`.
pub(crate) fn schedules() -> Program {
    scheduled_by("shuttle")
}

/// The engine's tests whose names hold a scheduler's, with its words in the
/// place of atomics.
fn scheduled_by(name: &str) -> Program {
    Program::cargo("test --package engine --release --lib")
        .arg(name)
        .env("CARGO_TARGET_DIR", &format!("target/{name}"))
        // Optimised, for each test is run thousands to millions of times; but
        // LTO would cost more than it gives.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .flags("RUSTFLAGS", &format!("--cfg {name}"))
}

/// Runs the loom models.
pub(crate) fn model() -> Result<(), Failure> {
    run_some("loom")
}

/// Runs shuttle's tests.
pub(crate) fn shuttle() -> Result<(), Failure> {
    run_some("shuttle")
}

/// Runs the tests that are a scheduler's: all that the sources hold.
fn run_some(name: &str) -> Result<(), Failure> {
    scheduled_by(name).run()?;
    // A filter that matches nothing passes, and so does a file of tests that no
    // module names any more.
    let tests = scheduled_by(name).words("-- --list --format terse");
    let listed = tests.output()?;
    let listed = listed.lines().filter(|line| line.ends_with(": test"));
    all_there(name, listed.count() as u64, proofs::engine_tests(name)?)
}

/// Whether as many tests are built as the sources hold.
fn all_there(name: &str, built: u64, held: u64) -> Result<(), Failure> {
    if held > 0 && built >= held {
        return Ok(());
    }
    Err(Failure::found(format!(
        "the engine's sources hold {held} tests whose names hold `{name}`, and {built} are built: \
         a module is lost, or there is nothing to try"
    )))
}

/// Some tests under Miri with tree borrows: those whose names hold a filter, or
/// all; with `seeds`, each once for every seed of the scheduler.
fn miri_program(tests: &str, filters: &str, seeds: Option<u64>) -> Program {
    // Isolation would refuse tests the clock and the source of random bytes.
    let mut flags = String::from("-Zmiri-tree-borrows -Zmiri-disable-isolation");
    if let Some(seeds) = seeds {
        flags += &format!(" -Zmiri-many-seeds=0..{seeds}");
    }
    Program::cargo("+nightly miri test")
        .words(tests)
        .env("CARGO_TARGET_DIR", "target/miri")
        .flags("MIRIFLAGS", &flags)
        .arg("--")
        .words(filters)
}

/// All that Miri can run.
pub(crate) fn miri_programs(seeds: Option<u64>, filters: &str) -> Result<Vec<Program>, Failure> {
    has_miri()?;
    let all = [ENGINE, INTERFACE, ACROSS];
    let programs = all.map(|tests| miri_program(tests, filters, seeds));
    Ok(programs.into())
}

/// The parts of the engine that hold unsafe code or share words.
pub(crate) fn quick_miri_programs(seeds: Option<u64>) -> Result<Vec<Program>, Failure> {
    has_miri()?;
    let programs = QUICK_MIRI.map(|(tests, filters)| miri_program(tests, filters, seeds));
    Ok(programs.into())
}

/// Runs tests under Miri, see [`miri_programs`].
pub(crate) fn miri(seeds: Option<u64>, filters: &[String]) -> Result<(), Failure> {
    let programs = miri_programs(seeds, &filters.join(" "))?;
    programs.into_iter().try_for_each(Program::run)
}

/// The parts of the engine that hold unsafe code or share words, under Miri
/// within minutes.
pub(crate) fn quick_miri() -> Result<(), Failure> {
    let ran = Mutex::new(Vec::new());
    let ran = || ran.lock().unwrap_or_else(PoisonError::into_inner);
    side_by_side::run(quick_miri_programs(None)?, |program| {
        let tests = side_by_side::show(program, |line| line.starts_with("test "))?;
        ran().extend(tests);
        Ok(())
    })?;
    all_matched(&ran())
}

/// Whether each filter was part of the name of a test that ran: one that matches
/// nothing passes by itself.
fn all_matched(ran: &[String]) -> Result<(), Failure> {
    let mut filters = QUICK_MIRI
        .iter()
        .flat_map(|(_, filters)| filters.split_whitespace());
    let has_run = |filter: &str| {
        ran.iter()
            .any(|line| line.contains(filter) && !line.ends_with("ignored"))
    };
    match filters.find(|filter| !has_run(filter)) {
        Some(filter) => Err(Failure::found(format!(
            "no test that Miri ran has `{filter}` in its name"
        ))),
        None => Ok(()),
    }
}

fn has_miri() -> Result<(), Failure> {
    if has_nightly("miri --version") {
        Ok(())
    } else {
        Err(Failure::missing("Miri", INSTALL_MIRI))
    }
}

/// What a sanitizer looks for.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    /// Races, by ThreadSanitizer.
    Races,
    /// Accesses to what is not there, and leaks, by AddressSanitizer.
    Addresses,
}

/// The engine's own tests, those of the ledger's file, and the concurrent ones
/// under a sanitizer; for races, the standard library is built with it too.
pub(crate) fn sanitized(memory: Memory) -> Result<Program, Failure> {
    if !has_nightly("build -Zbuild-std --help") || !has_sources() {
        return Err(Failure::missing(
            "nightly with its sources",
            INSTALL_SOURCES,
        ));
    }
    let (cargo, folder, sanitizer) = match memory {
        Memory::Races => (
            "+nightly test -Zbuild-std --target",
            "target/tsan",
            "-Zsanitizer=thread",
        ),
        Memory::Addresses => (
            "+nightly test --target",
            "target/asan",
            "-Zsanitizer=address",
        ),
    };
    // In one build, for what they stand on is built with the sanitizer too.
    let tests = "--package engine --package tokenkit-tests --lib --test concurrency \
                 --test ledger_file --test ledger_faults";
    Ok(Program::cargo(cargo)
        .arg(TARGET)
        .words(tests)
        .env("CARGO_TARGET_DIR", folder)
        .flags("RUSTFLAGS", sanitizer))
}

/// Runs the tests under ThreadSanitizer.
pub(crate) fn tsan() -> Result<(), Failure> {
    sanitized(Memory::Races)?.run()
}

/// Runs the tests under AddressSanitizer, which looks for leaks at their end.
pub(crate) fn asan() -> Result<(), Failure> {
    sanitized(Memory::Addresses)?.run()
}

/// Whether nightly cargo runs these words.
fn has_nightly(words: &str) -> bool {
    Program::cargo("+nightly").words(words).succeeds()
}

/// Whether nightly has the sources of the standard library.
fn has_sources() -> bool {
    let sysroot = Program::new("rustc")
        .words("+nightly --print sysroot")
        .output();
    sysroot.is_ok_and(|path| {
        let library = std::path::Path::new(path.trim()).join("lib/rustlib/src/rust/library");
        library.join("std/Cargo.toml").is_file()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_module_is_noticed() {
        assert!(all_there("loom", 43, 43).is_ok());
        assert!(all_there("loom", 44, 43).is_ok());
        assert!(all_there("loom", 40, 43).is_err());
        assert!(all_there("loom", 0, 0).is_err());
    }

    #[test]
    fn a_filter_of_a_test_that_was_renamed_is_noticed() {
        let filters = QUICK_MIRI
            .iter()
            .flat_map(|(_, filters)| filters.split_whitespace());
        let mut ran: Vec<String> = filters
            .map(|filter| format!("test {filter}_so ... ok"))
            .collect();
        assert!(all_matched(&ran).is_ok());
        let last = ran.pop().unwrap();
        ran.push(last.replace("ok", "ignored"));
        let refused = all_matched(&ran).unwrap_err().to_string();
        assert!(refused.contains("hours::"), "{refused}");
    }
}
