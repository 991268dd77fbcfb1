//! A change of the store reaches every worker within 100 ms.

use std::time::{Duration, Instant};

use nginx_tests::client::{ask, get};
use nginx_tests::nginx::Setup;
use nginx_tests::place::Place;
use nginx_tests::wait::{PATIENCE, wait_until};

const WORKERS: usize = 4;
/// From the end of `tokenkit key revoke`.
const WITHIN: Duration = Duration::from_millis(100);

/// A key that is not known yet is a guess, of which a few would block us.
const EXEMPT: &str = "tokenkit_failures_exempt 127.0.0.0/8;";

/// What a round took: from the end of the command until every worker obeyed.
struct Rounds(Vec<Duration>);

impl Rounds {
    /// Of ten, a busy machine may hold up one; none takes long.
    fn check(&self) {
        let late = self.0.iter().filter(|took| **took > WITHIN).count();
        assert!(late <= 1, "too late: {:?}", self.0);
        assert!(
            self.0.iter().all(|took| *took < 10 * WITHIN),
            "{:?}",
            self.0
        );
        eprintln!("each round took {:?}", self.0);
    }
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_revoked_key_is_refused_by_every_worker_in_time() {
    let place = Place::new();
    std::fs::write(place.path("file"), "x").expect("a file");
    place.key(&[]);
    let nginx = Setup::new("tokenkit on; root .;")
        .workers(u32::try_from(WORKERS).unwrap_or_default())
        .http(EXEMPT)
        .start(&place);
    let round = || {
        let key = place.key(&[]);
        // Each worker learns of a new key when it looks next.
        wait_until("the new key is known to all", || {
            (0..20 * WORKERS).all(|_| get(nginx.port, "/file", &key.secret).status == 200)
        });
        let head = format!("api-key: {}\r\n", key.secret);
        let workers = nginx.each_worker(&head, WORKERS);
        place.tokenkit(&["key", "revoke", &key.id]);
        let revoked = Instant::now();
        for mut client in workers.into_values() {
            loop {
                let answer = client.ask("GET /file", &head).expect("an answer");
                if answer.status == 401 {
                    assert_eq!(answer.reason(), "revoked_key");
                    break;
                }
                assert!(revoked.elapsed() < PATIENCE, "a worker still admits");
            }
        }
        revoked.elapsed()
    };
    Rounds((0..10).map(|_| round()).collect()).check();
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_new_key_and_a_session_are_known_in_time() {
    let place = Place::new();
    place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let nginx = Setup::new("tokenkit on; tokenkit_needs_user on; root .;")
        .http(EXEMPT)
        .start(&place);
    let round = || {
        let key = place.key(&[]);
        let token = place.session("ada", &[]);
        let head = format!(
            "api-key: {}\r\nauthorization: Bearer {token}\r\n",
            key.secret
        );
        wait_until("the session is known", || {
            ask(nginx.port, "GET /file", &head).status == 200
        })
    };
    Rounds((0..10).map(|_| round()).collect()).check();
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_store_that_goes_away_is_told_and_what_is_known_stays() {
    let place = Place::new();
    let key = place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let nginx = Setup::new("tokenkit on; root .;").start(&place);
    // The worker has all of the store before it answers anybody.
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
    std::fs::rename(place.path("store"), place.path("gone")).expect("a folder");
    wait_until("it is told", || nginx.log().contains("tokenkit: "));
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
    std::fs::rename(place.path("gone"), place.path("store")).expect("a folder");
    wait_until("it is well again", || {
        nginx.log().contains("all is well again")
    });
}
