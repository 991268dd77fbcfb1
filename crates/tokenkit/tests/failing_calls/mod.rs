//! A small library in C that is loaded before the C library: by it calls that
//! write to the data folder fail. Whatever builds this program has a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The library, built.
pub(crate) struct FailingCalls {
    folder: TempDir,
}

impl FailingCalls {
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failing_calls/failing_calls.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(folder.path().join("failing_calls.so"))
            .arg(source)
            .arg("-ldl")
            .status()
            .expect("a C compiler (cc), as the key store needs one to be built");
        assert!(built.success());
        Self { folder }
    }

    /// A file beside it, which makes calls fail or tells of it.
    pub(crate) fn mark(&self) -> PathBuf {
        self.folder.path().join("mark")
    }

    /// Has a command load it.
    pub(crate) fn load(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.folder.path().join("failing_calls.so"));
    }
}
