//! One exact limit over all workers, whatever happens to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nginx_tests::client::get;
use nginx_tests::hour::away_from_its_end;
use nginx_tests::load::{Tally, drive};
use nginx_tests::nginx::{Nginx, Setup, signal};
use nginx_tests::place::{Key, Place};
use nginx_tests::serve::Serve;
use nginx_tests::service::Service;
use nginx_tests::wait::{pause, wait_until};

const LIMIT: u64 = 10_000;
const REQUESTS: u64 = 50_000;
const WORKERS: u32 = 4;
const CONNECTIONS: u32 = 128;

/// Four workers over one ledger before a file, and a key.
fn start(place: &Place) -> (Nginx, Setup, Key) {
    let key = place.key(&["--limit", &LIMIT.to_string()]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let setup = Setup::new(
        "tokenkit on; root .;
         location = /none { tokenkit_cost 0; try_files /file =404; }",
    )
    .http("tokenkit_ledger ledger;")
    .workers(WORKERS);
    (setup.start(place), setup, key)
}

/// Sends the load, while something else is done again and again until it ends.
fn drive_while(nginx: &Nginx, key: &Key, mut disturb: impl FnMut() + Send) -> (Tally, u32) {
    let is_over = AtomicBool::new(false);
    let head = format!("api-key: {}\r\n", key.secret);
    std::thread::scope(|scope| {
        let disturbing = scope.spawn(|| {
            let mut times = 0;
            // It hands over nothing, and one time more does no harm.
            while !is_over.load(Ordering::Relaxed) {
                disturb();
                times += 1;
            }
            times
        });
        let tally = drive(nginx.port, "/file", &head, CONNECTIONS, REQUESTS);
        is_over.store(true, Ordering::Relaxed);
        (tally, disturbing.join().expect("no panic"))
    })
}

/// What the ledger says is left, by a request that costs nothing.
fn left(nginx: &Nginx, key: &Key) -> u64 {
    let answer = get(nginx.port, "/none", &key.secret);
    let left = answer.header("x-ratelimit-remaining").unwrap_or_default();
    left.parse().unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
#[ignore = "cargo xtask nginx"]
fn four_workers_admit_exactly_the_limit() {
    let place = Place::new();
    let (nginx, _, key) = start(&place);
    away_from_its_end(50, || get(nginx.port, "/none", &key.secret));
    let head = format!("api-key: {}\r\n", key.secret);
    let tally = drive(nginx.port, "/file", &head, CONNECTIONS, REQUESTS);
    let expected = Tally {
        admitted: LIMIT,
        limited: REQUESTS - LIMIT,
        other: 0,
        broken: 0,
    };
    assert_eq!(tally, expected);
    assert_eq!(left(&nginx, &key), 0);

    // A restart refills no budget.
    assert!(nginx.stop().success());
    let (nginx, ..) = restart(&place);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 429);
}

fn restart(place: &Place) -> (Nginx, Setup) {
    let setup = Setup::new("tokenkit on; root .;")
        .http("tokenkit_ledger ledger;")
        .workers(WORKERS);
    (setup.start(place), setup)
}

#[test]
#[ignore = "cargo xtask nginx"]
fn workers_killed_at_any_moment_lose_and_win_nothing() {
    let place = Place::new();
    let (nginx, _, key) = start(&place);
    away_from_its_end(50, || get(nginx.port, "/none", &key.secret));
    let mut at = 0;
    let (tally, kills) = drive_while(&nginx, &key, || {
        let workers = nginx.workers();
        if let Some(worker) = workers.get(at % workers.len().max(1)) {
            signal("KILL", *worker);
        }
        at += 1;
        pause(Duration::from_millis(40));
    });
    assert!(kills > 3, "the load was over too soon: {kills} kills");
    assert_eq!(tally.other, 0, "{tally:?}");
    // Each answer of 200 was charged. A request whose worker died may have been
    // charged without an answer: never more of them than broke.
    let charged = LIMIT - left(&nginx, &key);
    assert!(tally.admitted <= charged, "{tally:?}, {charged} charged");
    assert!(
        charged <= tally.admitted + tally.broken,
        "{tally:?}, {charged} charged"
    );
    // Whoever was refused was refused because the whole limit was charged.
    assert!(tally.limited > 0, "{tally:?}");
    assert_eq!(charged, LIMIT, "{tally:?}");
}

#[test]
#[ignore = "cargo xtask nginx"]
fn reloads_go_on_with_the_same_budget() {
    let place = Place::new();
    let (nginx, _, key) = start(&place);
    away_from_its_end(50, || get(nginx.port, "/none", &key.secret));
    let (tally, reloads) = drive_while(&nginx, &key, || {
        nginx.begin_reload();
        pause(Duration::from_millis(200));
    });
    assert!(reloads > 1, "the load was over too soon: {reloads} reloads");
    assert_eq!(tally.other, 0, "{tally:?}");
    let charged = LIMIT - left(&nginx, &key);
    assert_eq!(charged, LIMIT, "{tally:?}");
    // A worker that leaves closes connections on which nothing is under way; a
    // request that is sent at that moment is neither answered nor charged.
    assert_eq!(tally.admitted, LIMIT, "{tally:?}");
}

#[test]
#[ignore = "cargo xtask nginx"]
fn nginx_and_tokenkit_serve_share_a_budget() {
    let place = Place::new();
    let (nginx, _, key) = start(&place);
    let service = Service::start();
    let ledger = format!("store.ledger={}", place.path("ledger").display());
    let serve = Serve::start(&place, service.port, &[&ledger]);
    away_from_its_end(50, || get(nginx.port, "/none", &key.secret));
    let head = format!("api-key: {}\r\n", key.secret);
    let admitted = |port| drive(port, "/file", &head, CONNECTIONS, LIMIT / 2 + 100).admitted;
    let (by_nginx, by_serve) = std::thread::scope(|scope| {
        let other = scope.spawn(|| admitted(serve.port));
        (admitted(nginx.port), other.join().expect("no panic"))
    });
    assert_eq!(by_nginx + by_serve, LIMIT, "{by_nginx} by nginx");
    assert_eq!(left(&nginx, &key), 0);
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_ledger_that_is_cut_short_refuses_and_is_told() {
    let place = Place::new();
    let (nginx, setup, key) = start(&place);
    let head = format!("api-key: {}\r\n", key.secret);
    drop(nginx.each_worker(&head, WORKERS as usize));
    let workers = nginx.workers();
    let ledger = place.path("ledger");
    let file = std::fs::OpenOptions::new().write(true).open(&ledger);
    file.and_then(|file| file.set_len(4096)).expect("a file");
    // No worker dies of it, also where a new key looks for its place, and none
    // admits.
    place.key(&[]);
    wait_until("it is told, and what it keeps the key from", || {
        nginx.log().contains("(`tokenkit ledger reset`); ")
    });
    for _ in 0..10 * WORKERS {
        assert_eq!(get(nginx.port, "/file", &key.secret).status, 429);
    }
    assert!(nginx.log().contains("the ledger file was cut short"));
    assert_eq!(nginx.workers(), workers);
    let (content, said) = setup.check(&place);
    assert!(!content, "{said}");
    assert!(said.contains("tokenkit ledger reset"), "{said}");
    // As it is told to do.
    assert!(nginx.stop().success());
    place.tokenkit(&["ledger", "reset", "--ledger", &ledger.display().to_string()]);
    let nginx = setup.start(&place);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
}
