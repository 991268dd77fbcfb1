//! Names of mutants that outlive a change elsewhere in their file.
//!
//! cargo-mutants names a mutant by its line and column, which any line added
//! above it changes. Here it is called by its file and what is replaced in
//! which function, and by a number where the function holds several such.

use std::collections::HashMap;

/// Where all the files lie.
const SOURCES: &str = "crates/engine/src/";

/// The mutants there are.
pub(super) struct Names {
    /// By what cargo-mutants calls it.
    lasting: HashMap<String, String>,
}

/// A mutant's name, taken apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parts<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    what: &'a str,
}

impl Names {
    /// Of a list as cargo-mutants prints it.
    pub(super) fn of<'a>(listed: impl Iterator<Item = &'a str>) -> Self {
        let mut mutants: Vec<(Parts<'_>, &str)> = listed
            .filter_map(|name| Some((parts(name)?, name)))
            .collect();
        // As they stand in the code.
        mutants.sort();
        let mut alike: HashMap<(&str, &str), u32> = HashMap::new();
        let mut lasting = HashMap::new();
        for (Parts { file, what, .. }, name) in mutants {
            let number = alike.entry((file, what)).or_default();
            *number += 1;
            let file = file.strip_prefix(SOURCES).unwrap_or(file);
            let called = match number {
                1 => format!("{file}: {what}"),
                number => format!("{file}: {what} ({number})"),
            };
            lasting.insert(name.to_owned(), called);
        }
        Self { lasting }
    }

    /// The lasting name of what cargo-mutants calls so.
    pub(super) fn lasting<'a>(&'a self, name: &'a str) -> &'a str {
        self.lasting.get(name).map_or(name, String::as_str)
    }

    /// Whether there is a mutant of this lasting name.
    pub(super) fn has(&self, lasting: &str) -> bool {
        self.lasting.values().any(|name| name == lasting)
    }
}

/// `FILE:LINE:COLUMN: WHAT`.
fn parts(name: &str) -> Option<Parts<'_>> {
    let (place, what) = name.split_once(": ")?;
    let mut place = place.rsplitn(3, ':');
    let column = place.next()?.parse().ok()?;
    let line = place.next()?.parse().ok()?;
    let file = place.next()?;
    Some(Parts {
        file,
        line,
        column,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_line_and_a_number_where_it_is_needed() {
        let names = Names::of(
            [
                "crates/engine/src/a.rs:91:64: replace - with + in f",
                "crates/engine/src/a.rs:91:52: replace - with + in f",
                "crates/engine/src/a.rs:9:7: replace a::b -> u8 with 0",
                "no mutant",
            ]
            .into_iter(),
        );
        for (name, lasting) in [
            (
                "crates/engine/src/a.rs:91:52: replace - with + in f",
                "a.rs: replace - with + in f",
            ),
            (
                "crates/engine/src/a.rs:91:64: replace - with + in f",
                "a.rs: replace - with + in f (2)",
            ),
            (
                "crates/engine/src/a.rs:9:7: replace a::b -> u8 with 0",
                "a.rs: replace a::b -> u8 with 0",
            ),
        ] {
            assert_eq!(names.lasting(name), lasting);
            assert!(names.has(lasting));
        }
        assert!(!names.has("a.rs: replace - with + in f (3)"));
    }
}
