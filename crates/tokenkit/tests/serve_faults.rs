//! The built server on a disk that is full, fails or is read-only for a while: what cannot be written
//! is refused, all else goes on, and nothing that was used is lost.
#![cfg(target_os = "linux")]

mod failing_calls;
mod serve_support;

use failing_calls::FailingCalls;
use serde_json::{Value, json};
use serve_support::admin::Admin;
use serve_support::{PROGRAM, Server, command, command_by, wait_until};

/// A first start whose standard output is a full disk makes a key and a token that
/// nobody has: it says so where it is read.
#[test]
fn a_first_key_that_cannot_be_shown_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command_by("sh", folder.path());
    serve.args(["-c", "exec \"$0\" serve > /dev/full", PROGRAM]);
    let server = Server::start_by(serve, folder, "", "");
    server.wait_for_log("were made but could not be shown: revoke both");
    let id = server.json(&["key", "list"])[0]["id"].clone();
    server.wait_for_log(&format!("\"key\":{id}"));
}

/// The ids of all keys.
fn ids(admin: &Admin) -> Vec<String> {
    let keys = admin.see("/v1/keys")["keys"].clone();
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_full_disk_stops_changes_and_nothing_else() {
    changes_stop_and_nothing_else("full", "is full");
}

#[test]
fn a_failing_disk_stops_changes_and_nothing_else() {
    changes_stop_and_nothing_else("failing", "fails or is full");
}

#[test]
fn a_disk_that_nothing_reaches_stops_changes_and_nothing_else() {
    changes_stop_and_nothing_else("syncs", "fails or is full");
}

#[test]
fn a_disk_that_became_read_only_stops_changes_and_nothing_else() {
    changes_stop_and_nothing_else("readonly", "fails or is full");
}

/// While calls fail as `how` says, which is logged as `told`.
fn changes_stop_and_nothing_else(how: &str, told: &str) {
    let failing = FailingCalls::build();
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(folder.path());
    failing.load(&mut serve);
    serve
        .arg("serve")
        .env("FAIL_WHILE", failing.mark())
        .env("FAIL_HOW", how)
        .env("TOKENKIT_STORE_DATA_DIR", "tokenkit-data");
    let server = Server::start_by(serve, folder, "", "[usage]\ninterval_s = 1\n");
    let admin = Admin::first(&server);
    let key = admin.make("/v1/keys", &json!({ "project": "p" }));
    let value = key["key"].as_str().unwrap();
    let mut admitted = 0_u64;
    let mut ask = || {
        assert_eq!(server.get_with(value).status, 200);
        admitted += 1;
    };
    ask();
    let known = ids(&admin);

    std::fs::write(failing.mark(), "").unwrap();
    for (line, body) in [
        ("POST /v1/keys", json!({ "project": "p" })),
        ("POST /v1/tokens", json!({ "name": "t", "scope": "read" })),
        ("POST /v1/projects", json!({ "name": "new" })),
        (&format!("POST /v1/keys/{}/rotate", known[0]), json!({})),
        (&format!("POST /v1/keys/{}/revoke", known[0]), json!({})),
    ] {
        let refused = admin.send(line, "", &body);
        assert_eq!(
            (refused.status, refused.problem()),
            (503, "store_not_writable".into()),
            "{line}: {}",
            refused.text()
        );
        ask();
    }
    assert_eq!(ids(&admin), known);
    server.wait_for_log(told);
    wait_until("it is known that units are unsaved", || {
        server.metric("tokenkit_usage_unsaved_units") > 0
    });
    assert_eq!(server.admin("/healthz").status, 200);

    std::fs::remove_file(failing.mark()).unwrap();
    admin.make("/v1/keys", &json!({ "project": "p" }));
    assert_eq!(ids(&admin).len(), known.len() + 1);
    ask();
    let recorded = || {
        let usage = admin.see("/v1/usage?final=false");
        let rows = usage["usage"].as_array().unwrap().iter();
        rows.map(|row: &Value| row["units"].as_u64().unwrap())
            .sum::<u64>()
    };
    wait_until("all is recorded", || recorded() == admitted);
    assert_eq!(server.metric("tokenkit_usage_overwritten_units_total"), 0);
}
