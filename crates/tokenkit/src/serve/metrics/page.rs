//! The page that Prometheus reads, in its text format 0.0.4.

use std::fmt::{Display, Write as _};

use super::histogram::Snapshot;

/// The page under way. Writing to a string cannot fail.
pub(super) struct Page(String);

impl Page {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(8192))
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Begins a family of series, which follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One series of the family begun last. Labels and their values are words
    /// of our own, with nothing in them that would have to be escaped.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one series without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family that is one histogram of times; `name` ends in `_seconds`.
    pub(super) fn histogram(&mut self, name: &str, help: &str, seen: &Snapshot) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound_s, count) in seen.cumulative() {
            let bound = bound_s.to_string();
            self.sample(&bucket, &[("le", &bound)], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], seen.count());
        self.sample(&format!("{name}_sum"), &[], seen.sum_s());
        self.sample(&format!("{name}_count"), &[], seen.count());
    }
}
