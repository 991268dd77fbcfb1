//! `tokenkit explain` beside a running server: what it tells is what the server
//! then answers, and it changes nothing.
#![cfg(target_os = "linux")]

mod serve_support;

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use serve_support::admin::Admin;
use serve_support::{Server, command, wait_until, within_an_hour};

const SETTINGS: &str = "[failures]\nthreshold = 3\n\
    [cors]\norigins = [\"https://console.example.com\"]\n\
    [[routes]]\npath = \"/me/**\"\nneeds_user = true\ncost = 2\n\
    [[routes]]\nmethods = [\"POST\"]\npath = \"/dear\"\ncost = 4\n\
    [[shadow]]\nall = true\nreasons = [\"ip_denied\"]\n";

/// Runs the command with something on its standard input.
fn explain(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut child = command(&server.path(""))
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads none may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn explained(server: &Server, arguments: &[&str], input: &str) -> Value {
    let output = explain(server, &[arguments, &["--json"]].concat(), input);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let code = i32::from(told["decision"]["allowed"] == false);
    assert_eq!(output.status.code(), Some(code));
    told
}

fn ledger(server: &Server) -> Vec<u8> {
    std::fs::read(server.path("data/tokenkit.ledger")).unwrap()
}

/// One request.
struct Ask<'a> {
    line: &'a str,
    key: Option<&'a str>,
    origin: Option<&'a str>,
    bearer: Option<&'a str>,
}

/// Tells of a request, makes it, and compares; the reason of both.
fn compare(server: &Server, ask: &Ask<'_>) -> String {
    let (method, path) = ask.line.split_once(' ').unwrap();
    let mut arguments = vec!["--ip", "127.0.0.1", "--method", method, "--path", path];
    let (mut head, mut input) = (String::new(), String::new());
    if let Some(key) = ask.key {
        arguments.extend(["--key", "-"]);
        input += &format!("{key}\n");
        head += &format!("api-key: {key}\r\n");
    }
    if let Some(token) = ask.bearer {
        arguments.extend(["--bearer", "-"]);
        input += &format!("{token}\n");
        head += &format!("authorization: Bearer {token}\r\n");
    }
    if let Some(origin) = ask.origin {
        arguments.extend(["--origin", origin]);
        head += &format!("origin: {origin}\r\n");
    }
    let before = ledger(server);
    let told = explained(server, &arguments, &input);
    assert!(ledger(server) == before, "the ledger was changed");
    let answer = server.ask(ask.line, &head);
    let decision = &told["decision"];
    assert_eq!(decision["status"], answer.status, "{told}\n{answer:?}");
    let body = answer.json();
    if answer.status == 200 {
        for name in ["key", "project", "user", "limit", "remaining"] {
            assert_eq!(decision[name], body[name], "{name}: {told}");
        }
    } else {
        assert_eq!(decision["reason"], body["reason"], "{told}");
        assert_eq!(decision["detail"], body["detail"], "{told}");
    }
    for (name, value) in told["headers"].as_object().unwrap() {
        // The seconds that are left may be fewer by then.
        if name != "ratelimit" && name != "retry-after" {
            assert_eq!(answer.header(name), value.as_str(), "{name}: {answer:?}");
        }
    }
    decision["reason"].as_str().unwrap().into()
}

#[test]
fn what_is_told_is_what_is_answered() {
    within_an_hour(|| {
        let server = Server::start("", SETTINGS);
        let key = server.key().to_owned();
        server.command(&["key", "set", server.key_id(), "--limit", "10"]);
        let made = server.json(&["session", "create", "--project", "default", "--user", "ada"]);
        let token = made["token"].as_str().unwrap().to_owned();
        let ask = Ask {
            line: "GET /",
            key: Some(&key),
            origin: None,
            bearer: None,
        };
        let me = Ask {
            line: "GET /me/x",
            ..ask
        };
        let with_token = Ask {
            bearer: Some(&token),
            ..me
        };
        // 2 units, once session and limit are known.
        wait_until("the session is known", || {
            let head = format!("api-key: {key}\r\nauthorization: Bearer {token}\r\n");
            server.ask(me.line, &head).status == 200
        });
        assert_eq!(compare(&server, &ask), "allowed");
        assert_eq!(compare(&server, &with_token), "allowed");
        // HTTP takes blanks around a value for none of it.
        let pasted =
            [&*key, &*token, "https://console.example.com"].map(|text| format!("{text} \t"));
        let pasted = Ask {
            key: Some(&pasted[0]),
            bearer: Some(&pasted[1]),
            origin: Some(&pasted[2]),
            ..ask
        };
        assert_eq!(compare(&server, &pasted), "allowed");
        assert_eq!(compare(&server, &me), "bearer_required");
        let wrong = Ask {
            bearer: Some("nobody's"),
            ..me
        };
        assert_eq!(compare(&server, &wrong), "bearer_invalid");
        let dear = Ask {
            line: "POST /dear",
            ..ask
        };
        assert_eq!(compare(&server, &dear), "allowed");
        assert_eq!(compare(&server, &dear), "hourly_limit");
        let console = Ask {
            origin: Some("https://console.example.com"),
            ..ask
        };
        assert_eq!(compare(&server, &console), "hourly_limit");
        let nothing = Ask { key: None, ..ask };
        assert_eq!(compare(&server, &nothing), "missing_key");
        for (command, reason) in [("disable", "disabled_key"), ("revoke", "revoked_key")] {
            server.command(&["key", command, server.key_id()]);
            let head = format!("api-key: {key}\r\n");
            wait_until("it is in force", || {
                server.ask("GET /", &head).reason() == reason
            });
            assert_eq!(compare(&server, &ask), reason);
        }
        let mut stranger = key.clone();
        stranger.replace_range(20..21, if &key[20..21] == "a" { "b" } else { "a" });
        for guess in [&*stranger, "x", "tk_live_"] {
            let ask = Ask {
                key: Some(guess),
                ..ask
            };
            assert_eq!(compare(&server, &ask), "malformed_key");
        }
        // That was the third guess.
        assert_eq!(compare(&server, &ask), "ip_blocked");
        assert_eq!(compare(&server, &nothing), "missing_key");
    });
}

