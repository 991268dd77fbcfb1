//! The quick habits: lint, test, trace, deny.

use crate::shell::{Failure, Program, files, root};

/// Formatting, clippy and rustdoc, with warnings as errors.
pub(crate) fn lint() -> Result<(), Failure> {
    Program::cargo("fmt --all --check").run()?;
    Program::cargo("clippy --workspace --all-targets -- -D warnings").run()?;
    Program::cargo("doc --workspace --no-deps --document-private-items")
        .flags("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Every test of the workspace: the command that the README names.
pub(crate) fn test() -> Result<(), Failure> {
    Program::cargo("test --workspace").run()
}

/// Replays traces through the program: those given, or the project's own and
/// the shared vectors where they lie beside the project.
pub(crate) fn trace(given: Vec<String>) -> Result<(), Failure> {
    let traces = if given.is_empty() {
        let own = files("tests/traces", ".json");
        if own.is_empty() {
            return Err(Failure::found("tests/traces holds no trace"));
        }
        let shared = files("../shared/vectors", ".json");
        own.iter()
            .chain(&shared)
            .map(|path| path.display().to_string())
            .collect()
    } else {
        given
            .iter()
            .map(|file| from_here(file))
            .collect::<Result<Vec<_>, _>>()?
    };
    let replay = Program::cargo("run --release --package tokenkit -- replay");
    traces.into_iter().fold(replay, Program::arg).run()
}

/// A file named by the caller, whose folder may be another than the root.
fn from_here(file: &str) -> Result<String, Failure> {
    let path = std::path::absolute(file)
        .map_err(|error| Failure::found(format!("cannot find {file}: {error}")))?;
    Ok(path.display().to_string())
}

/// Licences, bans and sources of all dependencies, those of the fuzz targets
/// included; advisories where their database lies on this machine.
pub(crate) fn deny() -> Result<(), Failure> {
    if !Program::cargo("deny --version").succeeds() {
        return Err(Failure::found(
            "cargo-deny is not installed: cargo install cargo-deny --locked",
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

/// Whether an advisory database was fetched to where cargo-deny keeps it.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok())
        .is_some_and(|mut entries| entries.next().is_some())
}
