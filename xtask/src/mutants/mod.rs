//! Mutation tests of the decision core: small faults are put into its code, one
//! at a time, and some test must fail of each.
//!
//! `.cargo/mutants.toml` says which files; cargo-mutants makes the faults. There
//! are three rounds, for most mutants die of the engine's own tests, which build
//! and run in seconds: only what survives these meets those from outside, and
//! only what survives these too the traces and the tests across the workspace,
//! which take a minute to build. What survives all must stand in
//! `docs/MUTANTS.md` with the reason why it is no fault.
//!
//! No test here depends on a draw that another run would not make: oracle and
//! stress tests kill many mutants too, but which of them is chance.

mod names;
mod page;

use std::path::Path;

use crate::disk;
use crate::shell::{Failure, Program, processors, root};
use names::Names;
use page::Reasons;

const INSTALL: &str = "cargo install cargo-mutants --locked";

/// Of the mutants that compile, the least share that tests kill.
const LEAST_KILLED_PERCENT: usize = 95;
/// Of all, the most that may not compile: types refuse a part of them, a
/// workspace that does not build refuses all.
const MOST_UNVIABLE_PERCENT: usize = 25;

/// Where cargo-mutants leaves what it did, a folder for each round.
const FOLDER: &str = "target/mutants-out";

/// Tests that no mutant of these files could make fail: half the time of a
/// round, were they run.
const SKIPPED: &str =
    "--skip sessions:: --skip key:: --skip keyring:: --skip ledger::own_slots --skip behind_http";

/// The tests of a round.
struct Round {
    folder: &'static str,
    /// The seconds after which a mutant loops for ever: many times what the
    /// tests take.
    timeout_s: u32,
    package: &'static str,
    /// Which of its tests, as cargo's arguments.
    targets: &'static [&'static str],
}

const ROUNDS: [Round; 3] = [
    Round {
        folder: "first",
        timeout_s: 30,
        package: "engine",
        targets: &["--lib"],
    },
    Round {
        folder: "second",
        timeout_s: 120,
        package: "engine",
        targets: &[
            "--test=batch",
            "--test=bearer",
            "--test=blocks",
            "--test=clock",
            "--test=far_future",
            "--test=key_changes",
            "--test=known",
            "--test=origins",
            "--test=shadow",
            "--test=usage",
        ],
    },
    Round {
        folder: "third",
        timeout_s: 300,
        package: "tokenkit-tests",
        targets: &["--test=clock_faults", "--test=shown", "--test=traces"],
    },
];

/// What became of mutants, by the names that cargo-mutants gives them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    caught: Vec<String>,
    /// They looped for ever, which a test shows as well as an answer.
    timed_out: Vec<String>,
    /// They do not compile.
    unviable: Vec<String>,
    missed: Vec<String>,
}

impl Outcomes {
    /// Reads what a round left.
    fn read(folder: &Path) -> Result<Self, Failure> {
        let lines = |file: &str| {
            let text = disk::read(&folder.join("mutants.out").join(file))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        Ok(Self {
            caught: lines("caught.txt")?,
            timed_out: lines("timeout.txt")?,
            unviable: lines("unviable.txt")?,
            missed: lines("missed.txt")?,
        })
    }

    /// Some that were caught, and some that were missed.
    #[cfg(test)]
    fn of(caught: &[&str], missed: &[&str]) -> Self {
        let names = |given: &[&str]| given.iter().map(ToString::to_string).collect();
        Self {
            caught: names(caught),
            missed: names(missed),
            ..Self::default()
        }
    }

    /// What need not run again.
    fn settled(&self) -> impl Iterator<Item = &String> {
        let lists = [&self.caught, &self.timed_out, &self.unviable];
        lists.into_iter().flatten()
    }

    /// Takes over what the next round made of those that were missed.
    fn followed_by(&mut self, next: Self) {
        self.caught.extend(next.caught);
        self.timed_out.extend(next.timed_out);
        self.unviable.extend(next.unviable);
        self.missed = next.missed;
    }

    fn killed(&self) -> usize {
        self.caught.len() + self.timed_out.len()
    }

    fn compiled(&self) -> usize {
        self.killed() + self.missed.len()
    }

    fn all(&self) -> usize {
        self.compiled() + self.unviable.len()
    }

    /// In words; the share is of those that compile.
    fn figures(&self) -> String {
        let (killed, missed) = (self.killed(), self.missed.len());
        let share = 100.0 * killed as f64 / self.compiled().max(1) as f64;
        format!(
            "{} mutants, {killed} killed ({} of them looped for ever), {} do not compile, \
             {missed} survived: {share:.1} % killed of those that compile",
            self.all(),
            self.timed_out.len(),
            self.unviable.len(),
        )
    }

    /// Whether they say anything of the tests. A reason beside each survivor
    /// does not make up for many, and what does not compile tried no test.
    fn suffice(&self) -> Result<(), Failure> {
        let too_few = self.killed() * 100 < self.compiled() * LEAST_KILLED_PERCENT;
        let too_many = self.unviable.len() * 100 > self.all() * MOST_UNVIABLE_PERCENT;
        if too_few || too_many || self.compiled() == 0 {
            return Err(Failure::found(format!(
                "{}: at least {LEAST_KILLED_PERCENT} % have to be killed of those that compile, and \
                 at most {MOST_UNVIABLE_PERCENT} % may not compile",
                self.figures()
            )));
        }
        Ok(())
    }
}

/// `mutants [FILTER]`: all, or those whose names match a regular expression.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Failure> {
    if !Program::cargo("mutants --version").succeeds() {
        return Err(Failure::missing("cargo-mutants", INSTALL));
    }
    let listed = Program::cargo("mutants --package engine --list --colors never").output()?;
    let names = Names::of(listed.lines());
    let reasons = Reasons::read()?;
    reasons.all_exist(&names)?;
    let mut outcomes = Outcomes::default();
    for round in &ROUNDS {
        let folder = root().join(FOLDER).join(round.folder);
        prepare(&folder, &outcomes)?;
        unchanged(round).run()?;
        ended_well(mutated(round, filter).run())?;
        outcomes.followed_by(Outcomes::read(&folder)?);
        if outcomes.missed.is_empty() {
            break;
        }
    }
    println!("proved: {}", outcomes.figures());
    if filter.is_none() {
        page::write_last_run(&outcomes.figures())?;
    } else if outcomes.all() == 0 {
        return Err(Failure::found("no mutant is called so"));
    }
    reasons.judge(&names, &outcomes)?;
    // Of a few the share says nothing.
    filter.map_or_else(|| outcomes.suffice(), |_| Ok(()))
}

