//! The fuzz targets, each for a while, from its committed seeds.

use crate::shell::{Failure, Program, files, processors, root};
use crate::side_by_side::{self, Steps};

/// When a target has run enough.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// After so many seconds.
    Seconds(u64),
    /// After so many inputs: a long run, see [`Build::Quick`].
    Runs(u64),
}

/// How the targets are built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    /// With AddressSanitizer, which takes nine tenths of the time of an input.
    Sanitized,
    /// Without, and with all optimisation; assertions and checks of overflow
    /// remain. Nor is the fuzzer told what is compared with what: that leads it
    /// in the beginning, and takes up to two thirds of the time of an input.
    /// For long runs, between two that are [`Self::Sanitized`].
    Quick,
}

/// Runs every target, or the one named, for a while each, as many at once as
/// there are processors; with a `seed`, always from the same first inputs on.
///
/// New inputs go to `fuzz/corpus/TARGET`, which is not committed; an input
/// that fails goes to `fuzz/artifacts/TARGET`, and is worth a test.
pub(crate) fn run(seconds: u64, seed: Option<u64>, wanted: Option<&str>) -> Result<(), Failure> {
    let Fuzzing { builds, passes } = Fuzzing::of(Until::Seconds(seconds), seed, wanted)?;
    builds.into_iter().try_for_each(Program::run)?;
    // Of a target that found nothing, not the words that it tried most.
    let show = |program| side_by_side::show(program, |line| line.starts_with("stat::")).map(drop);
    passes
        .into_iter()
        .try_for_each(|pass| side_by_side::run(pass, show))
}

/// What there is to be run, see [`Fuzzing::of`].
pub(crate) fn steps(until: Until, seed: u64, wanted: &str) -> Result<Steps, Failure> {
    let Fuzzing { builds, passes } = Fuzzing::of(until, Some(seed), Some(wanted))?;
    let mut steps = Steps::from(builds);
    steps.0.extend(passes);
    Ok(steps)
}

/// What builds the targets, and then runs them: those of a pass at once.
struct Fuzzing {
    builds: Vec<Program>,
    passes: Vec<Vec<Program>>,
}

/// All that is run of one build before the next.
struct Pass {
    build: Build,
    /// What libFuzzer is told by when to stop.
    stop: String,
    /// How many fuzz one target together, each from a seed of its own: they read
    /// what the others found.
    together: u64,
}

impl Pass {
    fn alone(build: Build, stop: String) -> Self {
        Self {
            build,
            stop,
            together: 1,
        }
    }
}

impl Fuzzing {
    /// All targets, or the one that is wanted.
    fn of(until: Until, seed: Option<u64>, wanted: Option<&str>) -> Result<Self, Failure> {
        if !Program::cargo("fuzz --version").succeeds() {
            return Err(Failure::missing(
                "cargo-fuzz",
                "cargo install cargo-fuzz --locked",
            ));
        }
        let mut targets = targets()?;
        if let Some(name) = wanted {
            if !targets.iter().any(|target| target == name) {
                return Err(Failure::usage(format!(
                    "there is no fuzz target {name:?}, but {}",
                    targets.join(", ")
                )));
            }
            targets.retain(|target| target == name);
        }
        let passes = passes(until);
        let mut builds = Vec::new();
        for build in [Build::Sanitized, Build::Quick] {
            if passes.iter().any(|pass| pass.build == build) {
                builds.push(cargo_fuzz("build", build).words(wanted.unwrap_or("")));
            }
        }
        let of_pass = |pass: &Pass| {
            let each = targets
                .iter()
                .flat_map(|target| (0..pass.together).map(move |number| (target, number)));
            each.map(|(target, number)| {
                let seed = seed.map(|seed| seed.wrapping_add(number));
                one(target, pass.build, &pass.stop, seed)
            })
            .collect()
        };
        let passes = passes.iter().map(of_pass).collect::<Result<_, _>>()?;
        Ok(Self { builds, passes })
    }
}

