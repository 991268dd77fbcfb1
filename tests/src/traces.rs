//! Every trace, through any subject.
//!
//! Besides those of this project, the files of every directory named in
//! `TK_TRACES` (separated as in `PATH`) are run.

use std::path::{Path, PathBuf};

use trace::{Report, Subject, Totals, Trace, replay};

fn own_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces")
}

/// The files, sorted.
///
/// # Panics
///
/// Where a directory cannot be read.
pub fn files() -> Vec<PathBuf> {
    let more = std::env::var_os("TK_TRACES").unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|path| !path.as_os_str().is_empty());
    let mut files = Vec::new();
    for directory in std::iter::once(own_directory()).chain(more) {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "json")));
    }
    files.sort();
    files
}

/// A file's trace.
///
/// # Panics
///
/// Where it cannot be read or is none.
pub fn read(file: &Path) -> Trace {
    let shown = file.display();
    let json = std::fs::read(file).unwrap_or_else(|error| panic!("{shown}: {error}"));
    Trace::parse(&json).unwrap_or_else(|error| panic!("{shown}: {error}"))
}

/// Replays every file, and fails with all that differs; shows each report to
/// `check`.
///
/// # Panics
///
/// Where anything differs, or hardly a trace was found.
pub fn all_agree<S: Subject>(check: impl Fn(&Path, &Report)) {
    let (mut totals, mut differing) = (Totals::default(), Vec::new());
    for file in files() {
        let shown = file.display().to_string();
        let report = replay::<S>(&read(&file)).unwrap_or_else(|error| panic!("{shown}: {error}"));
        report.write_differing(&shown, &mut differing).unwrap();
        check(&file, &report);
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

/// Fails where a report leaves any of its trace uncompared.
///
/// # Panics
///
/// So it fails.
pub fn nothing_left_out(file: &Path, report: &Report) {
    assert_eq!(
        (report.unseen, report.inexpressible),
        (0, 0),
        "{}: not wholly compared",
        file.display()
    );
}
