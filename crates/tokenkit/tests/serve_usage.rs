//! What was used, recorded to be billed, whatever happens to the server: every
//! unit that was admitted is in exactly one row.
//!
//! `TK_TEST_KILLS` says how often the server is killed, 30 times unless set;
//! `TK_TEST_SECONDS` ends that earlier, `TK_TEST_SEED` says when it is.
#![cfg(target_os = "linux")]

mod serve_support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::LedgerView;
use serde_json::Value;
use serve_support::{PATIENCE, Server, command, wait_until};
use tempfile::TempDir;
use tests::long::{Progress, Run};

/// Read out often, so that it is killed in the midst of that as well.
const OFTEN: &str = "[usage]\ninterval_s = 1\n[failures]\nexempt = [\"127.0.0.0/8\"]\n";
/// Hardly ever: what is recorded then is so at the start and at the end.
const SELDOM: &str = "[usage]\ninterval_s = 3600\n[failures]\nexempt = [\"127.0.0.0/8\"]\n";
/// Clients at once.
const CLIENTS: usize = 4;

/// A key without a limit, in a project.
fn key(server: &Server, project: &str) -> String {
    let made = server.json(&["key", "create", "--project", project]);
    made["key"].as_str().unwrap().to_owned()
}

/// Waits until a key that another process made is in force.
fn in_force(server: &Server, key: &str) -> u64 {
    let mut admitted = 0;
    wait_until("the key is in force", || {
        admitted = u64::from(server.get_with(key).status == 200);
        admitted > 0
    });
    admitted
}

/// The rows of `tokenkit usage`, open hours too.
fn rows(folder: &TempDir, arguments: &[&str]) -> Vec<Value> {
    let output = command(folder.path())
        .args(["usage", "--open", "--format", "jsonl"])
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn units(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["units"].as_u64().unwrap()).sum()
}

/// What the ledger says by itself.
fn charged(folder: &TempDir) -> u64 {
    let view = LedgerView::open(&folder.path().join("data/tokenkit.ledger")).unwrap();
    let mut charged = 0;
    view.each_usage(|_, _, used| charged += used);
    charged
}

/// What is in the store, which a command that shows it would read out first.
fn recorded(server: &Server) -> u64 {
    let store = rusqlite::Connection::open(server.path("data/tokenkit.db")).unwrap();
    let sum = "SELECT coalesce(sum(used), 0) FROM usage";
    let sum: i64 = store.query_row(sum, (), |row| row.get(0)).unwrap();
    sum.try_into().unwrap()
}

/// Asks over a connection until the server is gone; counted is how often, and
/// how often that was answered.
fn ask_until_the_end(stream: TcpStream, key: &str, sent: &AtomicU64, admitted: &AtomicU64) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    let request = format!("GET / HTTP/1.1\r\nhost: api.test\r\napi-key: {key}\r\n\r\n");
    loop {
        // Relaxed: the threads are joined before the sums are read.
        sent.fetch_add(1, Ordering::Relaxed);
        if stream.get_mut().write_all(request.as_bytes()).is_err() {
            return;
        }
        let mut line = String::new();
        let mut length = 0;
        loop {
            line.clear();
            if !matches!(stream.read_line(&mut line), Ok(1..)) || !line.ends_with('\n') {
                return;
            }
            if line.starts_with("HTTP/1.1 ") {
                assert!(line.starts_with("HTTP/1.1 200"), "{line}");
                // Relaxed: as above. What is answered was charged.
                admitted.fetch_add(1, Ordering::Relaxed);
            }
            let head = line.to_ascii_lowercase();
            if let Some(value) = head.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        if stream.read_exact(&mut vec![0; length]).is_err() {
            return;
        }
    }
}

