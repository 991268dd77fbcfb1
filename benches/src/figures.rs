//! What was measured, as `cargo xtask bench` reads it: named numbers with
//! their units, in a file for each part.

use std::path::Path;

use serde_json::{Value, json};

/// Names the folder of the files; without it nothing is written.
const FOLDER: &str = "BENCH_FIGURES";

/// What one part measured.
#[derive(Default)]
pub struct Figures {
    figures: Vec<Value>,
    notes: Vec<String>,
}

impl Figures {
    /// Adds a number, named from the whole to the part.
    pub fn add(&mut self, name: &str, value: f64, unit: &str) {
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit}));
    }

    /// Adds a number, and what it was that was measured.
    pub fn add_of(&mut self, name: &str, value: f64, unit: &str, what: &str) {
        self.figures
            .push(json!({"name": name, "value": value, "unit": unit, "what": what}));
    }

    /// Adds what a reader must know: a whole sentence.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Writes them where they are wanted.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write(self, part: &str) -> std::io::Result<()> {
        let Some(folder) = std::env::var_os(FOLDER) else {
            return Ok(());
        };
        std::fs::create_dir_all(&folder)?;
        let text = json!({"figures": self.figures, "notes": self.notes}).to_string();
        std::fs::write(Path::new(&folder).join(format!("{part}.json")), text)
    }
}

/// Whether all is to be short: set by `cargo xtask bench --quick`.
#[must_use]
pub fn is_quick() -> bool {
    std::env::var_os("BENCH_QUICK").is_some()
}
