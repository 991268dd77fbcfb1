//! `cargo xtask unsafe`: pages that list every unsafe block with its proof, and
//! every atomic operation with its ordering and why that suffices.
//!
//! Both are made from the code and the comments beside it, so the comments are
//! what has to be true. One that lacks is named with its line. A page that does
//! not say what the code says fails `cargo xtask lint`: so nothing new comes in
//! without being seen in the change. Pages name items, not lines, so that they
//! change only when what they list does.
//!
//! It sees words, not what a compiler makes of them. So what could put code out
//! of its sight is a fault too: a name that stands for another, an ordering that
//! comes from elsewhere ([`calls`]), a file that is read by another way than
//! `mod` ([`hidden`]), an atomic that the schedulers cannot replace ([`door`]).

mod calls;
mod door;
mod files;
mod hidden;
mod orderings;
mod page;
mod source;
mod tokens;
mod unsafes;

use std::fs;

use crate::disk;
use crate::shell::{Failure, root};

use source::Source;

/// Something listed.
struct Finding {
    /// The item that it is in, within its file.
    item: String,
    /// Markdown: what it is. Of an operation, two columns.
    what: String,
    /// The comment that proves it.
    why: String,
    is_test: bool,
}

/// What a file holds.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// What is wrong, each with its place.
    faults: Vec<String>,
}

/// Writes both pages.
pub(crate) fn write() -> Result<(), Failure> {
    for (path, page) in pages()? {
        disk::write(&root().join(path), &page)?;
        println!("{path} is written");
    }
    Ok(())
}

/// Fails if a comment lacks, or a page is not what the code says.
pub(crate) fn check() -> Result<(), Failure> {
    eprintln!("+ cargo xtask unsafe --check");
    for (path, page) in pages()? {
        let there = fs::read_to_string(root().join(path)).unwrap_or_default();
        if let Some(difference) = page::difference(&there, &page) {
            return Err(Failure::found(format!(
                "{path} is not what the code says: `cargo xtask unsafe` writes it\n{difference}"
            )));
        }
    }
    Ok(())
}

/// Both pages, each with its path.
fn pages() -> Result<[(&'static str, String); 2], Failure> {
    let files = files::all()?;
    let sources: Vec<Source<'_>> = files
        .iter()
        .map(|file| Source::new(&file.path, &file.text, file.is_test))
        .collect();
    let unsafes: Vec<_> = sources.iter().map(unsafes::find).collect();
    let orderings: Vec<_> = sources.iter().map(orderings::find).collect();
    let found = unsafes.iter().chain(&orderings);
    let mut faults: Vec<String> = found.flat_map(|found| found.faults.clone()).collect();
    faults.extend(hidden::faults(&sources));
    faults.extend(calls::unneeded(&sources));
    faults.extend(door::faults(&sources));
    if !faults.is_empty() {
        return Err(Failure::found(format!(
            "{}\n{} things that are unsafe or atomic without their reason, or out of its sight",
            faults.join("\n"),
            faults.len()
        )));
    }
    Ok([
        ("docs/UNSAFE.md", page::unsafes(&sources, &unsafes)),
        ("docs/ORDERINGS.md", page::orderings(&sources, &orderings)),
    ])
}

/// How many tests of the engine have a text in their path, as a filter of the
/// test harness takes it: the modules that its files are, those within, and the
/// function.
pub(crate) fn engine_tests(named: &str) -> Result<u64, Failure> {
    let files = files::all()?;
    let sources = files.iter().filter_map(|file| {
        let path = file.path.strip_prefix(door::ENGINE)?;
        Some(Source::new(path, &file.text, file.is_test))
    });
    Ok(sources.map(|source| count_tests(&source, named)).sum())
}

/// How many tests of a file have a text in their path.
fn count_tests(source: &Source<'_>, named: &str) -> u64 {
    let is_attribute = |at: usize| {
        let words = ["#", "[", "test", "]"];
        let tokens = source.tokens[at..].iter();
        tokens.len() >= words.len() && tokens.zip(words).all(|(token, word)| token.is(word))
    };
    let is_named = |at: &usize| source.path.contains(named) || source.item(*at).contains(named);
    let places = (0..source.tokens.len()).filter(|&at| is_attribute(at));
    places.filter(is_named).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_their_path() {
        let text = "
            #[test] fn loom_one() {}
            #[test] fn two() {}
            // #[test] fn loom_three() {}
            mod loom_tests { #[test] #[should_panic] fn four() {} fn five() {} }
        ";
        let count = |path| count_tests(&Source::new(path, text, false), "loom");
        assert_eq!(count("a.rs"), 2);
        assert_eq!(count("a/loom_tests.rs"), 3);
    }

    #[test]
    fn the_engine_has_models_and_schedules() {
        assert!(engine_tests("loom").unwrap() > 30);
        assert!(engine_tests("shuttle").unwrap() > 10);
        assert_eq!(engine_tests("no such test").unwrap(), 0);
    }
}