fn passes(until: Until) -> Vec<Pass> {
    match until {
        Until::Seconds(seconds) => {
            let stop = format!("-max_total_time={seconds}");
            vec![Pass::alone(Build::Sanitized, stop)]
        }
        // Before the long one a minute of what leads further; behind it those
        // of the corpus alone, so that memory is looked after wherever an input
        // came to.
        Until::Runs(runs) => {
            let together = processors() as u64;
            vec![
                Pass::alone(Build::Sanitized, "-max_total_time=60".into()),
                Pass {
                    build: Build::Quick,
                    stop: format!("-runs={}", runs.div_ceil(together)),
                    together,
                },
                Pass::alone(Build::Sanitized, "-runs=0".into()),
            ]
        }
    }
}

/// The names of the targets, one for each file of `fuzz/fuzz_targets`.
pub(crate) fn targets() -> Result<Vec<String>, Failure> {
    let names: Vec<String> = files("fuzz/fuzz_targets", ".rs")
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    if names.is_empty() {
        return Err(Failure::found("fuzz/fuzz_targets holds no target"));
    }
    Ok(names)
}

/// A target, until what libFuzzer is told by `stop`.
fn one(target: &str, build: Build, stop: &str, seed: Option<u64>) -> Result<Program, Failure> {
    let corpus = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(root().join(&corpus))
        .map_err(|error| Failure::found(format!("cannot make {corpus}: {error}")))?;
    let mut fuzzer = cargo_fuzz("run", build).arg(target).arg(&corpus);
    let own = format!("fuzz/seeds/{target}");
    let more = (target == "trace_file").then_some("tests/traces");
    for seeds in [own.as_str()].into_iter().chain(more) {
        if root().join(seeds).is_dir() {
            fuzzer = fuzzer.arg(seeds);
        }
    }
    fuzzer = fuzzer.words("--").arg(stop);
    // Only the first and the last lines matter; new coverage is not news.
    fuzzer = fuzzer.words("-print_final_stats=1 -print_funcs=0 -verbosity=0 -timeout=10");
    // What others found is read this often. To list tens of thousands of files
    // each second, as it does by itself, takes a sixth of the time.
    fuzzer = fuzzer.arg("-reload=30");
    // What waits for its last reader looks like a leak, and takes most of the
    // time to look for.
    fuzzer = fuzzer.arg("-detect_leaks=0");
    if let Some(seed) = seed {
        fuzzer = fuzzer.arg(format!("-seed={seed}"));
    }
    if let Some(bytes) = longest(target) {
        fuzzer = fuzzer.arg(format!("-max_len={bytes}"));
    }
    let dict = format!("fuzz/dict/{target}.dict");
    if root().join(&dict).is_file() {
        fuzzer = fuzzer.arg(format!("-dict={dict}"));
    }
    Ok(fuzzer)
}

/// The longest input of a target, in bytes, where that is less than the four KiB
/// that a fuzzer comes to by itself: where an input is a list, and a longer one
/// comes to nothing new and takes the time of several.
fn longest(target: &str) -> Option<u32> {
    match target {
        // Some forty steps, or ten rows.
        "decide" | "ledger" => Some(512),
        "import" => Some(1024),
        _ => None,
    }
}

/// cargo-fuzz on nightly, or on the toolchain at hand with its unstable flags
/// unlocked: the sanitizer's runtime comes with stable Rust too.
fn cargo_fuzz(command: &str, build: Build) -> Program {
    let mut program = if Program::cargo("+nightly --version").succeeds() {
        Program::cargo("+nightly fuzz").arg(command)
    } else {
        Program::cargo("fuzz")
            .arg(command)
            .env("RUSTC_BOOTSTRAP", "1")
    };
    if let Build::Quick = build {
        program = program
            .words("--sanitizer none --no-trace-compares --target-dir fuzz/target/quick")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3");
    }
    // Where a target fails, its own backtrace and not cargo-fuzz's.
    program.env("RUST_LIB_BACKTRACE", "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_shared_out_whole() {
        for runs in [1, 7, 100_000_000] {
            let passes = passes(Until::Runs(runs));
            let long = passes.iter().find(|pass| pass.build == Build::Quick);
            let Some(Pass { stop, together, .. }) = long else {
                panic!("none of them is long");
            };
            let each: u64 = stop.strip_prefix("-runs=").unwrap().parse().unwrap();
            let all = each * together;
            assert!((runs..runs + together).contains(&all), "{all} of {runs}");
        }
    }
}