#[test]
fn a_server_killed_under_load_loses_no_unit() {
    /// So many units that it is read out meanwhile.
    const MOST: u64 = 1500;
    let server = Server::start("", OFTEN);
    let key = key(&server, "shop");
    let (sent, admitted) = (AtomicU64::new(0), AtomicU64::new(in_force(&server, &key)));
    sent.fetch_add(1, Ordering::Relaxed);
    let mut folder = server.stop();
    let run = Run::from_env("TK_TEST_KILLS", 30);
    let mut progress = Progress::new("kills of a server under load", run);
    let mut kills = 0;
    while progress.goes_on() {
        let charged_before = charged(&folder);
        let server = Server::start_in(folder, "", OFTEN);
        let listen = server.listen;
        // From the first request on to some that a second or two take.
        let further = [0, 1, 7, 40, 300, MOST][(progress.next_seed() % 6) as usize];
        let enough = admitted.load(Ordering::Relaxed) + further;
        // Before it is killed: later the port may be another server's.
        let clients = [(); CLIENTS].map(|()| TcpStream::connect(listen).unwrap());
        folder = std::thread::scope(|scope| {
            for client in clients {
                scope.spawn(|| ask_until_the_end(client, &key, &sent, &admitted));
            }
            wait_until("enough is admitted", || {
                // Relaxed: a hint when to kill it.
                admitted.load(Ordering::Relaxed) >= enough
            });
            if further == MOST {
                wait_until("some of it is recorded", || {
                    recorded(&server) > charged_before
                });
            }
            server.kill()
        });
        kills += 1;
        progress.add(1);
    }
    let rows = rows(&folder, &[]);
    let (sent, admitted) = (sent.into_inner(), admitted.into_inner());
    let (recorded, charged) = (units(&rows), charged(&folder));
    eprintln!(
        "proved: {sent} requests sent, {admitted} answered as admitted, {charged} units charged, \
         {recorded} recorded"
    );
    assert_eq!(recorded, charged);
    assert!((admitted..=sent).contains(&recorded));
    let unknown = sent - admitted;
    assert!(
        unknown <= (kills * CLIENTS) as u64,
        "{unknown}: of each client one at the most is unknown"
    );
}

#[test]
fn a_server_killed_between_requests_records_what_was_admitted() {
    let server = Server::start("", SELDOM);
    let keys = [key(&server, "shop"), key(&server, "app")];
    let mut admitted = [0; 2].map(|_| 0_u64);
    for (key, admitted) in keys.iter().zip(&mut admitted) {
        *admitted += in_force(&server, key);
    }
    let mut folder = server.kill();
    let run = Run::from_env("TK_TEST_KILLS", 30);
    let mut progress = Progress::new("kills of a server between requests", run);
    while progress.goes_on() {
        let seed = progress.next_seed();
        let how = if seed.is_multiple_of(2) {
            SELDOM
        } else {
            OFTEN
        };
        let server = Server::start_in(folder, "", how);
        for (number, key) in keys.iter().enumerate() {
            let mut client = server.connect();
            for _ in 0..(seed / 2 + number as u64) % 5 {
                let answer = client.ask("GET /", &format!("api-key: {key}\r\n"));
                assert_eq!(answer.status, 200);
                admitted[number] += 1;
            }
        }
        folder = server.kill();
        progress.add(1);
    }
    let mut found = BTreeMap::new();
    for row in rows(&folder, &[]) {
        let project = row["project"].as_str().unwrap().to_owned();
        *found.entry(project).or_insert(0) += row["units"].as_u64().unwrap();
    }
    let expected = BTreeMap::from([("app".into(), admitted[1]), ("shop".into(), admitted[0])]);
    assert_eq!(found, expected);
}

#[test]
fn what_was_used_is_recorded_at_the_end_and_at_the_start() {
    let server = Server::start("", SELDOM);
    let key = key(&server, "shop");
    let mut admitted = in_force(&server, &key);
    for _ in 0..9 {
        assert_eq!(server.get_with(&key).status, 200);
        admitted += 1;
    }
    assert_eq!(server.metric("tokenkit_usage_unsaved_units"), 0);
    assert_eq!(server.metric("tokenkit_usage_overwritten_units_total"), 0);
    let folder = server.stop();
    // The ledger is gone, so that the store alone can tell.
    let ledger = folder.path().join("data/tokenkit.ledger");
    std::fs::remove_file(&ledger).unwrap();
    assert_eq!(units(&rows(&folder, &[])), admitted);
    let server = Server::start_in(folder, "", SELDOM);
    assert_eq!(server.get_with(&key).status, 200);
    let folder = server.kill();
    let server = Server::start_in(folder, "", SELDOM);
    // Recorded before it served: what the file says now is not asked for.
    std::fs::remove_file(&ledger).unwrap();
    let folder = server.kill();
    assert_eq!(units(&rows(&folder, &[])), admitted + 1, "of two ledgers");
}

#[test]
fn counters_in_memory_are_recorded_at_the_end() {
    let memory = ["--ledger", "none"];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder, "", SELDOM, &memory);
    let key = key(&server, "shop");
    let mut admitted = in_force(&server, &key);
    let mut folder = server.stop();
    for _ in 0..3 {
        let server = Server::start_with(folder, "", SELDOM, &memory);
        assert_eq!(server.get_with(&key).status, 200);
        admitted += 1;
        folder = server.stop();
    }
    assert_eq!(
        units(&rows(&folder, &["--set", "store.ledger=none"])),
        admitted
    );
}

