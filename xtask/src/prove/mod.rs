//! The long versions of what every change is tested by, with progress, and
//! `docs/PROOF.md`: what ran, how long, how often, with which seed, and what it
//! found, of each check the last time.

mod plan;
mod report;
mod tally;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::shell::{Failure, Program};
use crate::side_by_side;
pub(crate) use plan::Size;
use plan::{CHECKS, Check};
pub(crate) use report::PROOF;
use report::{Entry, Outcome, Run};
use tally::Tally;

/// Minutes of a run for which nothing is said.
const USUAL_MINUTES: u64 = 30;

/// `prove [--minutes N | --full] [--seed N] [NAME…]`.
pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let minutes = args.number("--minutes")?;
    let size = match (args.flag("--full"), minutes) {
        (true, Some(_)) => return Err(Failure::usage("either --minutes or --full")),
        (true, None) => Size::Full,
        (false, minutes) => Size::Minutes(minutes.unwrap_or(USUAL_MINUTES)),
    };
    let seed = args
        .number("--seed")?
        .unwrap_or_else(|| fastrand::u64(1..1 << 32));
    let names = args.rest();
    let checks = chosen(&names)?;
    let run = Run::begin(how(size, seed))?;
    let mut first_found = None;
    for (number, check) in checks.iter().enumerate() {
        eprintln!("== {} of {}: {}", number + 1, checks.len(), check.name);
        let entry = prove(check, size, seed);
        eprintln!(
            "== {}: {} in {} s",
            check.name,
            entry.outcome.word(),
            entry.took.as_secs()
        );
        run.take(&entry)?;
        if let Outcome::Found(text) = &entry.outcome {
            first_found.get_or_insert_with(|| format!("{}: {text}", check.name));
        }
    }
    first_found.map_or(Ok(()), |found| Err(Failure::found(found)))
}

/// The checks whose names hold one of some texts, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static Check>, Failure> {
    let known = || CHECKS.iter().map(|check| check.name).collect::<Vec<_>>();
    for name in names {
        if !known().iter().any(|known| known.contains(name.as_str())) {
            return Err(Failure::usage(format!(
                "nothing that is proved is called {name:?}, but {}",
                known().join(", ")
            )));
        }
    }
    let wanted = |check: &&Check| {
        names.is_empty() || names.iter().any(|name| check.name.contains(name.as_str()))
    };
    Ok(CHECKS.iter().filter(wanted).collect())
}

/// Size and seed, as arguments.
fn how(size: Size, seed: u64) -> String {
    match size {
        Size::Minutes(minutes) => format!("--minutes {minutes} --seed {seed}"),
        Size::Full => format!("--full --seed {seed}"),
    }
}

/// Runs a check to its end, or to the first of its programs that fails, and shows
/// what they say of themselves.
fn prove(check: &'static Check, size: Size, seed: u64) -> Entry {
    let began = Instant::now();
    let tally = Mutex::new(Tally::default());
    let tally = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |line: &str| {
        if tally().told(line) {
            eprintln!("   {line}");
        }
    };
    let until = check.again_percent.map(|percent| match size {
        Size::Minutes(minutes) => Duration::from_secs(minutes * 60 * percent / 100),
        Size::Full => Duration::from_secs(3600),
    });
    let outcome = loop {
        let steps = match (check.steps)(size, seed) {
            Ok(steps) => steps,
            Err(missing @ Failure::Missing(_)) => break Outcome::Missing(missing.to_string()),
            Err(failure) => break Outcome::Found(failure.to_string()),
        };
        let each = |program: Program| some_test(program, &told);
        let mut steps = steps.0.into_iter();
        let ran = steps.try_for_each(|step| side_by_side::run(step, each));
        if let Err(failure) = ran.and_then(|()| tally().end_round(check.least)) {
            break Outcome::Found(failure.to_string());
        }
        if until.is_none_or(|until| began.elapsed() >= until) {
            break Outcome::Nothing;
        }
    };
    Entry {
        check,
        took: began.elapsed(),
        figures: tally().figures(),
        outcome,
    }
}

/// Runs a program, and hands over its lines. One that tests, and in which no test
/// ran, is a failure: a filter that matches nothing passes by itself.
fn some_test(program: Program, told: &dyn Fn(&str)) -> Result<(), Failure> {
    let line = program.line().to_owned();
    let mut passed = None;
    program.each_line(&mut |line| {
        if let Some(more) = tally::passed(line) {
            passed = Some(passed.unwrap_or(0) + more);
        }
        told(line);
    })?;
    match passed {
        Some(0) => Err(Failure::found(format!("no test ran: {line}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_chosen_by_a_part_of_their_names() {
        let names = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(ToString::to_string).collect();
            let chosen = chosen(&given)?;
            Ok::<_, Failure>(chosen.iter().map(|check| check.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), CHECKS.len());
        assert_eq!(names(&["oracle"]).unwrap(), ["oracle"]);
        assert_eq!(names(&["history"]).unwrap().len(), 2);
        let refused = names(&["nothing"]).unwrap_err().to_string();
        assert!(refused.contains("oracle"), "{refused}");
    }

    #[test]
    fn a_filter_that_matches_nothing_is_a_failure() {
        let ran = |passed: &[u64]| {
            let lines = passed
                .iter()
                .map(|passed| format!("echo 'test result: ok. {passed} passed; 0 failed';"));
            let shell = Program::new("sh").arg("-c");
            some_test(shell.arg(lines.collect::<String>() + "true"), &|_| {})
        };
        assert!(ran(&[0, 1]).is_ok());
        assert!(ran(&[]).is_ok(), "what fuzzes says nothing of tests");
        let refused = ran(&[0, 0]).unwrap_err().to_string();
        assert!(refused.starts_with("no test ran: sh -c"), "{refused}");
    }

    #[test]
    fn every_check_names_invariants_of_the_architecture() {
        let path = crate::shell::root().join("ARCHITECTURE.md");
        let text = std::fs::read_to_string(path).unwrap();
        for check in &CHECKS {
            for number in check.invariants.split(", ") {
                let line = format!("\n{number}. ");
                assert!(text.contains(&line), "{}: {number}", check.name);
            }
        }
    }
}
