//! The project's habits, each one command: the same at a desk and in CI.
//!
//! `cargo xtask help` lists them. Every command says what it runs, so that it
//! can be run by hand with other arguments, and ends with the exit code of
//! what failed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a tool for people at a terminal")]

mod args;
mod bench;
mod callgrind;
mod checks;
mod ci;
mod concurrency;
mod e2e;
#[allow(dead_code, reason = "parts write figures, the report reads them")]
mod figures;
mod fuzz;
mod instructions;
mod profile;
mod shell;

use std::process::ExitCode;

use args::Args;
use shell::Failure;

/// What `cargo xtask help` prints.
const USAGE: &str = "\
cargo xtask COMMAND

  lint                        formatting, clippy and rustdoc, with warnings as errors
  test                        every test of the workspace
  trace [FILE…]               replays traces: those given, or tests/traces and the shared vectors
  model                       the loom models of the engine: every interleaving
  miri [--seeds N] [FILTER…]  the engine's and the concurrent tests under Miri (nightly with miri)
  tsan                        the same under ThreadSanitizer (nightly with rust-src)
  fuzz [--seconds N] [--seed N] [TARGET]
                              every fuzz target, or one, for N seconds each (60)
  bench [FILTER]              the benchmarks, then a table of ratios to the peer
  bench e2e [--quick] [--rounds N] [--seconds N]
                              tokenkit serve beside HAProxy and nginx
  instructions [--save]       instructions per decision, against benches/instructions.toml
  profile [FILTER]            where the instructions of a decision go
  deny                        licences, bans and sources of the dependencies
  ci                          all that continuous integration runs, in its order
";

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let command = args.next_word();
    let outcome = match command.as_deref() {
        Some("lint") => args.none().and_then(|()| checks::lint()),
        Some("test") => args.none().and_then(|()| checks::test()),
        Some("trace") => checks::trace(args.rest()),
        Some("deny") => args.none().and_then(|()| checks::deny()),
        Some("model") => args.none().and_then(|()| concurrency::model()),
        Some("miri") => args
            .number("--seeds")
            .and_then(|seeds| concurrency::miri(seeds, &args.rest())),
        Some("tsan") => args.none().and_then(|()| concurrency::tsan()),
        Some("fuzz") => args.number("--seconds").and_then(|seconds| {
            let seed = args.number("--seed")?;
            let target = args.next_word();
            args.none()?;
            fuzz::run(seconds.unwrap_or(60), seed, target.as_deref())
        }),
        Some("bench") => match args.flag("e2e") {
            true => e2e::run(args),
            false => bench::run(args.rest()),
        },
        Some("instructions") => {
            let save = args.flag("--save");
            args.none().and_then(|()| instructions::run(save))
        }
        Some("profile") => {
            let filter = args.next_word();
            args.none().and_then(|()| profile::run(filter.as_deref()))
        }
        Some("ci") => args.none().and_then(|()| ci::run()),
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
