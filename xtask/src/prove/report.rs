//! `docs/PROOF.md`: of each check its latest run.
//!
//! A whole run takes a day, so checks are run in parts, at different times or
//! beside one another. The page is its own memory: the rows of checks that are
//! not run now stay.

use std::fmt::Write as _;
use std::time::Duration;

use super::plan::{CHECKS, Check};
use crate::bench::origin;
use crate::disk;
use crate::shell::{Failure, root};

/// Where it is written.
pub(crate) const PROOF: &str = "docs/PROOF.md";
/// What earlier runs found and what became of it: written by hand, and put at
/// the end as it is.
const FOUND: &str = "tests/found.md";

/// How a check ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It found nothing.
    Nothing,
    /// It failed.
    Found(String),
    /// What it runs on is not on this machine.
    Missing(String),
}

impl Outcome {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing found",
            Self::Found(_) => "FOUND SOMETHING",
            Self::Missing(_) => "not run",
        }
    }
}

/// One check of a run.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) check: &'static Check,
    pub(crate) took: Duration,
    pub(crate) figures: String,
    pub(crate) outcome: Outcome,
}

/// What is the same for all checks of a run.
pub(crate) struct Run {
    /// Day and commit, as they were at its start.
    when: String,
    /// Its size and seed, as arguments.
    how: String,
}

impl Run {
    /// One that begins now.
    pub(crate) fn begin(how: String) -> Result<Self, Failure> {
        Ok(Self {
            when: format!("{}, {}", origin::day()?, origin::commit()),
            how,
        })
    }

    /// Puts what a check did in place of what it did before, and writes the page:
    /// after each, so that a run that is ended leaves what it did, and from what
    /// is there by now, which may be another run's.
    pub(crate) fn take(&self, entry: &Entry) -> Result<(), Failure> {
        let read = |page| std::fs::read_to_string(root().join(page)).unwrap_or_default();
        let row = row(entry, &self.when, &self.how);
        let rows = Rows::of(&read(PROOF)).with(entry.check, row);
        disk::write(
            &root().join(PROOF),
            &rows.page(&origin::machine(), &read(FOUND)),
        )
    }
}

/// Of each check with a latest run the row, in the order of the checks.
#[derive(Debug, PartialEq, Eq)]
struct Rows(Vec<Option<String>>);

impl Rows {
    /// Those of a page.
    fn of(page: &str) -> Self {
        let of = |check: &Check| {
            let begin = format!("| {} | ", check.name);
            let mut lines = page.lines();
            let line = lines.find(|line| line.starts_with(&begin))?;
            (!line.contains("| not run yet |")).then(|| line.to_owned())
        };
        Self(CHECKS.iter().map(of).collect())
    }

    /// With another row of a check.
    fn with(mut self, check: &Check, row: String) -> Self {
        let known = CHECKS.iter().position(|known| known.name == check.name);
        if let Some(place) = known.and_then(|known| self.0.get_mut(known)) {
            *place = Some(row);
        }
        self
    }

    /// The page.
    fn page(&self, machine: &str, found: &str) -> String {
        let mut page = format!(
            "# Proof\n\n\
             What was shown by something that could fail: of each check the latest run, as `cargo xtask prove`\n\
             wrote it down. The numbers of the invariants are those of [ARCHITECTURE.md](../ARCHITECTURE.md). What\n\
             a run did is what its time allowed; `cargo xtask prove --full` does a billion operations, decisions\n\
             of threads and decisions of processes, a hundred million addresses, and a hundred million executions\n\
             of each fuzz target, of which it tries what it kept once more with AddressSanitizer.\n\
             `cargo xtask prove NAME` with what the last column says does a row again. A check has failed too where\n\
             fewer tests ran than are known of it, or nothing said how much was done.\n\n\
             Machine of the latest: {machine}.\n\n\
             | check | invariants | how often | time | found | day, commit | by |\n\
             |---|---|---|---:|---|---|---|\n"
        );
        for (check, row) in CHECKS.iter().zip(&self.0) {
            let Check {
                name, invariants, ..
            } = check;
            let _ = match row {
                Some(row) => writeln!(page, "{row}"),
                None => writeln!(
                    page,
                    "| {name} | {invariants} | not run yet | - | - | - | - |"
                ),
            };
        }
        page += "\n## What each check does\n";
        for check in &CHECKS {
            let _ = write!(page, "\n**{}.** {}\n", check.name, check.what);
        }
        if !found.is_empty() {
            page += "\n";
            page += found;
        }
        page
    }
}

fn row(entry: &Entry, when: &str, how: &str) -> String {
    let figures = match (&entry.outcome, entry.figures.as_str()) {
        (Outcome::Missing(_), _) | (_, "") => "-",
        (_, figures) => figures,
    };
    let outcome = match &entry.outcome {
        Outcome::Nothing => "nothing".to_owned(),
        Outcome::Missing(text) => format!("not run: {text}"),
        Outcome::Found(text) => format!("**{text}**"),
    };
    // A row is a line, and its cells hold no bar.
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    format!(
        "| {} | {} | {} | {} | {} | {when} | `{how}` |",
        entry.check.name,
        entry.check.invariants,
        cell(figures),
        time(entry.took),
        cell(&outcome),
    )
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(check: &'static Check, outcome: Outcome) -> Entry {
        Entry {
            check,
            took: Duration::from_secs(130),
            figures: "7 operations".into(),
            outcome,
        }
    }

    #[test]
    fn a_row_says_what_ran_and_what_it_found() {
        let check = &CHECKS[0];
        let row = |outcome| row(&entry(check, outcome), "2026-01-02, abc", "--seed 5");
        let begin = format!("| {} | {} | ", check.name, check.invariants);
        let end = "| 2026-01-02, abc | `--seed 5` |";
        assert_eq!(
            row(Outcome::Nothing),
            format!("{begin}7 operations | 2 min | nothing {end}")
        );
        assert_eq!(
            row(Outcome::Found("exit code 1:\na|b".into())),
            format!("{begin}7 operations | 2 min | **exit code 1: a\\|b** {end}")
        );
        assert_eq!(
            row(Outcome::Missing("no Miri".into())),
            format!("{begin}- | 2 min | not run: no Miri {end}")
        );
    }

    #[test]
    fn what_is_not_run_again_keeps_its_row() {
        let nothing = Rows::of("");
        assert!(nothing.0.iter().all(Option::is_none));
        let old = row(
            &entry(&CHECKS[1], Outcome::Nothing),
            "2025-01-01, old",
            "--full",
        );
        let first = nothing.with(&CHECKS[1], old);
        let text = first.page("x", "## Found\n");
        assert_eq!(text.matches("| not run yet |").count(), CHECKS.len() - 1);
        assert!(text.ends_with("\n## Found\n"), "{text}");
        assert_eq!(Rows::of(&text), first);
        let text = Rows::of(&text)
            .with(&CHECKS[0], "| new |".into())
            .page("x", "");
        assert!(text.contains("\n| new |\n"), "{text}");
        assert!(text.contains("| 2025-01-01, old | `--full` |"), "{text}");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        for (seconds, text) in [(5, "5 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
