//! `cargo xtask unsafe`: pages that list every unsafe block with its proof, and
//! every atomic operation with its ordering and why that suffices.
//!
//! Both are made from the code and the comments beside it, so the comments are
//! what has to be true. One that lacks is named with its line. A page that does
//! not say what the code says fails `cargo xtask lint`: so nothing new comes in
//! without being seen in the change. Pages name items, not lines, so that they
//! change only when what they list does.

mod orderings;
mod page;
mod source;
mod tokens;
mod unsafes;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::shell::{Failure, root};

use source::Source;

/// Where the packages lie that the pages are about.
const PACKAGES: &str = "crates";

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

/// A file of a package.
struct File {
    /// From the workspace's root.
    path: String,
    text: String,
    is_test: bool,
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
    let files = files()?;
    let sources: Vec<Source<'_>> = files
        .iter()
        .map(|file| Source::new(&file.path, &file.text, file.is_test))
        .collect();
    let unsafes: Vec<_> = sources.iter().map(unsafes::find).collect();
    let orderings: Vec<_> = sources.iter().map(orderings::find).collect();
    let found = unsafes.iter().chain(&orderings);
    let faults: Vec<&str> = found
        .flat_map(|found| found.faults.iter().map(String::as_str))
        .collect();
    if !faults.is_empty() {
        return Err(Failure::found(format!(
            "{}\n{} unsafe or atomic operations without their reason",
            faults.join("\n"),
            faults.len()
        )));
    }
    Ok([
        ("docs/UNSAFE.md", page::unsafes(&sources, &unsafes)),
        ("docs/ORDERINGS.md", page::orderings(&sources, &orderings)),
    ])
}

/// Every file of Rust below the packages, sorted, each with whether it is for
/// tests alone.
fn files() -> Result<Vec<File>, Failure> {
    let mut paths = Vec::new();
    collect(&root().join(PACKAGES), &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = disk::read(&path)?;
        let from_root = path.strip_prefix(root()).unwrap_or(&path);
        let is_program = |folder| {
            from_root
                .components()
                .any(|part| part.as_os_str() == folder)
        };
        files.push(File {
            path: from_root.to_string_lossy().into_owned(),
            text,
            is_test: is_program("tests") || is_program("examples"),
        });
    }
    spread_tests(&mut files);
    Ok(files)
}

/// The files of Rust in a folder and those below.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |error| Failure::found(format!("cannot read {}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() {
            let is_built = path.file_name().is_some_and(|name| name == "target");
            if !is_built {
                collect(&path, paths)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// Files whose module is declared for tests are for tests, and theirs too.
fn spread_tests(files: &mut [File]) {
    let places: HashMap<String, usize> = files
        .iter()
        .enumerate()
        .map(|(at, file)| (file.path.clone(), at))
        .collect();
    let mut left: Vec<usize> = (0..files.len()).collect();
    while let Some(at) = left.pop() {
        let file = &files[at];
        let modules: Vec<(String, bool)> = Source::new(&file.path, &file.text, file.is_test)
            .modules()
            .map(|(name, is_test)| (name.to_owned(), is_test))
            .collect();
        let folder = folder_of_modules(&file.path).to_owned();
        for (name, is_test) in modules {
            let paths = [
                format!("{folder}/{name}.rs"),
                format!("{folder}/{name}/mod.rs"),
            ];
            let Some(&place) = paths.iter().find_map(|path| places.get(path)) else {
                continue;
            };
            if is_test && !files[place].is_test {
                files[place].is_test = true;
                left.push(place);
            }
        }
    }
}

/// The folder in which a file's modules lie.
fn folder_of_modules(path: &str) -> &str {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder,
        _ => path.trim_end_matches(".rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
            is_test: false,
        }
    }

    #[test]
    fn a_file_is_for_tests_as_its_module_is() {
        let mut files = [
            file("a/src/b/c.rs", "#[cfg(test)] mod deep;"),
            file("a/src/b/c/deep.rs", "mod deeper;"),
            file("a/src/b/c/deep/deeper/mod.rs", ""),
            file(
                "a/src/b/mod.rs",
                "mod c; #[cfg(all(loom, test))] mod tests;",
            ),
            file("a/src/b/tests.rs", ""),
            file("a/src/lib.rs", "mod b;"),
        ];
        spread_tests(&mut files);
        let is_test = files.map(|file| file.is_test);
        assert_eq!(is_test, [false, true, true, false, true, false]);
    }

    /// The files are found at all, and the tests of this workspace are known
    /// for such.
    #[test]
    fn the_packages_are_read() {
        let files = files().unwrap();
        let is_test = |path: &str| {
            let found = files.iter().find(|file| file.path == path);
            found.map(|file| file.is_test)
        };
        assert_eq!(is_test("crates/engine/src/hours.rs"), Some(false));
        assert_eq!(
            is_test("crates/engine/src/ledger/loom_tests.rs"),
            Some(true)
        );
        assert_eq!(is_test("crates/engine/tests/batch.rs"), Some(true));
    }
}
