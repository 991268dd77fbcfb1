//! The benchmarks, and the report on what they measured.

mod charts;
mod goals;
pub(crate) mod origin;
mod plot;
mod progress;
mod report;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use crate::args::Args;
use crate::e2e;
use crate::figures::Figures;
use crate::instructions;
use crate::shell::{Failure, Program, target};
use progress::Progress;

/// What is measured, each part by a run of its own: its figures are kept in a
/// file of its name.
const PARTS: [&str; 4] = ["decide", "threads", "latency", "scale"];
/// Figures of `cargo xtask instructions` and `profile`.
const INSTRUCTIONS: &str = "instructions";
/// Figures of `cargo xtask bench e2e`.
const END_TO_END: &str = "e2e";

/// Measures, and writes the report; as the arguments say only a part of it,
/// or only briefly, or nothing but the report.
pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    if args.flag("e2e") {
        return e2e::run(args);
    }
    let quick = args.flag("--quick");
    let only_report = args.flag("--report");
    let filter = args.next_word();
    args.none()?;
    if only_report {
        return report::write();
    }
    measure(quick, filter.as_deref())?;
    if quick {
        println!("a quick run says nothing of times: benches/REPORT.md stays as it was");
        return Ok(());
    }
    report::write()
}

/// A short run of all that measures, as CI does: whether every decision was
/// the expected one.
pub(crate) fn quick() -> Result<(), Failure> {
    measure(true, None)
}

fn measure(quick: bool, filter: Option<&str>) -> Result<(), Failure> {
    let start = Instant::now();
    build()?;
    let fresh = folder(if quick { "quick" } else { "fresh" });
    // What an earlier run left must not pass for this one's.
    let _ = std::fs::remove_dir_all(&fresh);
    let count = PARTS.iter().map(|part| listed(part, quick, filter));
    let count = count.sum::<Result<usize, Failure>>()?;
    let progress = Progress::new(count);
    for part in PARTS {
        let bench = prepared(part, quick, filter).env("BENCH_FIGURES", &fresh.to_string_lossy());
        bench.each_line(&mut |line| progress.told(line))?;
    }
    progress.done();
    if quick {
        println!("measured in {} s", start.elapsed().as_secs());
        return Ok(());
    }
    for part in PARTS {
        let of_part = Figures::read_file(&fresh.join(format!("{part}.json")))?;
        keep(part, of_part, filter.is_none())?;
    }
    let wanted = |part: &str| filter.is_none_or(|filter| part.contains(filter));
    if wanted(INSTRUCTIONS) {
        instructions::measure()?.write(INSTRUCTIONS)?;
    }
    if wanted(END_TO_END) {
        match e2e::run(Args::default()) {
            Err(missing @ Failure::Missing(_)) => eprintln!("left out: {missing}"),
            done => done?,
        }
    }
    origin::told(filter)?.write(origin::PART)?;
    println!("measured in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Builds all benches before the first is timed.
fn build() -> Result<(), Failure> {
    Program::cargo("bench --package tokenkit-benches --no-run").run()
}

/// Takes in what a part measured: all of it, or some in place of what it
/// measured before.
fn keep(part: &str, fresh: Figures, all: bool) -> Result<(), Failure> {
    if fresh.figures.is_empty() && !all {
        return Ok(());
    }
    let mut kept = match all {
        true => Figures::default(),
        false => Figures::read(part)?,
    };
    kept.merge(fresh);
    kept.write(part)
}

fn folder(name: &str) -> PathBuf {
    target().join("bench").join(name)
}

/// The benchmarks of a part, with their settings.
fn prepared(part: &str, quick: bool, filter: Option<&str>) -> Program {
    let bench = Program::cargo("bench --quiet --package tokenkit-benches --");
    let bench = filter.into_iter().fold(bench, Program::arg);
    let bench = bench.env("BENCH_PART", part);
    let bench = match part {
        // What memory a key takes is measured as programs are run.
        "scale" => bench,
        // Tables of all subjects on huge pages, where the system gives them.
        _ => bench.env("MIMALLOC_ALLOW_LARGE_OS_PAGES", "1"),
    };
    if quick {
        bench.env("BENCH_QUICK", "1")
    } else {
        bench
    }
}

/// How many benchmarks a part will run.
fn listed(part: &str, quick: bool, filter: Option<&str>) -> Result<usize, Failure> {
    let text = prepared(part, quick, filter).arg("--list").output()?;
    let is_one = |line: &&str| line.ends_with(": benchmark");
    Ok(text.lines().filter(is_one).count())
}
