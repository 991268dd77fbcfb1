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

/// The names of loom's models in a file: functions that are called so.
fn models<'a>(source: &Source<'a>) -> impl Iterator<Item = &'a str> {
    let names = (0..source.tokens.len()).filter_map(|at| {
        let name = source.after(at).filter(|_| source.tokens[at].is("fn"));
        source.word(name)
    });
    names.filter(|name| name.starts_with("loom_"))
}
