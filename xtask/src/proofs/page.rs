//! The pages as Markdown.

use std::fmt::Write as _;

use super::source::Source;
use super::{Finding, Found, door};

const UNSAFE_HEAD: &str = "\
# Unsafe code

Written by `cargo xtask unsafe` from the code and the comments beside it; `cargo xtask lint` fails where
this page says something else, where a block or an `unsafe impl` has no `SAFETY` comment, or an
`unsafe fn` or trait no `# Safety` section, and where code is put out of its sight: by `include!`, by a
module's `path`, by an attribute that is unsafe, those apart that `xtask/src/proofs/hidden.rs` explains.
A proof's address is the file and the item that it stands in.

";

const ORDERINGS_HEAD: &str = "\
# Atomic operations

Written by `cargo xtask unsafe` from the code and the comments beside it; `cargo xtask lint` fails where
this page says something else, where no comment speaks of an operation's ordering, or where an ordering
does not stand by its name in the call. A reason names the partner, or says why none is needed. What runs
in tests alone is left out. Operations within `arc-swap` and `crossbeam-epoch` are theirs.

Which orders of steps are tried: `cargo xtask model` (loom), `cargo xtask shuttle`, `cargo xtask miri`, `cargo xtask tsan`.

";

/// The page of unsafe code.
pub(super) fn unsafes(sources: &[Source<'_>], found: &[Found]) -> String {
    let mut page = String::from(UNSAFE_HEAD);
    let forbidding: Vec<String> = sources
        .iter()
        .filter(|source| is_root(source.path) && source.forbids_unsafe())
        .map(|source| format!("`{}`", source.path))
        .collect();
    if !forbidding.is_empty() {
        let _ = writeln!(
            page,
            "Packages that forbid unsafe code (`#![forbid(unsafe_code)]`): {}.\n",
            forbidding.join(", ")
        );
    }
    for (title, of_tests) in [
        ("In the packages", false),
        ("In tests, benchmarks, fuzz targets and xtask", true),
    ] {
        let listed = |finding: &Finding| finding.is_test == of_tests;
        let _ = writeln!(page, "## {title}: {}\n", count(found, listed));
        let columns = ["where", "what", "proof"];
        tables(&mut page, sources, found, &columns, listed);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// The page of atomic operations.
pub(super) fn orderings(sources: &[Source<'_>], found: &[Found]) -> String {
    let mut page = String::from(ORDERINGS_HEAD);
    page += &door::section(sources);
    let _ = writeln!(page, "## Operations: {}\n", count(found, |_| true));
    let columns = ["where", "operation", "ordering", "why"];
    tables(&mut page, sources, found, &columns, |_| true);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// Whether a file is the root of a library or a program.
fn is_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

fn count(found: &[Found], listed: impl Fn(&Finding) -> bool) -> usize {
    let findings = found.iter().flat_map(|found| &found.findings);
    findings.filter(|finding| listed(finding)).count()
}

/// A table for each file that has something to list.
fn tables(
    page: &mut String,
    sources: &[Source<'_>],
    found: &[Found],
    columns: &[&str],
    listed: impl Fn(&Finding) -> bool,
) {
    for (source, found) in sources.iter().zip(found) {
        let mut findings = found
            .findings
            .iter()
            .filter(|finding| listed(finding))
            .peekable();
        if findings.peek().is_none() {
            continue;
        }
        let _ = writeln!(page, "### {}\n", source.path);
        let _ = writeln!(page, "| {} |", columns.join(" | "));
        let _ = writeln!(page, "|{}", "---|".repeat(columns.len()));
        for finding in findings {
            let item = match finding.item.as_str() {
                "" => "the file".into(),
                item => format!("`{item}`"),
            };
            // A reason may hold a bar; a column of ours divides there.
            let why = finding.why.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(page, "| {item} | {} | {why} |", finding.what);
        }
        page.push('\n');
    }
}

/// The first line in which two pages differ, with the heading above it.
pub(super) fn difference(there: &str, wanted: &str) -> Option<String> {
    let (mut old, mut new) = (there.lines(), wanted.lines());
    let mut heading = "";
    loop {
        let (old, new) = (old.next(), new.next());
        if old == new {
            let line = new?;
            if line.starts_with('#') {
                heading = line;
            }
            continue;
        }
        return Some(format!(
            "below {heading:?}\n- {}\n+ {}",
            old.unwrap_or("(the end)"),
            new.unwrap_or("(the end)")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{orderings, unsafes};
    use super::*;

    const TEXT: &str = "
        #![forbid(unsafe_code)]
        // SAFETY: a | b.
        unsafe impl Sync for A {}
        // Relaxed: why.
        fn f() { a.load(Relaxed); }
    ";

    #[test]
    fn a_row_has_its_columns() {
        let sources = [Source::new("a/src/lib.rs", TEXT, false)];
        let page = super::unsafes(&sources, &[unsafes::find(&sources[0])]);
        assert!(page.contains("(`#![forbid(unsafe_code)]`): `a/src/lib.rs`.\n"));
        assert!(page.contains("### a/src/lib.rs\n"));
        assert!(page.contains("| `<A as Sync>` | `unsafe impl` | a \\| b. |\n"));
        let page = super::orderings(&sources, &[orderings::find(&sources[0])]);
        assert!(page.contains("## Operations: 1\n"));
        assert!(page.contains("| `f` | `a.load` | Relaxed | Relaxed: why. |\n"));
    }

    #[test]
    fn a_page_stays_when_lines_move() {
        let page = |text: &str| {
            let sources = [Source::new("a/src/lib.rs", text, false)];
            super::orderings(&sources, &[orderings::find(&sources[0])])
        };
        assert_eq!(page(TEXT), page(&format!("\n\n// More.\n{TEXT}")));
    }

    #[test]
    fn a_difference_is_shown_with_its_heading() {
        assert_eq!(difference("# a\nb\n", "# a\nb\n"), None);
        let shown = difference("# a\nb\n", "# a\nb\nc\n").unwrap();
        assert_eq!(shown, "below \"# a\"\n- (the end)\n+ c");
    }
}
