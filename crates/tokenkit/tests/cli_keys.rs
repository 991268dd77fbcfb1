//! `tokenkit key` and `tokenkit session`: what works.

mod cli_support;

use std::io::Read;
use std::process::Stdio;

use cli_support::{Place, json};
use serde_json::{Value, json as value};

#[test]
fn a_key_is_made_and_shown_with_all_that_was_asked_for() {
    let place = Place::new();
    let made = json(&place.ok(&[
        "key",
        "create",
        "--project",
        "p1",
        "--name",
        "Zürich",
        "--limit",
        "100",
        "--expires",
        "2100-01-01T00:00:00Z",
        "--origin",
        "https://*.example.com",
        "--origin",
        "null",
        "--ip",
        "10.0.0.0/8",
        "--require-origin",
        "--prefix",
        "tk_test",
        "--json",
    ]));
    let key = made["key"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(
        key.starts_with(&format!("tk_test_{id}")) && key.len() == 56,
        "{key}"
    );
    let mut shown = place.show(id);
    let created_at = shown["created_at"].take();
    assert!(created_at.as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        shown,
        value!({
            "id": id, "prefix": "tk_test", "project": "p1", "name": "Zürich", "state": "active", "hourly_limit": 100,
            "expires_at": 4_102_444_800_u64, "require_origin": true, "origins": ["https://*.example.com", "null"],
            "ips": ["10.0.0.0/8"], "created_at": null, "revoked_at": null,
            "revoked_reason": null, "replaces": null,
        })
    );
}

#[test]
fn the_secret_is_printed_once_at_creation_and_nowhere_else() {
    let place = Place::new();
    let out = place.ok(&["key", "create", "--project", "p1"]);
    let key = out
        .split_whitespace()
        .find(|word| word.starts_with("tk_live_"))
        .unwrap();
    assert_eq!(out.matches(key).count(), 1);
    let id = &key[8..18];
    let secret = &key[18..50];
    let token = json(&place.ok(&[
        "session",
        "create",
        "--project",
        "p1",
        "--user",
        "u",
        "--json",
    ]));
    let token = token["token"].as_str().unwrap();
    for arguments in [
        &["key", "list"][..],
        &["key", "list", "--json"],
        &["key", "show", id],
        &["key", "show", id, "--json"],
        &["key", "export"],
        &["key", "export", "--with-digests"],
        &["key", "export", "--format", "jsonl", "--with-digests"],
        &["key", "set", id, "--limit", "1"],
        &["key", "disable", id],
        &["session", "list"],
        &["session", "list", "--json"],
    ] {
        let out = place.ok(arguments);
        assert!(
            !out.contains(secret) && !out.contains(&token[10..]),
            "{arguments:?}"
        );
    }
    for name in ["tokenkit.db", "tokenkit.db-wal"] {
        let bytes = std::fs::read(place.path("tokenkit-data").join(name)).unwrap_or_default();
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "{name}"
        );
    }
}

