//! The engine's one door to atomics, `sync.rs`: loom and shuttle stand in for
//! what comes by it, and for nothing else. So who goes another way is listed,
//! with the reason and with what tries its orders of steps instead.

use std::fmt::Write as _;

use super::source::Source;

/// The engine's sources, and the door among them.
pub(super) const ENGINE: &str = "crates/engine/src/";
const DOOR: &str = "sync.rs";

/// What tries the orderings of a file that loom does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// Its atomics publish something: Miri and ThreadSanitizer run it.
    ByBoth,
    /// Likewise, but Miri does not know the system calls that it is about.
    BySanitizer,
    /// Each is a number that publishes nothing: there is no order to try.
    NoNeed,
}

impl Tried {
    fn words(self) -> &'static str {
        match self {
            Self::ByBoth => "Miri and ThreadSanitizer",
            Self::BySanitizer => "ThreadSanitizer",
            Self::NoNeed => "nothing: `Relaxed` throughout",
        }
    }
}

/// Files of the engine with atomics that do not come by the door: which, why,
/// and what tries them.
const OTHERS: [(&str, &str, Tried); 11] = [
    (
        "keyring/block.rs",
        "how many records a block has: for writers, who take turns",
        Tried::NoNeed,
    ),
    (
        "keyring/directory/mod.rs",
        "how deep the directory is: for writers, who take turns. What readers go by comes by the door",
        Tried::NoNeed,
    ),
    (
        "keyring/place/line.rs",
        "a record's id where it lies within the record, where no word of loom's has room. The steps on it \
         are those of `keyring/place.rs`, whose models have a word of loom's",
        Tried::ByBoth,
    ),
    ("keyring/tally.rs", "counts for gauges", Tried::NoNeed),
    (
        "ledger/file.rs",
        "the file's length as processes know it, a word of the door's, in a file that is left out \
         under loom and Miri: neither has mappings",
        Tried::BySanitizer,
    ),
    (
        "ledger/guard.rs",
        "what a signal's handler reads: neither loom nor Miri has signals",
        Tried::BySanitizer,
    ),
    (
        "ledger/region.rs",
        "how many lines are mapped: a number, told of by who made the line",
        Tried::NoNeed,
    ),
    (
        "memory/reserved.rs",
        "how much of what was reserved is mapped: neither loom nor Miri has mappings",
        Tried::BySanitizer,
    ),
    (
        "sessions/gate.rs",
        "a number for each thread, out of a static, which loom has not. The gate comes by the door",
        Tried::NoNeed,
    ),
    ("sessions/mod.rs", "a count of sessions", Tried::NoNeed),
    ("time.rs", "a clock that tests set", Tried::NoNeed),
];

/// By these words atomics come into a file.
const WAYS: [&str; 2] = ["atomic", "crossbeam_epoch"];

/// Files with other atomics that are not listed, and listed ones without.
pub(super) fn faults(sources: &[Source<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = [false; OTHERS.len()];
    for source in sources {
        let Some(file) = source.path.strip_prefix(ENGINE) else {
            continue;
        };
        // The door's own half for shuttle lies below it.
        if file == DOOR || file.starts_with("sync/") {
            continue;
        }
        let Some(at) = another_way(source) else {
            continue;
        };
        match OTHERS.iter().position(|(other, ..)| *other == file) {
            Some(place) => used[place] = true,
            None => faults.push(format!(
                "{}: an atomic that does not come by `crate::sync`, so loom does not see it: say in \
                 xtask/src/proofs/door.rs why it cannot, and what tries it instead",
                source.place(at)
            )),
        }
    }
    let unneeded = OTHERS.iter().zip(used).filter(|(_, used)| !used);
    faults.extend(unneeded.map(|((file, ..), _)| {
        format!(
            "{ENGINE}{file}: all its atomics come by `crate::sync`: xtask/src/proofs/door.rs lists it"
        )
    }));
    faults
}

/// The first word, tests apart, by which atomics come in.
fn another_way(source: &Source<'_>) -> Option<usize> {
    (0..source.tokens.len()).find(|&at| {
        let is_way = WAYS.iter().any(|way| source.tokens[at].is(way));
        is_way && !source.is_test(at)
    })
}

/// What the page says of it.
pub(super) fn section(sources: &[Source<'_>]) -> String {
    let mut text = String::from("## What loom sees, and what it does not\n\n");
    let models: Vec<String> = sources
        .iter()
        .filter(|source| source.path.starts_with(ENGINE) && has_model(source))
        .map(|source| format!("`{}`", source.path.trim_start_matches(ENGINE)))
        .collect();
    let _ = writeln!(
        text,
        "Loom and shuttle stand in for the atomics that come by `{ENGINE}{DOOR}`; loom tries their orderings where a\n\
         model calls them. The models are in {}.\n",
        models.join(", ")
    );
    text += "These files of the engine have atomics that come another way: loom tries none of their orderings.\n\n";
    text += "| file | what | tried by |\n|---|---|---|\n";
    for (file, what, tried) in OTHERS {
        let _ = writeln!(text, "| `{file}` | {what} | {} |", tried.words());
    }
    text += "\nMiri and ThreadSanitizer see the runs that their tests make, not all that there are, on a machine whose own\n\
             order is strong: Miri makes some of the weak ones. Of the other packages' atomics loom has a model of\n\
             `crates/engine-ffi/src/seat.rs` alone, and Miri runs the C interface; those of `store` and `tokenkit`\n\
             run in their tests alone.\n\n";
    text
}

/// Whether a model of loom's is in a file.
fn has_model(source: &Source<'_>) -> bool {
    super::count_tests(source, "loom") > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, text: &str) -> Vec<String> {
        let path = format!("{ENGINE}{file}");
        let faults = faults(&[Source::new(&path, text, false)]);
        let about = faults.into_iter().filter(|fault| fault.contains(file));
        about.collect()
    }

    #[test]
    fn an_atomic_past_the_door_is_named_with_its_line() {
        for text in [
            "\nuse std::sync::atomic::AtomicU64;",
            "\nuse std::sync::{Mutex, atomic::{AtomicU64, Ordering}};",
            "\nstatic A: core::sync::atomic::AtomicBool = x;",
            "\nuse crossbeam_epoch::Atomic;",
        ] {
            let faults = of("hours.rs", text);
            let expected = format!("{ENGINE}hours.rs:2: ");
            assert!(
                matches!(&faults[..], [fault] if fault.starts_with(&expected)),
                "{text}: {faults:?}"
            );
            assert!(of("sync.rs", text).is_empty());
            assert!(of("time.rs", text).is_empty());
        }
        assert!(
            of(
                "hours.rs",
                "use crate::sync::AtomicU64; // std::sync::atomic"
            )
            .is_empty()
        );
        let tests = "#[cfg(test)] mod tests { use std::sync::atomic::AtomicU64; }";
        assert!(of("hours.rs", tests).is_empty());
    }

    #[test]
    fn what_is_listed_for_nothing_is_named() {
        let faults = of("time.rs", "use crate::sync::AtomicU64;");
        assert!(matches!(&faults[..], [fault] if fault.contains("lists it")));
    }

    #[test]
    fn the_page_names_models_and_what_is_in_none() {
        let path = format!("{ENGINE}hours.rs");
        let text = "#[cfg(loom)] mod m { #[test] fn loom_two() {} }";
        let section = section(&[Source::new(&path, text, false)]);
        assert!(section.contains("The models are in `hours.rs`."));
        assert!(section.contains("| `keyring/place/line.rs` | "));
    }
}
