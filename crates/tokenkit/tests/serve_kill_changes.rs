//! A server that is killed while it makes changes: what was acknowledged by the
//! admin API is there afterwards, word for word, and nothing is half there.
//!
//! `TK_TEST_KILLS` says how often, 5 times unless set; `TK_TEST_SECONDS` ends that
//! earlier, `TK_TEST_SEED` says when it is and what is changed.
#![cfg(target_os = "linux")]

mod serve_support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use serve_support::admin::Admin;
use serve_support::{PATIENCE, Server, pause};
use tempfile::TempDir;
use tests::long::{Progress, Run};

/// Who makes changes at once, each to keys and sessions of its own.
const WRITERS: usize = 3;
/// The longest until it is killed.
const LONGEST_MS: u64 = 120;

/// What a writer was told last of each thing that it has made.
#[derive(Default)]
struct Writer {
    /// Keys by their ids, as the API shows them.
    keys: BTreeMap<String, Value>,
    /// The keys themselves.
    secrets: BTreeMap<String, String>,
    /// The ids and users of sessions that go on, and that were ended.
    sessions: BTreeMap<String, bool>,
    /// The change that nobody answered, if there is one: of which key or session,
    /// and what it was to be.
    unanswered: Option<(String, Value)>,
}

/// Asks a server that may be gone; the status and what it says, if that came as
/// a whole.
fn try_to(address: SocketAddr, token: &str, line: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let body = body.to_string();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let is_whole = length.is_none_or(|length: usize| length == body.len());
    let status = head.split(' ').nth(1)?.parse().ok()?;
    is_whole.then(|| (status, serde_json::from_str(body).unwrap_or_default()))
}

impl Writer {
    /// Makes changes until the server is gone.
    fn write(&mut self, address: SocketAddr, token: &str, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        loop {
            let ids: Vec<String> = self.keys.keys().cloned().collect();
            let open = self.sessions.iter().filter(|(_, ended)| !**ended);
            let open: Vec<String> = open.map(|(id, _)| id.clone()).collect();
            let limit = random.u32(1..1_000_000);
            let (line, body, of, is) = match (random.choice(&ids), random.u8(..8)) {
                (Some(id), 0 | 1) => (
                    format!("PATCH /v1/keys/{id}"),
                    json!({ "hourly_limit": limit }),
                    id.clone(),
                    json!({ "hourly_limit": limit }),
                ),
                (Some(id), 2) => (
                    format!("POST /v1/keys/{id}/revoke"),
                    json!({ "reason": "it leaked" }),
                    id.clone(),
                    json!({ "state": "revoked", "revoked_reason": "it leaked" }),
                ),
                (Some(id), act @ (3 | 4)) => {
                    let (act, state) =
                        [("disable", "disabled"), ("enable", "active")][usize::from(act - 3)];
                    (
                        format!("POST /v1/keys/{id}/{act}"),
                        json!({}),
                        id.clone(),
                        json!({ "state": state }),
                    )
                }
                (Some(_), 5) => (
                    "POST /v1/sessions".into(),
                    json!({ "project": "p", "user": "ann" }),
                    String::new(),
                    json!({ "user": "ann" }),
                ),
                (Some(_), 6) if !open.is_empty() => {
                    let id = random.choice(&open).unwrap();
                    (
                        format!("DELETE /v1/sessions/{id}"),
                        json!({}),
                        id.clone(),
                        Value::Null,
                    )
                }
                _ => (
                    "POST /v1/keys".into(),
                    json!({ "project": "p", "hourly_limit": limit }),
                    String::new(),
                    json!({ "hourly_limit": limit }),
                ),
            };
            let Some((status, mut told)) = try_to(address, token, &line, &body) else {
                self.unanswered = Some((of, is));
                return;
            };
            match status {
                // Of a key that was revoked before.
                409 => {}
                204 => _ = self.sessions.insert(of, true),
                // In force or not yet, it is in the store.
                200..=202 if line.ends_with("/sessions") => {
                    let id = told["id"].as_str().unwrap().to_owned();
                    self.sessions.insert(id, false);
                }
                200..=202 => {
                    let id = told["id"].as_str().unwrap().to_owned();
                    if let Some(secret) = told.as_object_mut().unwrap().remove("key") {
                        let secret = secret.as_str().unwrap().to_owned();
                        self.secrets.insert(id.clone(), secret);
                    }
                    self.keys.insert(id, told);
                }
                _ => panic!("{line}: {status}, {told}"),
            }
        }
    }

