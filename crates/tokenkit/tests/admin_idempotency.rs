//! What is sent twice under one `Idempotency-Key` is made once.

mod serve_support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serve_support::Server;
use serve_support::admin::Admin;
use serve_support::http::Answer;

/// Far more than anything here takes, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key for each path: one is not good for two requests.
fn key_of(path: &str) -> String {
    format!("\"for {path}\"")
}

fn post(admin: &Admin, path: &str, key: &str, body: &Value) -> Answer {
    admin.send(
        &format!("POST {path}"),
        &format!("idempotency-key: {key}\r\n"),
        body,
    )
}

#[test]
fn the_same_secret_comes_again_also_after_a_restart() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let bodies = [
        ("/v1/keys", json!({ "project": "p", "name": "n" })),
        ("/v1/sessions", json!({ "project": "p", "user": "u" })),
        ("/v1/tokens", json!({ "name": "n", "scope": "read" })),
        ("/v1/projects", json!({ "name": "p9" })),
        ("/v1/exempt", json!({ "addresses": "10.0.0.0/8" })),
    ];
    let first: Vec<Answer> = bodies
        .iter()
        .map(|(path, body)| post(&admin, path, &key_of(path), body))
        .collect();
    let rotate = format!("{}/rotate", first[0].header("location").unwrap());
    let rotated = post(&admin, &rotate, "two", &json!({}));
    let same = |admin: &Admin| {
        for ((path, body), first) in bodies.iter().zip(&first) {
            let again = post(admin, path, &key_of(path), body);
            assert_eq!((first.status, again.status), (201, 201), "{path}");
            assert_eq!(again.text(), first.text());
            assert_eq!(again.header("location"), first.header("location"));
            assert_eq!(again.header("etag"), first.header("etag"));
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!(first.header("idempotency-replayed"), None);
        }
        let again = post(admin, &rotate, "two", &json!({}));
        assert_eq!(again.text(), rotated.text());
    };
    let keys = admin.see("/v1/keys")["keys"].as_array().unwrap().len();
    same(&admin);
    let token = admin.token.clone();
    let server = Server::start_in(server.kill(), "", "");
    let admin = Admin::with(&server, &token);
    same(&admin);
    assert_eq!(
        admin.see("/v1/keys")["keys"].as_array().unwrap().len(),
        keys
    );
    let key = first[0].json()["key"].as_str().unwrap().to_owned();
    assert_eq!(server.get_with(&key).status, 200);
}

#[test]
fn a_request_of_yesterday_is_forgotten_though_no_other_comes() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let made = post(&admin, "/v1/keys", "k", &json!({ "project": "p" }));
    assert_eq!(made.status, 201);
    let folder = server.kill();
    let store = rusqlite::Connection::open(folder.path().join("data/tokenkit.db")).unwrap();
    let yesterday = "UPDATE idempotency SET at = at - 86400";
    assert_eq!(store.execute(yesterday, []).unwrap(), 1);
    let _server = Server::start_in(folder, "", "");
    let begun = Instant::now();
    let left = "SELECT COUNT(*) FROM idempotency";
    while store
        .query_row(left, [], |row| row.get::<_, i64>(0))
        .unwrap()
        > 0
    {
        assert!(begun.elapsed() < PATIENCE, "it is still there");
        std::thread::yield_now();
    }
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let body = json!({ "project": "p" });
    let bad = post(&admin, "/v1/keys", "k", &json!({ "project": "" }));
    assert_eq!(bad.faults(), ["#/project"]);
    // What failed was not made, so that it may be sent again, mended.
    let made = post(&admin, "/v1/keys", "k", &body);
    assert_eq!(made.status, 201);
    for (path, body) in [
        ("/v1/keys", json!({ "project": "q" })),
        ("/v1/projects", json!({ "name": "p2" })),
    ] {
        assert_eq!(
            post(&admin, path, "k", &body).faults(),
            ["Idempotency-Key"],
            "{path}"
        );
    }
    // Another token's keys are its own.
    let other = admin.make("/v1/tokens", &json!({ "name": "o", "scope": "write" }));
    let other = Admin::with(&server, other["token"].as_str().unwrap());
    let theirs = post(&other, "/v1/keys", "k", &body);
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.json()["key"], made.json()["key"]);
    for key in [&"x".repeat(256), "a\tb", "é"] {
        assert_eq!(
            post(&admin, "/v1/keys", key, &body).faults(),
            ["Idempotency-Key"],
            "{key}"
        );
    }
    let twice = "idempotency-key: a\r\nidempotency-key: a\r\n";
    assert_eq!(
        admin.send("POST /v1/keys", twice, &body).faults(),
        ["Idempotency-Key"]
    );
}

#[test]
fn of_many_at_once_one_is_made() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    for round in 0..10 {
        let body = json!({ "project": format!("round{round}") });
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let ask = || post(&admin, "/v1/keys", &format!("r{round}"), &body);
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut made: Vec<String> = Vec::new();
        for answer in answers {
            match answer.status {
                201 => made.push(answer.text()),
                409 => assert_eq!(answer.problem(), "idempotency_under_way"),
                _ => panic!("{answer:?}"),
            }
        }
        made.dedup();
        assert_eq!(made.len(), 1);
        let keys = admin.see(&format!("/v1/keys?project=round{round}"));
        assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    }
}
