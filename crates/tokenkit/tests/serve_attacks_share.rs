//! What an attack takes from a client that behaves: the 99th percentile of its
//! answers under attack, beside that of the moments in between.
//!
//! It measures, so it is not run with the tests but by `cargo xtask prove`. An
//! attacker sends as fast as it can over one connection after the other, or over
//! many at once, and gets what the server and the client that behaves leave of
//! the processor: what its own sending takes would on another machine cost them
//! nothing.

#![expect(clippy::print_stdout, reason = "what it measured is what it is for")]

mod serve_support;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serve_support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, HELLO, PING, RST_STREAM, frame,
    literal, request,
};
use serve_support::http::{Client, stream_from};
use serve_support::{Server, wait_until};

/// Pairs of a calm and an attacked stretch: one of both kinds falls together
/// with whatever else the machine does.
const PAIRS: usize = 15;
/// Answers in a stretch.
const ANSWERS: usize = 1000;
/// The address of the client that behaves, which is not the attacker's.
const BEHAVES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Connections that do nothing.
const IDLE: usize = 9000;
/// Connections of one client that flood at once.
const MANY: usize = 16;
/// Times that one frame names a header of [`LARGE`] bytes.
const NAMED: usize = 12_000;
const LARGE: usize = 4000;
/// Connections whose heads come a byte at a time.
const SLOW: usize = 256;
/// Pings that are sent by one call of the system: one by one, most of the time
/// would be the sender's.
const PINGS: usize = 64;

/// How many there are, asked for before this process has been given its own.
static PROCESSORS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().unwrap().get());

/// The 99th percentile of a stretch, in nanoseconds.
fn stretch(client: &mut Client, head: &str) -> u64 {
    let mut times: Vec<u64> = (0..ANSWERS)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.ask("GET /", head).status, 200);
            u64::try_from(begun.elapsed().as_nanos()).unwrap()
        })
        .collect();
    times.sort_unstable();
    times[ANSWERS * 99 / 100]
}

/// A server that refuses nobody for a budget, and a head with its key.
fn server() -> (Server, String) {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
    let server = Server::start_with(
        tempfile::tempdir().unwrap(),
        "max_connections = 10000\nmax_connections_per_address = 10000\nheader_timeout_s = 30",
        "[failures]\nexempt = [\"127.0.0.0/8\"]\n",
        // One thread, which all are served by. What it logs this process would
        // have to read.
        &["--threads", "1", "--set", "log.access=false"],
    );
    apart(&server);
    server.command(&["key", "set", server.key_id(), "--limit", "none"]);
    let head = format!("api-key: {}\r\n", server.key());
    (server, head)
}

/// Has this thread, and those that it begins, run when nobody else wants to.
fn yields_to_others() {
    let own = std::fs::read_link("/proc/thread-self").unwrap();
    let number = own.file_name().unwrap().to_str().unwrap();
    run("chrt", &["--idle", "--pid", "0", number]);
}

/// Gives the server the first processor, and the clients all others.
fn apart(server: &Server) {
    let last = *PROCESSORS - 1;
    assert!(last > 0, "one processor is not enough");
    let pin = |processors: &str, process: u32| {
        let process = process.to_string();
        run(
            "taskset",
            &["--all-tasks", "--cpu-list", "--pid", processors, &process],
        );
    };
    pin("0", server.pid());
    pin(&format!("1-{last}"), std::process::id());
}

fn run(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program}: {error}");
}

/// An attack that goes on, and what it has come to.
#[derive(Default)]
struct Attack {
    /// Whether it is to end.
    over: AtomicBool,
    /// Whatever it consists of.
    sent: AtomicU64,
    /// Connections of it that the server ended.
    ended: AtomicU64,
    /// Addresses that it has come from.
    addresses: AtomicU32,
}

impl Attack {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    fn count(&self) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// Connects from an address that nothing has come from yet: one that flooded
    /// is not heard for a second.
    fn connect(&self, server: &Server) -> Frames {
        let next = self.addresses.fetch_add(1, Ordering::SeqCst);
        let own = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + next);
        Frames::over(stream_from(own.into(), server.listen))
    }

    /// Sends `frames` on ever new connections of HTTP/2.
    fn flood(&self, connect: impl Fn() -> Frames, frames: impl Fn(&mut Frames, u32) -> bool) {
        while self.goes_on() {
            let mut connection = connect();
            let mut number = 0;
            while self.goes_on() {
                if connection.was_told_to_go() || !frames(&mut connection, number) {
                    self.ended.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                number += 1;
                self.count();
            }
            connection.finish();
        }
    }
}

/// Prints what an attack does, and fails where the median of the pairs' ratios
/// is above two. How many connections the server ended.
fn measure(name: &str, server: &Server, head: &str, attack: impl Fn(&Attack) + Sync) -> u64 {
    let all = Attack::default();
    let mut client = Client::connect_from(BEHAVES, server.listen);
    stretch(&mut client, head);
    let mut pairs: Vec<(u64, u64)> = (0..PAIRS)
        .map(|_| {
            let calm = stretch(&mut client, head);
            all.over.store(false, Ordering::SeqCst);
            let sent = || all.sent.load(Ordering::SeqCst);
            let before = sent();
            let attacked = std::thread::scope(|scope| {
                scope.spawn(|| {
                    yields_to_others();
                    attack(&all);
                });
                wait_until("the attack goes on", || sent() > before);
                let attacked = stretch(&mut client, head);
                all.over.store(true, Ordering::SeqCst);
                attacked
            });
            (calm, attacked)
        })
        .collect();
    pairs.sort_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)));
    let (calm, attacked) = pairs[PAIRS / 2];
    let hundredths = attacked * 100 / calm;
    let (sent, ended) = (all.sent.into_inner(), all.ended.into_inner());
    println!(
        "proved: {sent} {name}, {ended} connections ended: p99 {} us calm, {} us under attack, {}.{:02} times",
        calm / 1000,
        attacked / 1000,
        hundredths / 100,
        hundredths % 100,
    );
    assert!(hundredths <= 200, "{name}: more than doubled");
    ended
}