    /// All of it is there, as it was told.
    fn is_there(&mut self, server: &Server, admin: &Admin) {
        let unanswered = self.unanswered.take();
        let of_unanswered = |id: &str| unanswered.as_ref().filter(|(of, _)| of == id);
        for (id, told) in &mut self.keys {
            let now = admin.see(&format!("/v1/keys/{id}"));
            if now != *told {
                let (_, is) = of_unanswered(id).unwrap_or_else(|| panic!("{told} is {now}"));
                for (name, value) in is.as_object().unwrap() {
                    assert_eq!(now[name], *value, "{told} is half {is}: {now}");
                }
                *told = now;
            }
        }
        let all = server.json(&["session", "list"]);
        let text = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
        let states = all.as_array().unwrap().iter();
        let states: BTreeMap<_, _> = states
            .map(|session| (text(session, "id"), text(session, "state")))
            .collect();
        for (id, ended) in &mut self.sessions {
            let state = states.get(id).unwrap_or_else(|| panic!("{id} is gone"));
            let is_ended = state == "ended";
            assert!(
                is_ended == *ended || of_unanswered(id).is_some(),
                "{id} is {state}"
            );
            *ended = is_ended;
        }
        // And in force.
        if let Some((id, told)) = self.keys.iter().next_back() {
            let reason = match told["state"].as_str().unwrap() {
                "active" => "",
                "disabled" => "disabled_key",
                _ => "revoked_key",
            };
            let answer = server.get_with(&self.secrets[id]);
            if reason.is_empty() {
                assert_eq!(answer.status, 200, "{told}");
            } else {
                assert_eq!(answer.reason(), reason, "{told}");
            }
        }
    }
}

/// No key without the entry that tells who made it, and the other way round.
fn is_whole(folder: &TempDir) {
    let store = rusqlite::Connection::open(folder.path().join("data/tokenkit.db")).unwrap();
    for (table, action) in [("keys", "key.create"), ("sessions", "session.create")] {
        let query = format!(
            "SELECT (SELECT count(*) FROM {table}), (SELECT count(*) FROM audit WHERE action = ?1)"
        );
        let counts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (rows, entries) = store.query_row(&query, [action], counts).unwrap();
        assert_eq!(rows, entries, "{table}");
    }
}

/// A store, who may change it, and who does.
struct Place {
    folder: TempDir,
    token: String,
    writers: [Writer; WRITERS],
}

impl Place {
    fn new() -> Self {
        let server = Server::start("", "");
        let token = Admin::first(&server).token;
        Self {
            folder: server.stop(),
            token,
            writers: [(); WRITERS].map(|()| Writer::default()),
        }
    }

    /// Kills a server amid changes, and looks at what is there.
    fn kill(&mut self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let until = Duration::from_millis(random.u64(1..=LONGEST_MS));
        let taken = |folder: &mut TempDir| std::mem::replace(folder, tempfile::tempdir().unwrap());
        let server = Server::start_in(taken(&mut self.folder), "", "");
        let address = server.admin;
        self.folder = std::thread::scope(|scope| {
            for writer in &mut self.writers {
                let (token, seed) = (&self.token, random.u64(..));
                scope.spawn(move || writer.write(address, token, seed));
            }
            pause(until);
            server.kill()
        });
        is_whole(&self.folder);
        let server = Server::start_in(taken(&mut self.folder), "", "");
        let admin = Admin::with(&server, &self.token);
        for writer in &mut self.writers {
            writer.is_there(&server, &admin);
        }
        self.folder = server.kill();
    }
}

#[test]
fn a_server_killed_amid_changes_keeps_what_it_acknowledged() {
    let run = Run::from_env("TK_TEST_KILLS", 5);
    let mut progress = Progress::new("kills of a server amid changes", run);
    let (mut keys, mut sessions) = (0, 0);
    while progress.goes_on() {
        let mut place = Place::new();
        // What has to be looked at grows with each.
        for _ in 0..50 {
            if progress.goes_on() {
                place.kill(progress.next_seed());
                progress.add(1);
            }
        }
        for writer in place.writers {
            keys += writer.keys.len();
            sessions += writer.sessions.len();
        }
    }
    eprintln!("proved: {keys} keys and {sessions} sessions acknowledged");
    assert!(keys > 0);
}
