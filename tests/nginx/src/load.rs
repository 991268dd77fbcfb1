//! Many requests at once, and what became of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::wait::pause;

/// How long the server may be away, as while its workers are killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered 200.
    pub admitted: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered otherwise.
    pub other: u64,
    /// Not answered: the connection broke after the request was sent, so that
    /// it may have been charged or not.
    pub broken: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.limited += other.limited;
        self.other += other.other;
        self.broken += other.broken;
    }
}

/// Sends `requests` of the same kind over so many connections, each with one
/// under way, and opens those anew that break.
#[must_use]
pub fn drive(port: u16, path: &str, head: &str, connections: u32, requests: u64) -> Tally {
    let line = format!("GET {path}");
    let left = AtomicU64::new(requests);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let own = one(port, &line, head, &left);
                tally.lock().expect("no thread panics with it").add(own);
            });
        }
    });
    tally.into_inner().expect("no thread panics with it")
}

/// One connection's part of the load.
fn one(port: u16, line: &str, head: &str, left: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    // A number that each takes one from, and nothing is handed over by it.
    let take = |left: u64| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let mut connected = client.take().unwrap_or_else(|| connect(port));
        match connected.ask(line, head) {
            Ok(answer) => {
                match answer.status {
                    200 => tally.admitted += 1,
                    429 => tally.limited += 1,
                    _ => tally.other += 1,
                }
                let closes = answer.all("connection") == ["close"];
                client = (!closes).then_some(connected);
            }
            Err(_) => tally.broken += 1,
        }
    }
    tally
}

/// Connects, if need be after a while.
fn connect(port: u16) -> Client {
    let begun = Instant::now();
    loop {
        match Client::connect(port) {
            Ok(client) => return client,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "nginx is gone: {error}"),
        }
        pause(Duration::from_millis(1));
    }
}
