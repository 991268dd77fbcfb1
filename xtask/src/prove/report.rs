//! `docs/PROOF.md`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::origin;
use crate::shell::{Failure, root};

/// Where it is written.
const FILE: &str = "docs/PROOF.md";
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
    pub(crate) name: &'static str,
    pub(crate) invariants: &'static str,
    pub(crate) what: &'static str,
    /// The command lines.
    pub(crate) lines: Vec<String>,
    pub(crate) took: Duration,
    pub(crate) figures: String,
    pub(crate) outcome: Outcome,
}

/// What the page says of the whole run.
pub(crate) struct Page {
    /// Machine, compiler and commit, as they were at its start.
    origin: String,
    command: String,
    seed: u64,
}

impl Page {
    /// Of a run that begins now.
    pub(crate) fn new(command: String, seed: u64) -> Self {
        Self {
            origin: origin::brief(),
            command,
            seed,
        }
    }

    /// Writes the page anew, with what has run so far of so many checks.
    pub(crate) fn write(&self, entries: &[Entry], checks: usize) -> Result<(), Failure> {
        let found = std::fs::read_to_string(root().join(FOUND)).unwrap_or_default();
        std::fs::write(root().join(FILE), page(self, entries, checks, &found))
            .map_err(|error| Failure::found(format!("cannot write {FILE}: {error}")))
    }
}

fn page(run: &Page, entries: &[Entry], checks: usize, found: &str) -> String {
    let Page {
        origin,
        command,
        seed,
    } = run;
    let ended = match checks - entries.len() {
        0 => String::new(),
        left => format!(" Ended before the last {left} checks."),
    };
    let took: Duration = entries.iter().map(|entry| entry.took).sum();
    let mut page = format!(
        "# Proof\n\n\
         What was shown by something that could fail, as `{command}` wrote it down. The numbers of the\n\
         invariants are those of [ARCHITECTURE.md](../ARCHITECTURE.md). What a run did is what its time\n\
         allowed; `cargo xtask prove --full` does a billion operations, decisions of threads and decisions of\n\
         processes, a hundred million addresses, and a hundred million executions of each fuzz target.\n\n\
         {origin}\n\
         In all: {}, seed {seed}.{ended}\n\n\
         | check | invariants | how often | time | found |\n|---|---|---|---:|---|\n",
        time(took)
    );
    for entry in entries {
        let figures = match (&entry.outcome, entry.figures.as_str()) {
            (Outcome::Missing(_), _) | (_, "") => "-",
            (_, figures) => figures,
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            entry.name,
            entry.invariants,
            figures.replace('|', "\\|"),
            time(entry.took),
            match &entry.outcome {
                Outcome::Nothing => "nothing".to_owned(),
                Outcome::Missing(text) => format!("not run: {text}"),
                Outcome::Found(text) => format!("**{text}**"),
            }
        );
    }
    page += "\n## What each check does\n";
    for entry in entries {
        let _ = write!(page, "\n**{}.** {}\n\n```\n", entry.name, entry.what);
        for line in &entry.lines {
            let _ = writeln!(page, "{line}");
        }
        page += "```\n";
    }
    if !found.is_empty() {
        page += "\n";
        page += found;
    }
    page
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

    fn entry(outcome: Outcome) -> Entry {
        Entry {
            name: "oracle",
            invariants: "1, 2",
            what: "Compares.",
            lines: vec!["cargo test".into()],
            took: Duration::from_secs(130),
            figures: "7 operations".into(),
            outcome,
        }
    }

    #[test]
    fn the_page_says_what_ran_and_what_it_found() {
        let entries = [
            entry(Outcome::Nothing),
            entry(Outcome::Found("exit code 1".into())),
            entry(Outcome::Missing("no Miri".into())),
        ];
        let run = Page {
            origin: "Machine: x.\n".into(),
            command: "cargo xtask prove".into(),
            seed: 5,
        };
        let page = page(&run, &entries, 4, "## Found\n");
        for expected in [
            "| oracle | 1, 2 | 7 operations | 2 min | nothing |",
            "| oracle | 1, 2 | 7 operations | 2 min | **exit code 1** |",
            "| oracle | 1, 2 | - | 2 min | not run: no Miri |",
            "In all: 6 min, seed 5. Ended before the last 1 checks.",
            "```\ncargo test\n```",
            "\n## Found\n",
        ] {
            assert!(page.contains(expected), "{page}");
        }
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        for (seconds, text) in [(5, "5 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
