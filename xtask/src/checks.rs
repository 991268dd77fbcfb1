//! The quick habits: lint, test, trace, deny.

use std::path::PathBuf;

use crate::built;
use crate::proofs;
use crate::shell::{Failure, Program, files, root};

/// Names folders with more traces, separated as in `PATH`: the tests read it.
/// The program would take a name that begins as its own do for a setting.
const TRACES: &str = "TK_TRACES";

/// Where traces that other implementations share lie, if they do.
const SHARED_TRACES: &str = "../shared/vectors";

/// Formatting, clippy and rustdoc, with warnings as errors; the fuzz targets,
/// a workspace of their own, included. And the pages of what is unsafe.
pub(crate) fn lint() -> Result<(), Failure> {
    Program::cargo("fmt --all --check").run()?;
    Program::cargo("fmt --manifest-path fuzz/Cargo.toml --check").run()?;
    proofs::check()?;
    Program::cargo("clippy --workspace --all-targets -- -D warnings").run()?;
    Program::cargo("clippy --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings").run()?;
    Program::cargo("doc --workspace --no-deps --document-private-items")
        .flags("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Every test of the workspace: the command that the README names. The shared
/// traces, where they lie beside the project, go through the same tests as its
/// own.
pub(crate) fn test() -> Result<(), Failure> {
    let test = Program::cargo("test --workspace");
    let shared = root().join(SHARED_TRACES);
    if std::env::var_os(TRACES).is_none() && shared.is_dir() {
        test.env(TRACES, &shared.to_string_lossy()).run()
    } else {
        test.run()
    }
}

/// Replays traces through the program: those given, or the project's own and
/// the shared ones.
pub(crate) fn trace(given: Vec<String>) -> Result<(), Failure> {
    let traces = if given.is_empty() {
        let own = files("tests/traces", ".json");
        if own.is_empty() {
            return Err(Failure::found("tests/traces holds no trace"));
        }
        own.into_iter().chain(shared_traces()).collect()
    } else {
        given
            .iter()
            .map(|file| from_here(file))
            .collect::<Result<Vec<_>, _>>()?
    };
    let replay = Program::new(&built::program()?.to_string_lossy()).arg("replay");
    let add = |replay: Program, file: PathBuf| replay.arg(file.to_string_lossy());
    traces.into_iter().fold(replay, add).run()
}

/// The traces of the folders that are named, or of the one beside the project.
fn shared_traces() -> Vec<PathBuf> {
    let folders = match std::env::var_os(TRACES) {
        Some(named) => std::env::split_paths(&named)
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect(),
        None => vec![PathBuf::from(SHARED_TRACES)],
    };
    folders
        .iter()
        .flat_map(|folder| files(folder, ".json"))
        .collect()
}

/// A file named by the caller, whose folder may be another than the root.
fn from_here(file: &str) -> Result<PathBuf, Failure> {
    std::path::absolute(file)
        .map_err(|error| Failure::found(format!("cannot find {file}: {error}")))
}

/// Licences, bans and sources of all dependencies, those of the fuzz targets
/// included; advisories where their database lies on this machine.
pub(crate) fn deny() -> Result<(), Failure> {
    if !Program::cargo("deny --version").succeeds() {
        return Err(Failure::missing(
            "cargo-deny",
            "cargo install cargo-deny --locked",
        ));
    }
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        cargo_deny(manifest)
            // One list serves two graphs: an exception may be of the other.
            .words("check --hide-inclusion-graph --allow license-exception-not-encountered")
            .words("bans licenses sources")
            .run()?;
        if has_advisories() {
            cargo_deny(manifest)
                .words("--offline check advisories")
                .run()?;
        }
    }
    if !has_advisories() {
        eprintln!(
            "advisories were not checked: their database is not on this machine (cargo deny fetch db)"
        );
    }
    Ok(())
}

/// cargo-deny over one lock file, by the one configuration.
fn cargo_deny(manifest: &str) -> Program {
    Program::cargo("deny --all-features --locked --manifest-path")
        .arg(manifest)
        .arg("--config")
        .arg(root().join("deny.toml").to_string_lossy())
}

/// Whether an advisory database was fetched to where cargo-deny keeps it: a
/// repository. A fetch that failed leaves the folder around it.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok())
        .is_some_and(|entries| {
            let mut entries = entries.flatten();
            entries.any(|entry| entry.path().join(".git").exists())
        })
}
