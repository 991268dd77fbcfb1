//! How far a run has come: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of a run.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: bool,
}

impl Progress {
    /// Of so many benchmarks.
    pub(crate) fn new(count: usize) -> Self {
        let bar = ProgressBar::new(count as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        Self {
            bar,
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Takes a line of a benchmark: one that begins, or what one measured.
    pub(crate) fn told(&self, line: &str) {
        if let Some(name) = line.strip_prefix("Benchmarking ") {
            self.bar.set_message(name.to_owned());
        } else if is_result(line) {
            self.bar.inc(1);
            if self.shown {
                self.bar.println(line);
            } else {
                eprintln!("{line}");
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether a line tells what a benchmark measured: `group/…: …`.
fn is_result(line: &str) -> bool {
    let name = line.split_once(": ").map(|(name, _)| name);
    name.is_some_and(|name| name.contains('/') && !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_told_from_the_rest() {
        assert!(is_result("decide/10000/uniform/allowed: engine 110.0 ns"));
        assert!(!is_result(
            "Found 2 outliers among 10 measurements (20.00%)"
        ));
        assert!(!is_result("                        time:   [177.70 ns]"));
        assert!(!is_result("decide/10000/uniform/allowed"));
    }
}
