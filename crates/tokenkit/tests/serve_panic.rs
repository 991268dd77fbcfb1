//! A task of the running server that panics with a client's key and token in
//! its hands: its message and its log show neither, and others are served on.
//!
//! Invariant 6. Nothing in the server is there to panic. It is made to by a clock
//! that fails the thread which has just read a request, at its first look at it
//! after that, its second, and so on until the answer was out: by way of a small
//! library in C, which is loaded before the C library. Whatever builds this
//! program has a C compiler.
#![cfg(target_os = "linux")]

mod serve_support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serve_support::{Server, command};
use tempfile::TempDir;
use tests::canaries::Canaries;

/// More looks at the clock than a request needs.
const MOST_LOOKS: u32 = 30;

/// Builds the library, in a folder.
fn failing_clock(folder: &TempDir) -> PathBuf {
    let library = folder.path().join("failing_clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve_panic/failing_clock.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([library.as_path(), source.as_path()])
        .arg("-ldl")
        .status()
        .expect("a C compiler (cc), as the key store needs one to be built");
    assert!(built.success());
    library
}

/// Whether a request was answered whose thread the clock fails at a look. What
/// came of it shows no secret.
fn is_answered(library: &Path, at: u32) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(folder.path());
    serve
        .arg("serve")
        .env("LD_PRELOAD", library)
        .env("RUST_BACKTRACE", "full");
    let mut server = Server::start_by(serve, folder, "", "level = \"trace\"\n");
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let session = server.json(&["session", "create", "--project", "default", "--user", "u"]);
    let (key, token) = (server.key(), session["token"].as_str().unwrap());
    let mut canaries = Canaries::default();
    canaries.add("the server secret", secret.expose());
    canaries.key("the key", key, Some(&secret));
    canaries.token("the token", token, Some(&secret));

    let mut client = server.connect();
    client.send(format!(
        "GET /a HTTP/1.1\r\nhost: a\r\napi-key: {key}\r\nauthorization: Bearer {token}\r\n\
         x-clock-fails-at: {at};\r\nconnection: close\r\n\r\n"
    ));
    let mut answer = Vec::new();
    // One that breaks off is none.
    let _ = client.stream.read_to_end(&mut answer);
    canaries.absent("an answer", &answer);
    let is_answered = answer.starts_with(b"HTTP/1.1 200 ");
    if !is_answered {
        assert_eq!(
            server.get("/others", "").status,
            200,
            "others are served on"
        );
    }
    server.signal("TERM");
    server.wait();
    let log = server.log();
    assert!(is_answered || log.contains("panicked at"), "{at}: {log}");
    canaries.absent("the log", log.as_bytes());
    is_answered
}

#[test]
fn a_task_that_panics_shows_neither_key_nor_token() {
    let folder = tempfile::tempdir().unwrap();
    let library = failing_clock(&folder);
    let answered = (1..MOST_LOOKS).find(|at| is_answered(&library, *at));
    let answered = answered.expect("the answer is out before it looks so often");
    assert!(answered > 1, "no look at the clock was one too many");
}
