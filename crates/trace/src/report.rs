//! What a replay found, and how it is printed.

use std::fmt;
use std::io::{self, Write};

use crate::run::Applied;

/// What the replay of one trace found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps run.
    pub steps: usize,
    /// The steps whose decision is not what was expected, in order.
    pub differing: Vec<Difference>,
    /// Expected members that the subject cannot show and so were not compared.
    pub unseen: usize,
    /// Steps, and keys and sessions of the start, that the subject cannot
    /// express and so were left out.
    pub inexpressible: usize,
}

/// One step whose decision is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its number in the trace, from one.
    pub step: usize,
    /// Its unix second.
    pub at: u64,
    /// Each member that differs: its name, what was expected and what was got,
    /// as JSON.
    pub members: Vec<(&'static str, String, String)>,
}

/// The sum of several reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Traces run.
    pub traces: usize,
    /// Steps run.
    pub steps: usize,
    /// Steps that differ.
    pub differing: usize,
    /// Members that could not be seen.
    pub unseen: usize,
    /// What could not be expressed.
    pub inexpressible: usize,
}

impl Report {
    /// Counts what a subject could not express.
    pub(crate) fn count(&mut self, applied: Applied) {
        match applied {
            Applied::Yes => {}
            Applied::Inexpressible => self.inexpressible += 1,
        }
    }

    /// Writes one block for each step that differs, under the file's name.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_differing(&self, file: &str, out: &mut dyn Write) -> io::Result<()> {
        for Difference { step, at, members } in &self.differing {
            writeln!(out, "{file}: step {step} at {at} differs")?;
            for (name, expected, got) in members {
                writeln!(out, "  {name}: expected {expected}, got {got}")?;
            }
        }
        Ok(())
    }
}

impl Totals {
    /// Adds one trace's report.
    pub fn add(&mut self, report: &Report) {
        self.traces += 1;
        self.steps += report.steps;
        self.differing += report.differing.len();
        self.unseen += report.unseen;
        self.inexpressible += report.inexpressible;
    }
}

impl fmt::Display for Totals {
    /// One line: how much was run, and how much of it differs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{} trace{}, {} step{}: ",
            self.traces,
            plural(self.traces),
            self.steps,
            plural(self.steps)
        )?;
        match self.differing {
            0 => f.write_str("none differs")?,
            1 => f.write_str("1 differs")?,
            many => write!(f, "{many} differ")?,
        }
        if self.unseen > 0 {
            write!(f, "; {} expected members could not be seen", self.unseen)?;
        }
        if self.inexpressible > 0 {
            write!(f, "; {} steps could not be expressed", self.inexpressible)?;
        }
        Ok(())
    }
}
