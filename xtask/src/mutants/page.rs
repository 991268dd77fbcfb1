//! `docs/MUTANTS.md`: who may survive and why, written by hand but for the line
//! that tells of the last run.

use std::fmt::Write as _;

use super::Outcomes;
use super::names::Names;
use crate::bench::origin;
use crate::disk;
use crate::shell::{Failure, root};

const FILE: &str = "docs/MUTANTS.md";

/// How the line begins that a run writes.
const LAST_RUN: &str = "Last run: ";

/// How the head of the table begins.
const HEAD: &str = "| mutant |";

/// The rows of the table: mutants, and why each is no fault.
#[derive(Debug)]
pub(super) struct Reasons(Vec<(String, String)>);

impl Reasons {
    pub(super) fn read() -> Result<Self, Failure> {
        Self::of(&text()?)
    }

    fn of(page: &str) -> Result<Self, Failure> {
        let rows = page
            .lines()
            .skip_while(|line| !line.starts_with(HEAD))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let reasons = rows.map(|row| match cells(row).as_slice() {
            [mutant, why] if !why.is_empty() => {
                Ok((mutant.trim_matches('`').to_owned(), why.clone()))
            }
            _ => Err(Failure::found(format!(
                "{FILE}: a row wants a mutant and a reason: {row}"
            ))),
        });
        reasons.collect::<Result<_, _>>().map(Self)
    }

    /// Fails where a mutant is named that does not exist.
    pub(super) fn all_exist(&self, names: &Names) -> Result<(), Failure> {
        let gone = self.0.iter().find(|(mutant, _)| !names.has(mutant));
        gone.map_or(Ok(()), |(mutant, _)| {
            Err(Failure::found(format!(
                "{FILE} names a mutant that there is not (cargo mutants --package engine --list): \
                 {mutant}"
            )))
        })
    }

    /// Fails where a mutant survives without a reason. Says which are named that
    /// were killed: of threads one may be by chance.
    pub(super) fn judge(&self, names: &Names, outcomes: &Outcomes) -> Result<(), Failure> {
        for name in outcomes.settled() {
            let lasting = names.lasting(name);
            if self.has(lasting) {
                println!("{FILE} lists what did not survive: {lasting}");
            }
        }
        let mut faults = String::new();
        for name in &outcomes.missed {
            let lasting = names.lasting(name);
            if !self.has(lasting) {
                let _ = write!(faults, "\n{name}\n    `{}`", lasting.replace('|', "\\|"));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Failure::found(format!(
                "no test fails of these: each wants one, or a row in {FILE} that says why it is no \
                 fault{faults}"
            )))
        }
    }

    fn has(&self, lasting: &str) -> bool {
        self.0.iter().any(|(mutant, _)| mutant == lasting)
    }
}

/// Puts the figures of a run into the page.
pub(super) fn write_last_run(figures: &str) -> Result<(), Failure> {
    let day = origin::day()?;
    let line = format!("{LAST_RUN}{day}, commit {}: {figures}.", origin::commit());
    disk::write(&root().join(FILE), &with_last_run(&text()?, &line))
}

fn with_last_run(page: &str, last_run: &str) -> String {
    let lines = page.lines().map(|line| {
        if line.starts_with(LAST_RUN) {
            last_run
        } else {
            line
        }
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn text() -> Result<String, Failure> {
    disk::read(&root().join(FILE))
}

/// The cells of a row; a `|` within one stands behind a backslash.
fn cells(row: &str) -> Vec<String> {
    const WITHIN: &str = "\u{0}";
    row.replace("\\|", WITHIN)
        .trim()
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().replace(WITHIN, "|"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Mutants\n\nLast run: never.\n\n| mutant | why |\n|---|---|\n\
                        | `a.rs: replace \\| with ^ in f` | no bits in common |\n\nMore.\n";

    #[test]
    fn only_survivors_with_a_reason_pass() {
        let ors = "crates/engine/src/a.rs:1:2: replace | with ^ in f";
        let ands = "crates/engine/src/a.rs:1:2: replace | with & in f";
        let names = Names::of([ors, ands].into_iter());
        let reasons = Reasons::of(PAGE).unwrap();
        assert!(reasons.all_exist(&names).is_ok());
        assert!(
            reasons
                .judge(&names, &Outcomes::of(&[ands], &[ors]))
                .is_ok()
        );
        assert!(
            reasons
                .judge(&names, &Outcomes::of(&[ands, ors], &[]))
                .is_ok()
        );
        let failure = reasons
            .judge(&names, &Outcomes::of(&[], &[ands, ors]))
            .unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(ands) && !text.contains(ors), "{text}");
    }

    #[test]
    fn what_is_gone_is_named() {
        let names = Names::of(std::iter::empty());
        let failure = Reasons::of(PAGE).unwrap().all_exist(&names).unwrap_err();
        assert!(failure.to_string().contains("replace | with ^ in f"));
    }

    #[test]
    fn a_row_without_a_reason_is_refused() {
        let page = PAGE.replace("no bits in common", "");
        assert!(Reasons::of(&page).is_err());
    }

    #[test]
    fn a_run_changes_its_line_alone() {
        let page = with_last_run(PAGE, "Last run: now.");
        assert_eq!(page, PAGE.replace("never", "now"));
    }

    #[test]
    fn the_projects_page_can_be_read() {
        assert!(!Reasons::read().unwrap().0.is_empty());
        assert!(text().unwrap().contains(LAST_RUN));
    }
}
