//! The project's habits, each one command: the same at a desk and in CI.
//!
//! `cargo xtask help` lists them. Every command says what it runs, so that it
//! can be run by hand with other arguments, and ends with the exit code of
//! what failed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a tool for people at a terminal")]

mod args;
mod bench;
mod browser;
mod built;
mod callgrind;
mod capi;
mod checks;
mod ci;
mod concurrency;
mod disk;
mod e2e;
mod figures;
mod fuzz;
mod header;
mod install;
mod instructions;
mod mutants;
mod nginx;
mod openapi;
mod profile;
mod proofs;
mod prove;
mod shell;
mod side_by_side;

use std::process::ExitCode;

use args::Args;
use install::Build;
use shell::Failure;

/// What `cargo xtask help` prints.
const USAGE: &str = "\
cargo xtask COMMAND

  lint                        formatting, clippy and rustdoc, with warnings as errors
  test                        every test of the workspace
  unsafe [--check]            docs/UNSAFE.md and docs/ORDERINGS.md: what is unsafe, every atomic operation,
                              and why they are right; --check only compares
  trace [FILE…]               replays traces: those given, or tests/traces and the shared vectors
  model                       the loom models of the engine: every interleaving
  shuttle                     the whole engine under shuttle: schedules drawn by chance
  miri [--seeds N] [FILTER…]  the engine's and the concurrent tests under Miri (nightly with miri)
  tsan                        the same under ThreadSanitizer (nightly with rust-src)
  asan                        the same under AddressSanitizer, with a look for leaks
  mutants [FILTER]            faults put into the decision core one by one, all or those named so: a test
                              must fail of each that docs/MUTANTS.md does not explain
  fuzz [--seconds N] [--seed N] [TARGET]
                              every fuzz target, or one, for N seconds each (60)
  prove [--minutes N | --full] [--seed N] [NAME…]
                              all of these and the long tests, for N minutes (30) or as long as
                              it takes, or those named so, and their rows of docs/PROOF.md
  bench [--quick] [FILTER]    the benchmarks, all or those named so, and benches/REPORT.md;
                              --quick only checks that they run and answer rightly
  bench --report              benches/REPORT.md again, from what was measured last
  bench e2e [--quick] [--rounds N] [--seconds N] [NAME]
                              tokenkit serve and the nginx module beside HAProxy and nginx; with a
                              NAME only those that hold it, such as nginx, and no report
  instructions [--save]       instructions per decision, against benches/instructions.toml
  profile [FILTER]            where the instructions of a decision go
  profile --before PROGRAM COMMIT
                              counts another build of benches' program `instructions`, with the
                              engine of that commit, for benches/REPORT.md to show as before
  nginx [FILTER]              the nginx module, built for this machine's nginx and tested under it
  browser [--screenshots]     the pages in Chromium: every flow, wrong input, axe; or their pictures anew,
                              docs/images
  capi                        the C interface: tests in C and C++ by gcc and clang, under sanitizers
                              and valgrind, docs/c.md, the Python example
  openapi                     docs/openapi.json, and a running server against it (schemathesis from PyPI)
  deny                        licences, bans and sources of the dependencies
  ci [--sparing]              all that continuous integration runs, in its order; --sparing removes
                              what a phase built for itself alone once it has passed
";

/// `profile --before`: its two words.
fn before(args: &mut Args) -> Result<(), Failure> {
    let words = args.next_word().zip(args.next_word());
    let (program, commit) =
        words.ok_or_else(|| Failure::usage("--before wants a program and a commit"))?;
    args.none()?;
    instructions::keep_before(&program, &commit)
}

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let command = args.next_word();
    let outcome = match command.as_deref() {
        Some("lint") => args.none().and_then(|()| checks::lint()),
        Some("test") => args.none().and_then(|()| checks::test()),
        Some("unsafe") if args.flag("--check") => args.none().and_then(|()| proofs::check()),
        Some("unsafe") => args.none().and_then(|()| proofs::write()),
        Some("trace") => checks::trace(args.rest()),
        Some("deny") => args.none().and_then(|()| checks::deny()),
        Some("model") => args.none().and_then(|()| concurrency::model()),
        Some("shuttle") => args.none().and_then(|()| concurrency::shuttle()),
        Some("miri") => args
            .number("--seeds")
            .and_then(|seeds| concurrency::miri(seeds, &args.rest())),
        Some("tsan") => args.none().and_then(|()| concurrency::tsan()),
        Some("asan") => args.none().and_then(|()| concurrency::asan()),
        Some("prove") => prove::run(args),
        Some("mutants") => {
            let filter = args.next_word();
            args.none().and_then(|()| mutants::run(filter.as_deref()))
        }
        Some("fuzz") => args.number("--seconds").and_then(|seconds| {
            let seed = args.number("--seed")?;
            let target = args.next_word();
            args.none()?;
            fuzz::run(seconds.unwrap_or(60), seed, target.as_deref())
        }),
        Some("header") => {
            let check = args.flag("--check");
            args.none().and_then(|()| header::run(check))
        }
        Some("capi") => args.none().and_then(|()| capi::run()),
        Some("install") => args.value("--prefix").and_then(|prefix| {
            let quick = args.flag("--quick");
            args.none()?;
            let prefix = prefix.ok_or_else(|| Failure::usage("install wants --prefix DIR"))?;
            install::run(
                prefix.as_ref(),
                if quick { Build::Test } else { Build::Release },
            )
        }),
        Some("bench") => bench::run(args),
        Some("instructions") => {
            let save = args.flag("--save");
            args.none().and_then(|()| instructions::run(save))
        }
        Some("profile") if args.flag("--before") => before(&mut args),
        Some("profile") => {
            let filter = args.next_word();
            args.none().and_then(|()| profile::run(filter.as_deref()))
        }
        Some("nginx") => {
            let filter = args.next_word();
            args.none().and_then(|()| nginx::run(filter.as_deref()))
        }
        Some("browser") => {
            let screenshots = args.flag("--screenshots");
            args.none().and_then(|()| match screenshots {
                true => browser::screenshots(),
                false => browser::run(),
            })
        }
        Some("openapi") => args.none().and_then(|()| openapi::run()),
        Some("ci") => {
            let sparing = args.flag("--sparing");
            args.none().and_then(|()| ci::run(sparing))
        }
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::usage(format!(
            "there is no command {other:?}\n\n{USAGE}"
        ))),
        None => Err(Failure::usage(format!("a command is wanted\n\n{USAGE}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}