#[test]
fn keys_are_listed_by_project_and_state() {
    let place = Place::new();
    let (one, _) = place.key();
    let two = json(&place.ok(&[
        "key",
        "create",
        "--project",
        "p2",
        "--name",
        "second",
        "--json",
    ]));
    let two = two["id"].as_str().unwrap();
    place.ok(&["key", "disable", two]);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let listed = json(&place.ok(&[&["key", "list", "--json"], arguments].concat()));
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["id"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(ids(&[]), [one.as_str(), two]);
    assert_eq!(ids(&["--project", "p2"]), [two]);
    assert_eq!(ids(&["--state", "active"]), [one.as_str()]);
    assert!(ids(&["--state", "revoked"]).is_empty());
    let table = place.ok(&["key", "list"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "ID", "PREFIX", "PROJECT", "STATE", "LIMIT/H", "EXPIRES", "NAME"
        ]
    );
    assert_eq!(
        lines[1],
        [
            one.as_str(),
            "tk_live",
            "p1",
            "active",
            "unlimited",
            "never"
        ]
    );
    assert_eq!(
        lines[2],
        [
            two,
            "tk_live",
            "p2",
            "disabled",
            "unlimited",
            "never",
            "second"
        ]
    );
}

#[test]
fn states_change_and_revoked_is_for_ever() {
    let place = Place::new();
    let (one, _) = place.key();
    let (two, _) = place.key();
    assert_eq!(
        place.ok(&["key", "disable", &one]),
        format!("Key {one} is disabled.\n")
    );
    assert_eq!(
        place.ok(&["key", "enable", &one]),
        format!("Key {one} is active.\n")
    );
    let ran = place.run_with(&["key", "revoke", "-"], &format!("{one}\n\n  {two}\n"));
    assert_eq!(
        (ran.code, ran.out),
        (
            Some(0),
            format!("Key {one} is revoked.\nKey {two} is revoked.\n")
        )
    );
    assert!(place.show(&one)["revoked_at"].is_u64());
    let (three, _) = place.key();
    for command in ["enable", "disable"] {
        let line = place.refused(&["key", command, &three, &one]);
        assert!(
            line.starts_with(&format!("key {one} was revoked, which is for ever")),
            "{line}"
        );
    }
    assert_eq!(
        place.show(&three)["state"],
        "active",
        "all that are named, or none"
    );
    place.ok(&["key", "revoke", &one]);
}

#[test]
fn each_part_of_a_key_is_set_and_unset_alone() {
    let place = Place::new();
    let (id, _) = place.key();
    let before = place.show(&id);
    let mut expected = before.clone();
    for (arguments, member, after) in [
        (&["--limit", "5"][..], "hourly_limit", value!(5)),
        (&["--limit", "0"], "hourly_limit", value!(0)),
        (
            &["--limit", "68719476734"],
            "hourly_limit",
            value!(68_719_476_734_u64),
        ),
        (&["--limit", "none"], "hourly_limit", Value::Null),
        (&["--limit", "7"], "hourly_limit", value!(7)),
        (&["--limit", "unlimited"], "hourly_limit", Value::Null),
        (
            &["--expires", "4102444800"],
            "expires_at",
            value!(4_102_444_800_u64),
        ),
        (&["--expires", "none"], "expires_at", Value::Null),
        (
            &["--expires", "9999-12-31T23:59:59Z"],
            "expires_at",
            value!(253_402_207_200_u64),
        ),
        (&["--expires", "never"], "expires_at", Value::Null),
        (
            &["--origin", "https://a.example", "--origin", "null"],
            "origins",
            value!(["https://a.example", "null"]),
        ),
        (&["--origin", "none"], "origins", value!([])),
        (&["--ip", "::1"], "ips", value!(["::1/128"])),
        (&["--ip", "none"], "ips", value!([])),
        (
            &["--require-origin", "true"],
            "require_origin",
            value!(true),
        ),
        (
            &["--require-origin", "false"],
            "require_origin",
            value!(false),
        ),
        (&["--name", "x"], "name", value!("x")),
        (&["--name", ""], "name", value!("")),
    ] {
        let out = json(&place.ok(&[&["key", "set", &id, "--json"], arguments].concat()));
        expected[member] = after;
        assert_eq!(out, expected, "{arguments:?}");
        assert_eq!(place.show(&id), expected, "{arguments:?}");
    }
    assert_eq!(expected, before);
}

#[test]
fn sessions_are_made_listed_and_ended_by_id_or_token() {
    let place = Place::new();
    place.key();
    let make = |user: &str, expires: &[&str]| {
        let arguments = [
            "session",
            "create",
            "--project",
            "p1",
            "--user",
            user,
            "--json",
        ];
        json(&place.ok(&[&arguments[..], expires].concat()))
    };
    let one = make("u1", &["--expires", "12h"]);
    let two = make("u2", &[]);
    let id = one["id"].as_str().unwrap();
    assert!(one["token"].as_str().unwrap().starts_with(id));
    assert_eq!(
        one["expires_at"].as_u64().unwrap() - one["created_at"].as_u64().unwrap(),
        12 * 3600
    );
    assert_eq!(
        place.ok(&["session", "end", id]),
        format!("Session {id} is ended.\n")
    );
    let ran = place.run_with(
        &["session", "end", "-"],
        &format!("{}\n", two["token"].as_str().unwrap()),
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "The session is ended.\n")
    );
    let listed = json(&place.ok(&["session", "list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    for session in listed.as_array().unwrap() {
        assert_eq!(session["state"], "ended");
        assert!(session.get("token").is_none());
    }
    let table = place.ok(&["session", "list"]);
    assert!(
        table.starts_with("ID          PROJECT  STATE  EXPIRES"),
        "{table}"
    );
    let ran = place.run_with(&["session", "end", "-"], "no such token");
    assert!(ran.refused().starts_with("there is no such session"));
    assert!(
        place
            .refused(&["session", "end", "0000000000"])
            .starts_with("there is no such session")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let (_, key) = place.key();
    assert!(key.len() > 50);
    // Far more than a pipe holds.
    let rows: String = (0..3000).map(|_| place_row()).collect();
    place.write("keys.jsonl", rows);
    place.ok(&["key", "import", "keys.jsonl"]);
    for arguments in [
        &["key", "list"][..],
        &["key", "list", "--json"],
        &["key", "export"],
    ] {
        let mut child = place
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// A JSON line with a new key.
fn place_row() -> String {
    let prefix = "tk_live".parse().unwrap();
    let key = engine::SecretKey::generate(&prefix).unwrap();
    format!(
        "{}\n",
        value!({"key": key.expose(), "project": "p1", "name": "x".repeat(100)})
    )
}

#[test]
fn config_prints_a_file_that_can_be_used() {
    let place = Place::new();
    let text = place.ok(&["config"]);
    place.write("all.toml", &text);
    place.ok(&["--config", "all.toml", "key", "create", "--project", "p1"]);
    assert!(
        place.path("tokenkit-data/tokenkit.db").exists(),
        "its defaults are those of no file"
    );
}

#[cfg(unix)]
#[test]
fn what_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.key();
    for (name, mode) in [
        ("tokenkit-data", 0o700),
        ("tokenkit-data/tokenkit.secret", 0o600),
        ("tokenkit-data/tokenkit.db", 0o600),
    ] {
        let found = std::fs::metadata(place.path(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(found, mode, "{name}");
    }
}