/// Measures what the server ends a connection for.
fn measure_until_ended(name: &str, frames: impl Fn(&mut Frames, u32) -> bool + Sync) {
    let (server, head) = server();
    let ended = measure(name, &server, &head, |attack| {
        attack.flood(|| attack.connect(&server), &frames);
    });
    assert!(ended >= PAIRS as u64, "{name}: {ended} connections ended");
}

#[test]
#[ignore = "it measures"]
fn connections_that_do_nothing() {
    let (server, head) = server();
    let mut client = server.connect();
    let mut ratios: Vec<(u64, u64)> = (0..3)
        .map(|_| {
            stretch(&mut client, &head);
            let calm = stretch(&mut client, &head);
            let idle: Vec<_> = (0..IDLE)
                .map(|number| {
                    let mut idle = server.connect();
                    match number % 4 {
                        0 => {}
                        1 => idle.send("GET / HTTP/1.1\r\nhost: a\r\napi-key"),
                        2 => assert_eq!(idle.ask("GET /", "").status, 401),
                        _ => idle.send(HELLO),
                    }
                    idle
                })
                .collect();
            let held = || server.metric("tokenkit_http_connections");
            wait_until("all are open at once", || held() > IDLE as u64);
            let attacked = stretch(&mut client, &head);
            assert!(held() > IDLE as u64, "some were ended");
            drop(idle);
            (calm, attacked)
        })
        .collect();
    ratios.sort_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)));
    let (calm, attacked) = ratios[1];
    println!(
        "proved: {IDLE} idle connections: p99 {} us before, {} us with them",
        calm / 1000,
        attacked / 1000
    );
    assert!(attacked <= 2 * calm, "more than doubled");
}

#[test]
#[ignore = "it measures"]
fn streams_that_are_reset() {
    let block = request("GET", "/", &[]);
    measure_until_ended("streams reset at once", |connection, number| {
        let id = 2 * number + 1;
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
        both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        connection.send(&both).is_ok()
    });
}

#[test]
#[ignore = "it measures"]
fn heads_that_never_end() {
    let block = request("GET", "/", &[]);
    measure_until_ended("frames of heads without end", |connection, number| {
        let next = match number {
            0 => frame(HEADERS, END_STREAM, 1, &block),
            _ => frame(CONTINUATION, 0, 1, &[]),
        };
        connection.send(&next).is_ok()
    });
}

#[test]
#[ignore = "it measures"]
fn small_heads_that_become_large() {
    let mut first = request("GET", "/", &[]);
    literal(&mut first, 0x40, "x", &"y".repeat(LARGE));
    let mut bomb = request("GET", "/", &[]);
    bomb.extend([0x80 | 62; NAMED]);
    let name = format!("heads that become {} MB each", NAMED * LARGE / 1_000_000);
    measure_until_ended(&name, |connection, number| {
        let block = if number == 0 { &first } else { &bomb };
        let frame = frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, block);
        connection.send(&frame).is_ok()
    });
}

#[test]
#[ignore = "it measures"]
fn heads_that_come_slowly() {
    let (server, head) = server();
    // All but the last of it at once: who reads it anew at each byte has much to
    // read.
    let large = format!("x: {}\r\n", "y".repeat(LARGE));
    let most = format!("GET / HTTP/1.1\r\nhost: a\r\n{}x: ", large.repeat(7));
    let name = format!("bytes of {SLOW} heads that come slowly");
    measure(&name, &server, &head, |attack| {
        let mut slow: Vec<_> = (0..SLOW).map(|_| server.connect()).collect();
        slow.iter_mut().for_each(|slow| slow.send(&most));
        while attack.goes_on() {
            for slow in &mut slow {
                slow.send("y");
                attack.count();
            }
        }
    });
}

#[test]
#[ignore = "it measures"]
fn empty_data() {
    let block = request("POST", "/", &[]);
    measure_until_ended("empty pieces of a body", |connection, number| {
        let next = match number {
            0 => frame(HEADERS, END_HEADERS, 1, &block),
            _ => frame(DATA, 0, 1, &[]),
        };
        connection.send(&next).is_ok()
    });
}

#[test]
#[ignore = "it measures"]
fn frames_that_want_an_answer() {
    let (server, head) = server();
    let name = format!("times {PINGS} pings");
    measure(&name, &server, &head, |attack| {
        attack.flood(|| Frames::connect(server.listen), pings);
    });
}

#[test]
#[ignore = "it measures"]
fn frames_on_many_connections() {
    let (server, head) = server();
    let name = format!("times {PINGS} pings, on {MANY} connections at once");
    measure(&name, &server, &head, |attack| {
        std::thread::scope(|scope| {
            for _ in 0..MANY {
                scope.spawn(|| attack.flood(|| Frames::connect(server.listen), pings));
            }
        });
    });
}

fn pings(connection: &mut Frames, _: u32) -> bool {
    let pings = frame(PING, 0, 0, b"12345678").repeat(PINGS);
    connection.send(&pings).is_ok()
}

#[test]
#[ignore = "it measures"]
fn guesses() {
    let (server, head) = server();
    measure("wrong keys", &server, &head, |attack| {
        let mut client = server.connect();
        while attack.goes_on() {
            let answer = client.ask("GET /", "api-key: tk_live_wrong\r\n");
            assert_eq!(answer.status, 401);
            attack.count();
        }
    });
}
