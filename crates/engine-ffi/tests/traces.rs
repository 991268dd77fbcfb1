//! Every trace, through the C interface: the same calls that a C program
//! makes, and all of an answer read from the struct that it gets.
//!
//! Besides those of this project, the files of every directory named in
//! `TK_TRACES` (separated as in `PATH`) are run.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg(not(miri))]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::subject::{Batched, Lone};
use trace::{Subject, Totals, Trace, replay};

fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/traces");
    let more = std::env::var_os("TK_TRACES").unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|path| !path.as_os_str().is_empty());
    let mut files = Vec::new();
    for directory in std::iter::once(own).chain(more) {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "json")));
    }
    files.sort();
    files
}

/// Replays every file, and fails with all that differs or is left out.
fn all_agree<S: Subject>() {
    let (mut totals, mut differing) = (Totals::default(), Vec::new());
    for file in files() {
        let shown = file.display().to_string();
        let json = std::fs::read(&file).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let trace = Trace::parse(&json).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let report = replay::<S>(&trace).unwrap_or_else(|error| panic!("{shown}: {error}"));
        report.write_differing(&shown, &mut differing).unwrap();
        assert_eq!(
            (report.unseen, report.inexpressible),
            (0, 0),
            "{shown}: not wholly compared"
        );
        totals.add(&report);
    }
    assert!(
        totals.traces >= 40,
        "only {} traces were found",
        totals.traces
    );
    assert!(
        differing.is_empty(),
        "{}{totals}",
        String::from_utf8_lossy(&differing)
    );
}

#[test]
fn the_c_interface_agrees_with_every_trace() {
    all_agree::<Lone>();
}

#[test]
fn batches_of_one_agree_with_every_trace() {
    all_agree::<Batched>();
}
