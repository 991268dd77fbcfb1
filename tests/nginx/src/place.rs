//! A folder for one test, with a key store that the program `tokenkit` keeps.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Says where the module is.
const MODULE: &str = "TK_NGINX_MODULE";
/// Says where the program is.
const PROGRAM: &str = "TK_PROGRAM";

/// A folder with a store in `store`. Both end with this.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

/// A key: what is shown of it, and the whole.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its public part.
    pub id: String,
    /// What a client sends.
    pub secret: String,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// An empty folder; the first key makes the store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for temporary files is wanted"),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a key of the project `shop`; `words` are more of `key create`'s.
    pub fn key(&self, words: &[&str]) -> Key {
        let words = [&["key", "create", "--project", "shop", "--json"], words].concat();
        let made = json(&self.tokenkit(&words));
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        Key {
            id: text("id"),
            secret: text("key"),
        }
    }

    /// Makes a session of the project `shop`; its token.
    pub fn session(&self, user: &str, words: &[&str]) -> String {
        let words = [
            &[
                "session",
                "create",
                "--project",
                "shop",
                "--json",
                "--user",
                user,
            ],
            words,
        ]
        .concat();
        let made = json(&self.tokenkit(&words));
        made["token"].as_str().unwrap_or_default().to_owned()
    }

    /// Runs the program on the store, which must succeed; what it printed.
    pub fn tokenkit(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("tokenkit starts");
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The program on the store, without settings from elsewhere.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(given(PROGRAM));
        command
            .arg("--data-dir")
            .arg(self.path("store"))
            .args(words)
            .current_dir(self.folder())
            .env_clear()
            .stdin(Stdio::null());
        command
    }
}

/// The module that is tested.
#[must_use]
pub fn module() -> PathBuf {
    given(MODULE)
}

fn given(name: &str) -> PathBuf {
    std::env::var_os(name)
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{name} is not set: run this by `cargo xtask nginx`"))
}

/// A text as JSON.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
