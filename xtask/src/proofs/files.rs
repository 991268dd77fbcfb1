//! Which files there are, and which of them are for tests alone.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::Source;
use crate::disk;
use crate::shell::{Failure, root};

/// Where the packages lie that others build on.
pub(super) const PACKAGES: &str = "crates";

/// What stands around them, and is never part of what runs: unsafe code needs
/// its proof here too.
const AROUND: [&str; 4] = ["benches", "fuzz", "tests", "xtask"];

/// A file of a package.
pub(super) struct File {
    /// From the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) is_test: bool,
}

/// Every file of Rust in the packages and around them, sorted, each with whether
/// it is for tests alone.
pub(super) fn all() -> Result<Vec<File>, Failure> {
    let mut paths = Vec::new();
    for folder in [PACKAGES].into_iter().chain(AROUND) {
        collect(&root().join(folder), &mut paths)?;
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = disk::read(&path)?;
        let path = from_root(&path);
        let is_test = is_outside(&path);
        files.push(File {
            path,
            text,
            is_test,
        });
    }
    spread_tests(&mut files);
    Ok(files)
}

fn from_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// Whether a path is no part of what a package brings: `crates/*/tests/…`,
/// `crates/*/examples/…`, and what stands around the packages. A folder of that
/// name deeper down is a module like others.
fn is_outside(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match &parts[..] {
        [PACKAGES, _, folder, _, ..] => ["tests", "examples"].contains(folder),
        [first, ..] => *first != PACKAGES,
        [] => false,
    }
}

/// Whether a folder holds what was built: `crates/*/target`, and that of the
/// fuzz targets, a workspace of their own.
fn is_built(folder: &str) -> bool {
    let parts: Vec<&str> = folder.split('/').collect();
    matches!(
        &parts[..],
        [PACKAGES, _, "target"] | ["fuzz", "target"] | ["target"]
    )
}

/// The files of Rust in a folder and those below.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |error| Failure::found(format!("cannot read {}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() {
            if !is_built(&from_root(&path)) {
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
        let files = all().unwrap();
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
        for around in [
            "benches/src/abi.rs",
            "fuzz/fuzz_targets/capi.rs",
            "tests/tests/wiped.rs",
            "xtask/src/main.rs",
        ] {
            assert_eq!(is_test(around), Some(true), "{around}");
        }
    }

    #[test]
    fn only_what_is_beside_the_sources_is_for_tests() {
        for (path, outside) in [
            ("crates/engine/tests/batch.rs", true),
            ("crates/store/examples/a/main.rs", true),
            ("benches/src/abi.rs", true),
            ("crates/engine/src/tests/mod.rs", false),
            ("crates/engine/src/a/examples/b.rs", false),
            ("crates/tests/src/lib.rs", false),
            ("crates/engine/tests.rs", false),
        ] {
            assert_eq!(is_outside(path), outside, "{path}");
        }
    }

    #[test]
    fn only_what_is_built_is_left_out() {
        for (folder, built) in [
            ("target", true),
            ("fuzz/target", true),
            ("crates/engine/target", true),
            ("crates/engine/src/target", false),
            ("crates/target", false),
            ("tests/src/target", false),
        ] {
            assert_eq!(is_built(folder), built, "{folder}");
        }
    }
}
