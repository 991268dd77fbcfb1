//! The access log: the fields of a line, in both forms, nothing secret, and no
//! reader that holds the server up.

mod serve_support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use serve_support::http::Client;
use serve_support::upstream::Upstream;
use serve_support::{Server, command, pause, wait_until, write_config};

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
fn who_goes_before_the_answer_is_logged_too() {
    let upstream = Upstream::start(|_| {
        pause(Duration::from_secs(600));
        false
    });
    let server = Server::start(&upstream.setting(), "");
    let mut client = server.connect();
    client.send(format!(
        "GET /slow HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    wait_until("it is under way", || upstream.seen() == 1);
    drop(client);
    wait_until("it is logged", || !lines(&server).is_empty());
    let line = lines(&server).remove(0);
    assert_eq!(
        (&line["path"], &line["status"], &line["reason"]),
        (&"/slow".into(), &499.into(), &"allowed".into())
    );
    assert_eq!(line["key"], server.key_id());
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

/// Asks so often, without a key, for a path whose line is some 2 KB long.
fn flood(server: &Server, requests: usize) {
    let line = format!("GET {}", "/a".repeat(900));
    let mut client = server.connect();
    for number in 0..requests {
        let id = format!("x-request-id: {number}\r\n");
        assert_eq!(client.ask(&line, &id).status, 401, "{number}");
    }
    drop(client);
    // By then the last line is written as well.
    wait_until("it is closed", || {
        server.metric("tokenkit_http_connections") == 0
    });
}

#[test]
fn a_reader_that_stalls_misses_lines_and_is_told_how_many() {
    const REQUESTS: usize = 2600;
    const DROPPED: &str = "tokenkit_log_lines_dropped_total";
    let mut server = Server::start("", "");
    assert_eq!(server.metric(DROPPED), 0);
    let log = server.kept_log();
    let held = log.lock().unwrap();
    // More than the queue and a pipe hold.
    flood(&server, REQUESTS);
    let dropped = server.metric(DROPPED);
    assert!(dropped > 0);
    drop(held);
    server.wait_for_log("lines of the log were dropped");
    server.get("/", "x-request-id: after\r\n");
    server.signal("TERM");
    assert!(server.wait().success());

    let log = server.log();
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let mut told = events.iter().filter_map(|event| event["lines"].as_u64());
    assert_eq!((told.next(), told.next()), (Some(dropped), None));
    // What was written is what came first, in its order, and what came since.
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| event["request_id"].as_str())
        .collect();
    let (after, before) = ids.split_last().unwrap();
    assert_eq!(*after, "after");
    assert_eq!(before.len() as u64 + dropped, REQUESTS as u64);
    for (number, id) in before.iter().enumerate() {
        assert_eq!(*id, number.to_string());
    }
    assert_eq!(events.last().unwrap()["message"], "stopped");
}

#[test]
fn a_reader_that_stalls_does_not_keep_the_server_from_ending() {
    let mut server = Server::start("", "");
    let log = server.kept_log();
    let held = log.lock().unwrap();
    // More than a pipe holds.
    flood(&server, 100);
    let told = Instant::now();
    server.signal("TERM");
    wait_until("it ends", || server.has_ended());
    let took = told.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(held);
    assert!(server.wait().success());
}