/// The tests of a round without a mutant: they must pass, or all would be
/// killed. cargo-mutants would run those of the engine's package alone.
fn unchanged(round: &Round) -> Program {
    let test = Program::cargo("test --profile mutants --package").arg(round.package);
    let targets = round.targets.iter();
    targets.fold(test, Program::arg).arg("--").words(SKIPPED)
}

/// What runs a round. A mutant is one crate to build and a few tests, which
/// keeps one processor busy: so there are as many at once as processors.
fn mutated(round: &Round, filter: Option<&str>) -> Program {
    let mutants = Program::cargo("mutants --package engine --iterate --colors never")
        .words("--baseline skip --output")
        .arg(format!("{FOLDER}/{}", round.folder))
        .arg(format!("--timeout={}", round.timeout_s))
        .arg(format!("--jobs={}", processors()))
        .arg(format!("--test-package={}", round.package));
    let mutants = match filter {
        Some(filter) => mutants.arg("--re").arg(filter),
        None => mutants,
    };
    // Not behind the `--`: that is where the tests run, and all would be built.
    let targets = round.targets.iter();
    targets
        .map(|target| format!("--cargo-arg={target}"))
        .fold(mutants, Program::arg)
        // What was compiled before is most of each build.
        .env("CARGO_INCREMENTAL", "1")
        // What fails has failed: the smallest case does not matter.
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .words("-- --")
        .words(SKIPPED)
}

/// Empties a round's folder, and writes there what earlier rounds have settled:
/// `--iterate` leaves that out.
fn prepare(folder: &Path, before: &Outcomes) -> Result<(), Failure> {
    let out = folder.join("mutants.out");
    disk::renewed(folder)?;
    disk::renewed(&out)?;
    let settled: String = before.settled().map(|name| format!("{name}\n")).collect();
    disk::write(&out.join("caught.txt"), &settled)
}

/// Survivors (2) and loops (3) are what is asked for; all else is a failure.
fn ended_well(ended: Result<(), Failure>) -> Result<(), Failure> {
    match ended {
        Err(Failure::Program {
            code: Some(2 | 3), ..
        }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_round_settles_what_the_first_missed() {
        let mut all = Outcomes::of(&["a", "b"], &["c", "d"]);
        all.unviable.push("e".into());
        all.followed_by(Outcomes::of(&["c"], &["d"]));
        assert_eq!(all.caught, ["a", "b", "c"]);
        assert_eq!(all.missed, ["d"]);
        assert_eq!(
            all.figures(),
            "5 mutants, 3 killed (0 of them looped for ever), 1 do not compile, \
             1 survived: 75.0 % killed of those that compile"
        );
        assert_eq!(all.settled().collect::<Vec<_>>(), ["a", "b", "c", "e"]);
    }

    #[test]
    fn few_that_are_killed_and_many_that_do_not_compile_are_a_failure() {
        let outcomes = |killed, missed, unviable| {
            let names = |count| vec![String::new(); count];
            Outcomes {
                caught: names(killed),
                missed: names(missed),
                unviable: names(unviable),
                ..Outcomes::default()
            }
        };
        assert!(outcomes(95, 5, 0).suffice().is_ok());
        assert!(outcomes(75, 0, 25).suffice().is_ok());
        assert!(outcomes(94, 5, 0).suffice().is_err());
        assert!(outcomes(74, 0, 26).suffice().is_err());
        assert!(outcomes(0, 0, 0).suffice().is_err());
    }

    #[test]
    fn tests_that_fail_without_any_mutant_are_a_failure() {
        let ended = |code| {
            ended_well(Err(Failure::Program {
                line: String::new(),
                code: Some(code),
            }))
        };
        assert!(ended(2).is_ok() && ended(3).is_ok());
        assert!(ended(1).is_err() && ended(4).is_err());
    }

    #[test]
    fn a_round_is_told_what_is_settled() {
        let folder = std::env::temp_dir().join(format!("mutants-{}", std::process::id()));
        prepare(&folder, &Outcomes::of(&["a", "b"], &["c"])).unwrap();
        let file = folder.join("mutants.out/caught.txt");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "a\nb\n");
        assert!(Outcomes::read(&folder).is_err(), "no round has run");
        prepare(&folder, &Outcomes::default()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