#[test]
fn two_servers_over_one_ledger_record_each_unit_once() {
    let first = Server::start("", OFTEN);
    let key = key(&first, "shop");
    let data = first.path("data");
    let place = ["--data-dir", data.to_str().unwrap()];
    let second = Server::start_with(tempfile::tempdir().unwrap(), "", OFTEN, &place);
    let mut admitted = in_force(&first, &key) + in_force(&second, &key);
    for _ in 0..20 {
        for server in [&first, &second] {
            assert_eq!(server.get_with(&key).status, 200);
            admitted += 1;
        }
    }
    drop(second);
    let folder = first.stop();
    assert_eq!(units(&rows(&folder, &[])), admitted);
}

#[test]
fn a_store_that_others_write_is_waited_for() {
    let server = Server::start("", OFTEN);
    let key = key(&server, "shop");
    let mut admitted = in_force(&server, &key);
    let locked = rusqlite::Connection::open(server.path("data/tokenkit.db")).unwrap();
    locked.busy_timeout(PATIENCE).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(server.get_with(&key).status, 200);
    admitted += 1;
    server.wait_for_log("cannot record what was used");
    assert!(server.metric("tokenkit_usage_unsaved_units") > 0);
    locked.execute_batch("ROLLBACK").unwrap();
    server.wait_for_log("what was used is recorded again");
    wait_until("nothing is left", || {
        server.metric("tokenkit_usage_unsaved_units") == 0
    });
    assert_eq!(units(&rows(&server.kill(), &[])), admitted);
}

#[test]
fn a_ledger_begun_anew_keeps_what_was_used() {
    for keep in [true, false] {
        let server = Server::start("", SELDOM);
        let key = key(&server, "shop");
        let mut admitted = in_force(&server, &key);
        let folder = server.kill();
        let mut reset = command(folder.path());
        reset.args(["ledger", "reset"]);
        if keep {
            reset.arg("--keep-hours");
        }
        let output = reset.output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let server = Server::start_in(folder, "", SELDOM);
        assert_eq!(server.get_with(&key).status, 200);
        admitted += 1;
        assert_eq!(units(&rows(&server.kill(), &[])), admitted, "keep {keep}");
    }
}

#[test]
fn usage_is_printed_by_key_project_and_time() {
    let server = Server::start("", SELDOM);
    let (one, two) = (key(&server, "shop"), key(&server, "app"));
    let used = [in_force(&server, &one), in_force(&server, &two)];
    let folder = server.stop();
    let id = &one["tk_live_".len()..][..10];
    let of_key = rows(&folder, &["--key", id]);
    assert_eq!(units(&of_key), used[0]);
    let row = &of_key[0];
    let number: u64 = row["id"].as_str().unwrap()[11..].parse().unwrap();
    assert_eq!(row["id"], format!("{id}-{number}"));
    assert_eq!((&row["key"], &row["project"]), (&id.into(), &"shop".into()));
    assert!(row["hour"].as_str().unwrap().ends_with(":00:00Z"));
    assert_eq!(row["final"], false);
    assert_eq!(units(&rows(&folder, &["--project", "app"])), used[1]);
    assert!(
        rows(
            &folder,
            &[
                "--from",
                "2999-01-01T00:00:00Z",
                "--to",
                "2999-02-01T00:00:00Z"
            ]
        )
        .is_empty()
    );

    let print = |arguments: &[&str]| {
        let output = command(folder.path())
            .arg("usage")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // An hour that is not over is no bill yet.
    let (code, out, _) = print(&["--format", "csv"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "id,key,project,hour,units,final\n")
    );
    let (_, out, _) = print(&["--format", "csv", "--open", "--key", id]);
    assert!(
        out.lines()
            .nth(1)
            .unwrap()
            .starts_with(&format!("{id}-{number},{id},shop,")),
        "{out}"
    );
    let (_, out, _) = print(&["--open"]);
    assert!(out.starts_with("ID") && out.lines().count() == 3, "{out}");
    for (arguments, told) in [
        (["--key", &*two], "never give the whole key"),
        (["--project", ""], "--project"),
        (["--from", "soon"], "is no time"),
    ] {
        let (code, out, err) = print(&arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(
            err.contains(told) && err.lines().count() == 1 && !err.contains(&two),
            "{err}"
        );
    }
    let (code, _, err) = print(&["--from", "1d", "--to", "2d"]);
    assert!(
        code == Some(2) && err.contains("--to is not after --from"),
        "{err}"
    );
}