#[test]
fn an_address_that_was_exempted_meanwhile_is_told_as_exempt() {
    within_an_hour(|| {
        let server = Server::start("", SETTINGS);
        let key = server.key().to_owned();
        let ask = Ask {
            line: "GET /",
            key: Some(&key),
            origin: None,
            bearer: None,
        };
        for _ in 0..3 {
            server.ask("GET /", "api-key: x\r\n");
        }
        assert_eq!(compare(&server, &ask), "ip_blocked");
        let admin = Admin::first(&server);
        admin.make("/v1/exempt", &json!({ "addresses": "127.0.0.1" }));
        let head = format!("api-key: {key}\r\n");
        wait_until("it is in force", || {
            server.ask("GET /", &head).status == 200
        });
        assert_eq!(compare(&server, &ask), "allowed");
    });
}

#[test]
fn every_check_is_told_to_people() {
    let server = Server::start("", SETTINGS);
    server.command(&[
        "key",
        "set",
        server.key_id(),
        "--limit",
        "9",
        "--ip",
        "192.0.2.0/24",
    ]);
    let output = explain(
        &server,
        &[
            "--key-id",
            server.key_id(),
            "--ip",
            "198.51.100.7",
            "--cost",
            "3",
            "--at",
            "2026-12-31T23:59:50Z",
        ],
        "",
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "At 2026-12-31T23:59:50Z; nothing was charged or counted.",
        "2  the address is not blocked  passed    198.51.100.7 has 0 of 3 guesses in the window",
        "7  the address is listed       shadowed  198.51.100.7 is not in one of the 1 address blocks",
        "0 of 9 units used, this would take 3; 10 seconds to the next hour",
        "200 allowed\nIn shadow: ip_denied would refuse it, and is logged alone.\n",
        "  ratelimit: \"hour\";r=6;t=10\n",
        "The service behind is told:\n  x-tokenkit-key: ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }

    let told = explained(&server, &["--key-id", "0000000000", "--ip", "::1"], "");
    assert_eq!(told["decision"]["reason"], "unknown_key");
    assert_eq!(told["checks"][3]["outcome"], "refused");
    assert_eq!(told["checks"][4]["outcome"], "not reached");
    assert_eq!(told["identity"], json!({}));

    // Without a server, and by another place of the counts.
    let arguments = [
        "--key-id",
        server.key_id(),
        "--ip",
        "::1",
        "--ledger",
        "none",
    ];
    let told = explained(&server, &arguments, "");
    assert!(
        told["note"]
            .as_str()
            .unwrap()
            .contains("store.ledger is none")
    );
}

/// Where the settings no longer take the prefix of a key, a server takes the key
/// for malformed, whoever asks about it.
#[test]
fn a_key_of_a_prefix_that_is_not_taken_is_told_as_malformed_by_its_id_too() {
    let server = Server::start("", SETTINGS);
    let narrow = ["--set", "keys.prefixes=tk_test", "--ip", "::1"];
    let by_id = [&narrow[..], &["--key-id", server.key_id()]].concat();
    let told = explained(&server, &by_id, "");
    let whole = explained(
        &server,
        &[&narrow[..], &["--key", "-"]].concat(),
        server.key(),
    );
    assert_eq!(told["decision"], whole["decision"]);
    assert_eq!(told["decision"]["reason"], "malformed_key");
    let why = told["checks"][2]["because"].as_str().unwrap();
    assert!(why.starts_with("its prefix, tk_live, is none of"), "{why}");
}

#[test]
fn no_secret_is_shown() {
    let server = Server::start("", SETTINGS);
    let key = server.key().to_owned();
    for (arguments, input) in [
        (vec!["--key", "-", "--ip", "::1"], &*key),
        (vec!["--key", &key, "--ip", "::1"], ""),
        (vec!["--key-id", &key, "--ip", "::1"], ""),
        (
            vec!["--key", &key, "--key-id", "0000000000", "--ip", "::1"],
            "",
        ),
        (vec!["--ip", &key], ""),
        (
            vec!["--ip", "::1", "--origin", &key, "--key-id", server.key_id()],
            "",
        ),
        (vec!["--ip", "::1", "--method", &key], ""),
        (vec!["--ip", "::1", "--at", &key], ""),
    ] {
        for json in [&[][..], &["--json"]] {
            let output = explain(&server, &[&arguments, json].concat(), input);
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains(&key[18..]), "{arguments:?}: {text}");
        }
    }
}
