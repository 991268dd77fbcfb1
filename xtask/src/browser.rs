//! The pages in a real browser: tests in `tests/browser`, and pictures of the
//! pages for the documents.

use std::path::Path;

use crate::built;
use crate::shell::{Failure, Program, root};

/// Where the tests are.
const FOLDER: &str = "tests/browser";
/// The least version of Node: its own test runner is what runs them.
const NODE: u32 = 20;
const INSTALL_NODE: &str = "version 20 or later, with npm, from your system or nodejs.org";
const INSTALL_CHROMIUM: &str =
    "apt-get install chromium (or your system's like), or name one by TK_CHROMIUM";
/// Where systems put it.
const CHROMIUM: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Runs the tests.
pub(crate) fn run() -> Result<(), Failure> {
    let folder = root().join(FOLDER);
    let entries = std::fs::read_dir(&folder)
        .map_err(|cause| Failure::found(format!("{FOLDER} cannot be read: {cause}")))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut tests: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".test.js"))
        .map(|name| format!("{FOLDER}/{name}"))
        .collect();
    tests.sort();
    let node =
        node()?.words("--test --test-reporter=spec --test-concurrency=2 --test-timeout=300000");
    tests.iter().fold(node, Program::arg).run()
}

/// Writes the pictures of the documents.
pub(crate) fn screenshots() -> Result<(), Failure> {
    let node = node()?;
    let usage = built::by_tests()?.join("examples/made_up_usage");
    node.env("TK_MADE_UP_USAGE", &usage.to_string_lossy())
        .arg(format!("{FOLDER}/screenshots.js"))
        .arg(root().join("docs/images").to_string_lossy())
        .run()
}

/// Node with all that the tests need: the program, what they import, Chromium.
fn node() -> Result<Program, Failure> {
    let version = Program::new("node").arg("--version").output();
    let major = version.ok().and_then(|version| {
        let major = version.trim().strip_prefix('v')?.split('.').next()?;
        major.parse::<u32>().ok()
    });
    if major.is_none_or(|major| major < NODE) {
        return Err(Failure::missing("Node", INSTALL_NODE));
    }
    if !Program::new("npm").arg("--version").succeeds() {
        return Err(Failure::missing("npm", INSTALL_NODE));
    }
    let named = std::env::var("TK_CHROMIUM").ok();
    let found = CHROMIUM.into_iter().find(|path| Path::new(path).is_file());
    let chromium = named
        .or(found.map(str::to_owned))
        .ok_or_else(|| Failure::missing("Chromium", INSTALL_CHROMIUM))?;
    // What the lock names, no more and no less.
    Program::new("npm")
        .words("ci --silent --prefer-offline --prefix")
        .arg(FOLDER)
        .run()?;
    let program = built::program()?;
    Ok(Program::new("node")
        .env("TK_PROGRAM", &program.to_string_lossy())
        .env("TK_CHROMIUM", &chromium))
}
