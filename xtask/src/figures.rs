//! What was measured, as named numbers with their units: they lie in a file
//! between measuring and the report, so that either can be done again alone.
//!
//! Every part that measures writes one file, `target/bench/figures/PART.json`:
//!
//! ```json
//! {
//!   "figures": [{"name": "forward_auth/tokenkit", "value": 10.2, "unit": "us"}],
//!   "notes": ["what a reader must know of them"]
//! }
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::shell::{Failure, target};

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// What was measured, from the whole to the part: `ROW/SUBJECT`.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what: `ns`, `us`, `s`, `bytes`, `ratio`.
    pub(crate) unit: String,
    /// What it was that was measured, where the name does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) what: String,
}

/// What one part measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figures {
    /// The numbers, in the order of their measuring.
    pub(crate) figures: Vec<Figure>,
    /// What a reader must know of them: whole sentences.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

impl Figures {
    /// Adds a number.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &str) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            unit: unit.into(),
            what: String::new(),
        });
    }

    /// Adds what a reader must know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The number of that name.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        Some(self.figure(name)?.value)
    }

    /// The figure of that name.
    pub(crate) fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// Takes in others: their figures in place of those of the same names,
    /// which may stand more than once; all their notes if there are any.
    pub(crate) fn merge(&mut self, other: Self) {
        let stale = |figure: &Figure| other.figure(&figure.name).is_some();
        self.figures.retain(|figure| !stale(figure));
        self.figures.extend(other.figures);
        if !other.notes.is_empty() {
            self.notes = other.notes;
        }
    }

    /// Keeps them as those of a part, in place of earlier ones.
    pub(crate) fn write(&self, part: &str) -> Result<(), Failure> {
        self.write_file(&file(part))
    }

    /// Writes them to a file.
    pub(crate) fn write_file(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder
            .and_then(|()| std::fs::write(file, text? + "\n"))
            .map_err(|error| Failure::found(format!("cannot write {}: {error}", file.display())))
    }

    /// Those that a part measured last; none where it never did.
    pub(crate) fn read(part: &str) -> Result<Self, Failure> {
        Self::read_file(&file(part))
    }

    /// Those of a file; none where it is not there.
    pub(crate) fn read_file(file: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                let told = format!("cannot read {}: {error}", file.display());
                return Err(Failure::found(told));
            }
        };
        serde_json::from_str(&text)
            .map_err(|error| Failure::found(format!("{}: {error}", file.display())))
    }
}

/// Where a part's figures lie.
fn file(part: &str) -> PathBuf {
    target().join(format!("bench/figures/{part}.json"))
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_back() {
        let part = format!("test-{}", std::process::id());
        assert_eq!(Figures::read(&part).unwrap(), Figures::default());
        let mut kept = Figures::default();
        kept.add("forward_auth/tokenkit", 10.25, "us");
        kept.note("Over loopback.");
        kept.write(&part).unwrap();
        let read = Figures::read(&part).unwrap();
        assert_eq!(read, kept);
        assert_eq!(read.value("forward_auth/tokenkit"), Some(10.25));
        assert_eq!(read.value("forward_auth"), None);
        let mut newer = Figures::default();
        newer.add("forward_auth/tokenkit", 9.0, "us");
        let mut merged = read.clone();
        merged.merge(newer);
        assert_eq!(merged.value("forward_auth/tokenkit"), Some(9.0));
        assert_eq!((merged.figures.len(), merged.notes), (1, kept.notes));
        std::fs::write(file(&part), "{}").unwrap();
        let told = Figures::read(&part).unwrap_err().to_string();
        std::fs::remove_file(file(&part)).unwrap();
        assert!(told.contains("figures"), "{told}");
    }
}
