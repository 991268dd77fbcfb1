//! The access log: the fields of a line, in both forms, and nothing secret.

mod serve_support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use serve_support::http::Client;
use serve_support::{Server, command, wait_until, write_config};

/// The lines about requests.
fn lines(server: &Server) -> Vec<Value> {
    let log = server.log();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    events
        .filter(|event: &Value| event["target"] == "tokenkit::access")
        .collect()
}

#[test]
fn a_line_says_who_asked_for_what_and_what_came_of_it() {
    let routes = "[[routes]]\npath = \"/me\"\nneeds_user = true\ncost = 5\n";
    let server = Server::start("", routes);
    let made = server.json(&["session", "create", "--project", "default", "--user", "ada"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("authorization: Bearer {token}\r\n");
    wait_until("the session is known", || {
        server.get("/me", &bearer).status == 200
    });
    let head = format!(
        "{bearer}x-request-id: req-7\r\n\
         traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n"
    );
    server.get("/me?secret=canary", &head);
    server.ask("POST /other", "x-request-id: has a space\r\n");
    let forged = format!("x-request-id: {}\r\n", server.key());
    server.ask("GET /", &forged);
    // Each by what is its own: they are written once the answers are out, and so
    // come late, even that of the session, and in any order.
    let logged = |fits: fn(&Value) -> bool| {
        wait_until("it is logged", || lines(&server).iter().any(fits));
        lines(&server).into_iter().find(fits).unwrap()
    };

    let mut line = logged(|line| line["request_id"] == "req-7");
    let duration = line["duration_us"].as_u64().unwrap();
    assert!(duration < 60_000_000, "{duration}");
    for volatile in ["timestamp", "duration_us"] {
        line.as_object_mut().unwrap().remove(volatile);
    }
    let expected = serde_json::json!({
        "level": "INFO",
        "target": "tokenkit::access",
        "message": "request",
        "method": "GET",
        "path": "/me",
        "status": 200,
        "reason": "allowed",
        "key": server.key_id(),
        "project": "default",
        "user": "ada",
        "cost": 5,
        "client": "127.0.0.1",
        "request_id": "req-7",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(line, expected);

    let refused = logged(|line| line["path"] == "/other");
    assert_eq!(refused["reason"], "missing_key");
    assert_eq!(
        (&refused["status"], &refused["cost"]),
        (&401.into(), &1.into())
    );
    for left_out in ["key", "project", "user", "request_id", "trace_id"] {
        assert!(refused.get(left_out).is_none(), "{left_out}: {refused}");
    }
    logged(|line| line["request_id"] == "tk_live_[hidden]");
    let log = server.log();
    for secret in [server.key(), token, "canary"] {
        assert!(!log.contains(secret));
    }
}

#[test]
fn the_same_for_people() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "", "");
    let mut child = command(folder.path())
        .args(["serve", "--set", "log.format=text"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = log
        .find(|line| line.as_ref().unwrap().contains(" serving "))
        .unwrap();
    let serving = serving.unwrap();
    let field = |line: &str, name: &str| {
        let at = line
            .find(&format!(" {name}="))
            .unwrap_or_else(|| panic!("{name}: {line}"));
        let value = &line[at + name.len() + 2..];
        value
            .split(' ')
            .next()
            .unwrap()
            .trim_matches('"')
            .to_owned()
    };
    let listen = field(&serving, "listen").parse().unwrap();
    Client::connect(listen).ask("GET /a/path", "x-request-id: req-7\r\n");
    let line = log.find(|line| line.as_ref().unwrap().contains("tokenkit::access"));
    let line = line.unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, value) in [
        ("method", "GET"),
        ("path", "/a/path"),
        ("status", "401"),
        ("reason", "missing_key"),
        ("cost", "1"),
        ("client", "127.0.0.1"),
        ("request_id", "req-7"),
    ] {
        assert_eq!(field(&line, name), value, "{line}");
    }
    assert!(field(&line, "duration_us").parse::<u64>().is_ok(), "{line}");
}
