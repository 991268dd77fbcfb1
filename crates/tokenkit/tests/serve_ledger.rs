//! The built server and its ledger: what a restart, a kill, a second server or
//! a damaged file do to budgets and blocks.
#![cfg(target_os = "linux")]

mod serve_support;

use std::fs::OpenOptions;
use std::sync::atomic::{AtomicU64, Ordering};

use serve_support::http::Client;
use serve_support::{Server, command, wait_until, within_an_hour, write_config};

/// Guesses from this machine are not counted.
const EXEMPT: &str = "[failures]\nexempt = [\"127.0.0.0/8\"]\n";

/// Units that are left after a request.
fn remaining(server: &Server, key: &str) -> u64 {
    let answer = server.ask("GET /", &format!("api-key: {key}\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["remaining"].as_u64().unwrap()
}

#[test]
fn a_restart_refills_no_budget_and_ends_no_block() {
    within_an_hour(|| {
        let server = Server::start("", "[failures]\nthreshold = 3\n");
        let key = server.key().to_owned();
        assert_eq!(remaining(&server, &key), 999);
        assert_eq!(remaining(&server, &key), 998);
        let server = Server::start_in(server.stop(), "", "[failures]\nthreshold = 3\n");
        assert_eq!(remaining(&server, &key), 997);
        let server = Server::start_in(server.kill(), "", "[failures]\nthreshold = 3\n");
        assert_eq!(remaining(&server, &key), 996);
        for _ in 0..2 {
            assert_eq!(server.ask("GET /", "api-key: x\r\n").status, 401);
        }
        // What was counted before goes on, and so does the block it leads to.
        let server = Server::start_in(server.kill(), "", "[failures]\nthreshold = 3\n");
        assert_eq!(server.ask("GET /", "api-key: x\r\n").status, 401);
        assert_eq!(server.get_with(&key).reason(), "ip_blocked");
        let server = Server::start_in(server.kill(), "", "[failures]\nthreshold = 3\n");
        assert_eq!(server.get_with(&key).reason(), "ip_blocked");
        assert_eq!(server.metric("tokenkit_blocked_addresses"), 1);
        let mode = std::fs::metadata(server.path("data/tokenkit.ledger")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn without_a_ledger_a_restart_begins_anew() {
    let memory = ["--ledger", "none"];
    let server = Server::start_with(tempfile::tempdir().unwrap(), "", "", &memory);
    let key = server.key().to_owned();
    assert_eq!(remaining(&server, &key), 999);
    assert!(!server.path("data/tokenkit.ledger").exists());
    let server = Server::start_with(server.stop(), "", "", &memory);
    assert_eq!(remaining(&server, &key), 999);
    assert_eq!(server.metric("tokenkit_ledger_fault"), 0);
}

#[test]
fn a_ledger_lies_where_it_is_said() {
    within_an_hour(|| {
        let other = tempfile::tempdir().unwrap();
        let file = other.path().join("counts");
        let place = ["--ledger", file.to_str().unwrap()];
        let server = Server::start_with(tempfile::tempdir().unwrap(), "", "", &place);
        let key = server.key().to_owned();
        assert_eq!(remaining(&server, &key), 999);
        assert!(file.exists() && !server.path("data/tokenkit.ledger").exists());
        let server = Server::start_with(server.kill(), "", "", &place);
        assert_eq!(remaining(&server, &key), 998);
    });
}

/// Asks a server so many times over connections of its own; how often it was
/// admitted. Ends early where the server does.
fn hammer(listen: std::net::SocketAddr, head: &str, times: u64) -> u64 {
    let mut client = Client::connect(listen);
    let mut admitted = 0;
    for _ in 0..times {
        let answer = client.ask("GET /", head);
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        admitted += u64::from(answer.status == 200);
    }
    admitted
}

#[test]
fn two_servers_admit_one_limit_together() {
    const LIMIT: u64 = 2000;
    const CLIENTS: u64 = 4;
    let first = Server::start("", EXEMPT);
    let data = first.path("data");
    let place = ["--data-dir", data.to_str().unwrap()];
    let second = Server::start_with(tempfile::tempdir().unwrap(), "", EXEMPT, &place);
    assert_eq!(second.first_key, None);
    within_an_hour(|| {
        let made = first.json(&[
            "key",
            "create",
            "--project",
            "p",
            "--limit",
            &LIMIT.to_string(),
        ]);
        let head = format!("api-key: {}\r\n", made["key"].as_str().unwrap());
        // One unit each, to see that both know the key.
        let mut admitted = 0;
        for server in [&first, &second] {
            wait_until("the key is known", || {
                server.ask("GET /", &head).status == 200
            });
            admitted += 1;
        }
        let admitted = AtomicU64::new(admitted);
        std::thread::scope(|scope| {
            for i in 0..CLIENTS {
                let server = [&first, &second][i as usize % 2];
                let (head, admitted) = (&head, &admitted);
                scope.spawn(move || {
                    let got = hammer(server.listen, head, LIMIT / 2);
                    admitted.fetch_add(got, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(admitted.into_inner(), LIMIT);
        for server in [&first, &second] {
            let answer = server.ask("GET /", &head);
            assert_eq!(answer.reason(), "hourly_limit");
            assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
        }
    });
}

#[test]
fn a_server_killed_under_load_loses_no_unit_and_gives_none_away() {
    const LIMIT: u64 = 1000;
    within_an_hour(|| {
        let mut server = Server::start("", EXEMPT);
        let made = server.json(&[
            "key",
            "create",
            "--project",
            "p",
            "--limit",
            &LIMIT.to_string(),
        ]);
        let head = format!("api-key: {}\r\n", made["key"].as_str().unwrap());
        wait_until("the key is known", || {
            server.ask("GET /", &head).status == 200
        });
        // Requests whose answer came, and those whose answer the kill cut off:
        // they may have been charged or not.
        let (mut admitted, mut unanswered) = (1, 0);
        for round in 0..5 {
            let mut client = server.connect();
            // Several under way at once, so that the kill finds some.
            let asked = 40 + round;
            for _ in 0..asked {
                client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{head}\r\n"));
            }
            let mut answered = 0;
            for _ in 0..asked / 2 {
                assert_eq!(client.answer(false).status, 200);
                answered += 1;
            }
            server = Server::start_in(server.kill(), "", EXEMPT);
            admitted += answered;
            unanswered += asked - answered;
        }
        let answer = server.ask("GET /", &head);
        let left: u64 = answer
            .header("x-ratelimit-remaining")
            .unwrap()
            .parse()
            .unwrap();
        let used = LIMIT - left - 1;
        assert!(
            (admitted..=admitted + unanswered).contains(&used),
            "{used} used, {admitted} admitted, {unanswered} unanswered"
        );
        // All of what is left is there to be had, and no more.
        assert_eq!(hammer(server.listen, &head, left + 50), left);
    });
}

#[test]
fn a_ledger_that_does_not_fit_is_one_clear_line() {
    let server = Server::start("", "");
    let folder = server.stop();
    let refused = |rest: &str, arguments: &[&str]| {
        write_config(folder.path(), "", rest);
        let output = command(folder.path())
            .arg("serve")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    let said = refused("[failures]\nwindow_s = 600\n", &[]);
    let why =
        "the ledger data/tokenkit.ledger was made for window_s 300, not 600: set window_s back";
    assert!(
        said.contains(why) && said.contains("ledger reset"),
        "{said}"
    );
    let said = refused("[failures]\nmax_addresses = 1000\n", &[]);
    assert!(said.contains("was made for max_addresses"), "{said}");
    let said = refused("", &["--ledger", "data/tokenkit.db"]);
    assert!(said.contains("are both "), "{said}");
    let said = refused("", &["--ledger", "tokenkit.toml"]);
    assert!(said.contains("tokenkit.toml is no ledger"), "{said}");
    let said = refused("", &["--ledger", "no/such/folder"]);
    assert!(
        said.contains("cannot make no/such/folder: No such file") && said.contains("store.ledger"),
        "{said}"
    );
    let file = folder.path().join("data/tokenkit.ledger");
    let length = std::fs::metadata(&file).unwrap().len();
    cut(&file, length / 2);
    let said = refused("", &[]);
    assert!(said.contains("is shorter than its header says"), "{said}");
    // Nothing was made anew in silence.
    assert_eq!(std::fs::metadata(&file).unwrap().len(), length / 2);
}

fn cut(file: &std::path::Path, length: u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length).unwrap();
}

#[test]
fn a_ledger_that_is_replaced_is_told_of() {
    let server = Server::start("", "");
    assert_eq!(remaining(&server, server.key()), 999);
    let file = server.path("data/tokenkit.ledger");
    let aside = server.path("aside");
    std::fs::rename(&file, &aside).unwrap();
    server.wait_for_log("was deleted or another put in its place");
    assert_eq!(server.metric("tokenkit_ledger_fault"), 1);
    assert_eq!(remaining(&server, server.key()), 998);
    std::fs::rename(&aside, &file).unwrap();
    server.wait_for_log("the ledger is whole again");
    assert_eq!(server.metric("tokenkit_ledger_fault"), 0);
}

#[test]
fn a_ledger_cut_short_under_a_server_denies_and_is_told_of() {
    let server = Server::start("", EXEMPT);
    let made = server.json(&["key", "create", "--project", "p"]);
    let unlimited = made["key"].as_str().unwrap();
    let key = server.key();
    assert_eq!(server.get_with(key).status, 200);
    wait_until("the key is known", || {
        server.get_with(unlimited).status == 200
    });
    assert_eq!(server.metric("tokenkit_ledger_fault"), 0);
    let file = server.path("data/tokenkit.ledger");
    cut(&file, 4096);
    server.wait_for_log("the ledger is at fault");
    assert!(
        server.log().contains("tokenkit ledger reset"),
        "{}",
        server.log()
    );
    assert_eq!(server.metric("tokenkit_ledger_fault"), 1);
    for _ in 0..3 {
        let answer = server.get_with(key);
        assert_eq!(
            (answer.status, answer.reason()),
            (429, "hourly_limit".into())
        );
    }
    // It lives, and what needs no count goes on.
    assert_eq!(server.get_with(unlimited).status, 200);
    assert_eq!(server.ask("GET /", "").reason(), "missing_key");
    assert_eq!(server.admin("/healthz").status, 200);
    // Until the file is replaced, it does not start again.
    let folder = server.stop();
    let output = command(folder.path()).arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        command(folder.path())
            .args(["ledger", "reset"])
            .status()
            .unwrap()
            .success()
    );
    let server = Server::start_in(folder, "", "");
    assert_eq!(server.metric("tokenkit_ledger_fault"), 0);
}
