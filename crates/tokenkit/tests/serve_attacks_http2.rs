//! The built server under HTTP/2 frames that no honest client sends. Whatever
//! comes, its memory is bounded, and another client is served meanwhile.

mod serve_support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serve_support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, HELLO, PING, RST_STREAM,
    SETTINGS, Told, frame, literal, request,
};
use serve_support::http::{Client, stream_from};
use serve_support::upstream::Upstream;
use serve_support::{PROGRAM, Server, command_by, pause, wait_until};

/// What an attack may cost in memory: the share of its one connection, and
/// the huge pages that this lies in.
const MOST_KIB: u64 = 24 << 10;
/// What an answer may take another client while an attack goes on.
const MOST_WAIT: Duration = Duration::from_secs(2);
/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
const CALM: u32 = 0xb;

/// Lets an attack go on while an honest client asks; checks what both cost.
fn under(server: &Server, attack: impl FnOnce() -> Told + Send) -> Told {
    let head = format!("api-key: {}\r\n", server.key());
    let mut honest = server.connect();
    // Whatever is left of its budget is not what this is about.
    let is_served = |status| matches!(status, 200 | 429);
    assert!(is_served(honest.ask("GET /", &head).status));
    let before = server.peak_kib();
    let over = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let told = attack();
            over.store(true, Ordering::SeqCst);
            told
        });
        let mut asked = 0;
        while !over.load(Ordering::SeqCst) && !attacker.is_finished() || asked < 20 {
            let begun = Instant::now();
            let status = honest.ask("GET /", &head).status;
            assert!(is_served(status), "{status}");
            assert!(begun.elapsed() < MOST_WAIT, "{:?}", begun.elapsed());
            asked += 1;
            pause(Duration::from_millis(1));
        }
        attacker.join().unwrap()
    });
    let grown = server.peak_kib() - before;
    assert!(grown < MOST_KIB, "memory grew by {grown} KiB: {told:?}");
    told
}

/// Sends the same again and again until the server has enough of it; whether
/// it had. Then it says so, and throws away what comes for some moments.
fn until_enough(frames: &mut Frames, times: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    (0..times).any(|i| frames.was_told_to_go() || frames.send(&next(i)).is_err())
}

/// A hundred requests that are taken back, in one write, so that none is looked
/// at in between.
fn resets(block: &[u8], i: u32) -> Vec<u8> {
    (0..100)
        .flat_map(|j| {
            let id = stream(100 * i + j);
            let mut both = frame(HEADERS, END_HEADERS | END_STREAM, id, block);
            both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            both
        })
        .collect()
}

/// The number of a client's stream.
fn stream(i: u32) -> u32 {
    2 * i + 1
}

#[test]
fn streams_that_are_reset_at_once_end_the_connection() {
    let server = Server::start("", "");
    let key = server.key();
    let block = request("GET", "/", &[("api-key", key)]);
    let told = under(&server, || {
        let mut frames = Frames::connect(server.listen);
        let enough = until_enough(&mut frames, 1000, |i| resets(&block, i));
        assert!(enough, "100,000 resets were taken");
        frames.wait()
    });
    assert!(told.closed, "{told:?}");
    // Where our own sending broke first, the word may be lost.
    assert!(matches!(told.goaway, Some(CALM) | None), "{told:?}");
}

#[test]
fn who_takes_no_answers_holds_up_nobody_of_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder, "header_timeout_s = 3600", "", &["--threads", "1"]);
    let before = server.peak_kib();
    let mut deaf = TcpStream::connect(server.listen).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    deaf.write_all(HELLO).unwrap();
    // Until the answers fill the way back, and these the way there.
    let pings = frame(PING, 0, 0, b"12345678").repeat(1000);
    let is_full = (0..10_000).any(|_| deaf.write_all(&pings).is_err());
    assert!(is_full, "170 MB of pings were taken");
    let grown = server.peak_kib() - before;
    assert!(grown < MOST_KIB, "memory grew by {grown} KiB");
    let mut other = Frames::connect(server.listen);
    let block = request("GET", "/", &[]);
    for i in 0..100 {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream(i), &block);
        other.send(&head).unwrap();
    }
    other.send(&frame(GOAWAY, 0, 0, &[0; 8])).unwrap();
    assert_eq!(other.wait().heads, 100);
}

#[test]
fn who_flooded_waits_before_it_is_heard_again() {
    // Behind a trusted proxy are others.
    for (setting, waits) in [("", true), ("trusted_proxies = [\"127.0.0.0/8\"]", false)] {
        for kind in [RST_STREAM, CONTINUATION, DATA] {
            let server = Server::start_with(
                tempfile::tempdir().unwrap(),
                "",
                &format!("[http]\n{setting}\n"),
                &["--log-level", "debug"],
            );
            let block = request("GET", "/", &[]);
            let mut open = server.connect();
            assert_eq!(open.ask("GET /", "").status, 401);
            let mut frames = Frames::connect(server.listen);
            let enough = until_enough(&mut frames, 10_000, |i| match (kind, i) {
                (RST_STREAM, _) => resets(&block, i),
                (CONTINUATION, 0) => frame(HEADERS, END_STREAM, 1, &block),
                (_, 0) => frame(HEADERS, END_HEADERS, 1, &block),
                _ => frame(kind, 0, 1, &[]),
            });
            assert!(enough && frames.finish().closed, "{kind}");
            server.wait_for_log("a connection broke");
            let begun = Instant::now();
            assert_eq!(server.ask("GET /", "").status, 401);
            let waited = begun.elapsed() >= Duration::from_secs(1);
            // Not the other way round: any answer may be slow.
            assert!(waited || !waits, "{kind}: answered at once");
            if !waits {
                assert!(!server.log().contains("has to wait"), "{kind}");
            }
            // What is open is not touched.
            assert_eq!(open.ask("GET /", "").status, 401);
        }
    }
}

#[test]
fn a_head_that_never_ends_is_not_kept() {
    for piece in [vec![0; 16_000], Vec::new()] {
        let server = Server::start("", "");
        let told = under(&server, || {
            let mut frames = Frames::connect(server.listen);
            let block = request("GET", "/", &[]);
            frames.send(&frame(HEADERS, END_STREAM, 1, &block)).unwrap();
            let mut more = Vec::new();
            if !piece.is_empty() {
                // One header after the other, each whole.
                while more.len() < piece.len() {
                    literal(&mut more, 0x00, "x-more", &"x".repeat(100));
                }
            }
            let flood = frame(CONTINUATION, 0, 1, &more);
            let enough = until_enough(&mut frames, 20_000, |_| flood.clone());
            assert!(enough, "20,000 frames were taken for one head");
            frames.wait()
        });
        assert!(told.closed && told.heads == 0, "{told:?}");
    }
}

#[test]
fn a_small_head_that_becomes_a_large_one_is_refused() {
    let server = Server::start("max_header_bytes = 8192", "");
    let key = server.key();
    let told = under(&server, || {
        let mut frames = Frames::connect(server.listen);
        // One header of 4,000 bytes is remembered, then named 12,000 times in
        // each of 20 requests: 960 MB from 240 KB.
        let mut block = request("GET", "/", &[("api-key", key)]);
        literal(&mut block, 0x40, "x", &"y".repeat(4000));
        let mut bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
        for i in 1..=20 {
            let mut block = request("GET", "/", &[("api-key", key)]);
            block.extend([0x80 | 62; 12_000]);
            bomb.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream(i), &block));
        }
        // It may have enough before the end of it.
        let _ = frames.send(&bomb);
        frames.finish()
    });
    assert!(told.closed && told.heads <= 1, "{told:?}");
}

#[test]
fn empty_pieces_of_a_body_pile_up_nowhere() {
    let upstream = Upstream::start(|asked| {
        // Reads no body, and gives no answer for a while.
        pause(Duration::from_secs(2));
        asked.answer("200 OK", "", "");
        false
    });
    for setting in [upstream.setting(), String::new()] {
        let server = Server::start(&setting, "");
        let key = server.key();
        let told = {
            let before = server.peak_kib();
            let mut frames = Frames::connect(server.listen);
            let block = request("POST", "/", &[("api-key", key)]);
            frames
                .send(&frame(HEADERS, END_HEADERS, 1, &block))
                .unwrap();
            let flood = frame(DATA, 0, 1, &[]).repeat(1000);
            // 500,000 in 4.5 MB.
            let _ = until_enough(&mut frames, 500, |_| flood.clone());
            let told = frames.finish();
            let grown = server.peak_kib() - before;
            assert!(grown < MOST_KIB, "memory grew by {grown} KiB: {told:?}");
            told
        };
        assert!(told.closed, "{told:?}");
        assert_eq!(server.ask("GET /", "").status, 401);
    }
}

#[test]
fn frames_that_want_an_answer_pile_up_nowhere() {
    let server = Server::start("", "");
    for flood in [
        frame(PING, 0, 0, b"12345678"),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]),
    ] {
        let flood = flood.repeat(1000);
        let told = under(&server, || {
            let mut frames = Frames::connect(server.listen);
            let _ = until_enough(&mut frames, 300, |_| flood.clone());
            frames.finish()
        });
        assert!(told.closed, "{told:?}");
    }
}

#[test]
fn a_connection_that_says_hello_and_nothing_more_is_ended() {
    let server = Server::start("header_timeout_s = 1", "");
    let begun = Instant::now();
    let told = Frames::connect(server.listen).wait();
    assert!(told.closed, "{told:?}");
    let lived = begun.elapsed();
    assert!(lived >= Duration::from_millis(900), "{lived:?}");
    // A head that is begun and left is no better.
    let mut frames = Frames::connect(server.listen);
    let block = request("GET", "/", &[]);
    frames.send(&frame(HEADERS, END_STREAM, 1, &block)).unwrap();
    assert!(frames.wait().closed);
}

#[test]
fn a_key_is_taken_in_one_spelling_over_http_2_too() {
    let server = Server::start("", "[failures]\nexempt = [\"127.0.0.0/8\"]\n");
    let key = server.key();
    let decided = |reason: &str| {
        let outcome = if reason == "allowed" {
            reason
        } else {
            "refused"
        };
        let labels = format!("{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
        server.metric(&format!("tokenkit_decisions_total{labels}"))
    };
    let reason = |headers: &[(&str, &str)]| {
        let reasons = ["allowed", "missing_key", "malformed_key", "unknown_key"];
        let before = reasons.map(decided);
        let mut frames = Frames::connect(server.listen);
        let block = request("GET", "/", headers);
        frames
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
            .unwrap();
        // What was asked is answered before the connection ends.
        let _ = frames.send(&frame(GOAWAY, 0, 0, &[0; 8]));
        let told = frames.wait();
        assert!(told.closed, "{told:?}");
        let after = reasons.map(decided);
        let changed = (0..reasons.len()).find(|&i| after[i] != before[i]);
        changed.map(|i| reasons[i])
    };
    assert_eq!(reason(&[("api-key", key)]), Some("allowed"));
    assert_eq!(reason(&[]), Some("missing_key"));
    assert_eq!(reason(&[("api_key", key)]), Some("missing_key"));
    assert_eq!(
        reason(&[("cookie", &format!("api-key={key}"))]),
        Some("missing_key")
    );
    assert_eq!(
        reason(&[("api-key", key), ("api-key", key)]),
        Some("malformed_key")
    );
    assert_eq!(
        reason(&[("api-key", &format!("{key},{key}"))]),
        Some("malformed_key")
    );
    // What HTTP/2 does not allow is no request, and decides nothing: a name in
    // capitals, a line break or NUL in a value, a connection's own header.
    assert_eq!(reason(&[("API-KEY", key)]), None);
    assert_eq!(reason(&[("x", &format!("1\r\napi-key: {key}"))]), None);
    assert_eq!(reason(&[("api-key", &format!("{key}\0"))]), None);
    assert_eq!(reason(&[("api-key", key), ("connection", "api-key")]), None);
    assert_eq!(
        reason(&[("api-key", key), ("transfer-encoding", "chunked")]),
        None
    );
    assert_eq!(reason(&[("api-key", key), (":path", "/other")]), None);
}

/// A service whose answers below `/slow` wait for a word, and a server before it
/// that may open files for ten connections to it on each of its two threads.
fn slow_service(goes_on: &Arc<AtomicBool>) -> (Upstream, Server) {
    let holds = Arc::clone(goes_on);
    let upstream = Upstream::start(move |asked| {
        if asked.head.starts_with("GET /slow ") {
            wait_until("all have been counted", || holds.load(Ordering::SeqCst));
        }
        asked.answer("200 OK", "", "");
        true
    });
    let server = with_few_files(&upstream.setting());
    (upstream, server)
}

/// A server with files for 20 clients, and 20 connections to the service behind,
/// ten on each thread.
fn with_few_files(settings: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command_by("/bin/sh", folder.path());
    serve.args(["-c", "ulimit -n 120 && exec \"$0\" serve", PROGRAM]);
    Server::start_by(serve, folder, settings, "")
}

/// Sends requests from an address, all on one connection.
fn ask_slowly(server: &Server, own: [u8; 4], requests: usize) -> Frames {
    let mut client = Frames::over(stream_from(own.into(), server.listen));
    for stream in (1..).step_by(2).take(requests) {
        let block = request("GET", "/slow", &[("api-key", server.key())]);
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        client.send(&asked).unwrap();
    }
    client
}

/// Each request under way has a connection to the service behind, and HTTP/2 many
/// requests on one of a client's: they wait before files run out, and nobody else
/// is turned away.
#[test]
fn requests_wait_before_files_run_out() {
    const CLIENTS: u8 = 8;
    const EACH: usize = 10;
    let goes_on = Arc::new(AtomicBool::new(false));
    let (upstream, server) = slow_service(&goes_on);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| ask_slowly(&server, [127, 0, 2, number], EACH))
        .collect();
    // They are on one thread or on both.
    wait_until("some have come through", || upstream.seen() >= 10);
    for _ in 0..10 {
        assert_eq!(server.ask("GET /", "").status, 401, "others are heard");
    }
    assert!(upstream.seen() <= 20, "the others wait");
    goes_on.store(true, Ordering::SeqCst);
    let all = usize::from(CLIENTS) * EACH;
    wait_until("all are answered", || upstream.seen() == all);
    for client in clients {
        client.finish();
    }
}

/// One address has half of these connections: while its requests wait for a slow
/// service, those of others go through to it.
#[test]
fn slow_requests_of_one_address_hold_up_nobody_elses() {
    const SENT: usize = 60;
    let goes_on = Arc::new(AtomicBool::new(false));
    let (upstream, server) = slow_service(&goes_on);
    let clients: Vec<_> = (0..4)
        .map(|_| ask_slowly(&server, [127, 0, 3, 1], SENT))
        .collect();
    wait_until("some have come through", || upstream.seen() >= 5);
    let key = format!("api-key: {}\r\n", server.key());
    // On either thread.
    let mut others: Vec<_> = (0..8)
        .map(|_| Client::connect_from([127, 0, 3, 2].into(), server.listen))
        .collect();
    for other in &mut others {
        assert_eq!(other.ask("GET /", &key).status, 200);
    }
    assert!(upstream.seen() <= 10 + others.len(), "the others wait");
    goes_on.store(true, Ordering::SeqCst);
    let all = clients.len() * SENT + others.len();
    wait_until("all are answered", || upstream.seen() == all);
    for client in clients {
        client.finish();
    }
}

/// A request whose answer came before its body's end has its connection to the
/// service behind as long as the body goes on.
#[test]
fn bodies_that_go_on_after_the_answer_have_their_share_and_no_more() {
    const SENT: u32 = 60;
    let upstream = Upstream::start(|asked| {
        asked.answer("404 Not Found", "", "");
        while asked.head.starts_with("POST ") && asked.client.chunk().is_some() {}
        true
    });
    let server = with_few_files(&upstream.setting());
    let mut client = Frames::over(stream_from([127, 0, 4, 1].into(), server.listen));
    let block = request("POST", "/", &[("api-key", server.key())]);
    for i in 0..SENT {
        let mut begun = frame(HEADERS, END_HEADERS, stream(i), &block);
        begun.extend(frame(DATA, 0, stream(i), b"0123456789"));
        client.send(&begun).unwrap();
    }
    wait_until("some have come through", || upstream.seen() >= 5);
    let key = format!("api-key: {}\r\n", server.key());
    let others = 8;
    for _ in 0..others {
        let mut other = Client::connect_from([127, 0, 4, 2].into(), server.listen);
        assert_eq!(other.ask("GET /", &key).status, 404);
    }
    assert!(
        upstream.seen() <= 5 + others,
        "{} came through",
        upstream.seen()
    );
    for i in 0..SENT {
        client
            .send(&frame(DATA, END_STREAM, stream(i), b""))
            .unwrap();
    }
    wait_until("all have come through", || {
        upstream.seen() == SENT as usize + others
    });
    client.finish();
}

/// Who waits in vain is told so, and the service behind is not blamed for it.
#[test]
fn who_finds_no_free_connection_is_told_so() {
    let upstream = Upstream::start(|asked| {
        // The rest of the body never comes.
        asked
            .client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx");
        pause(Duration::from_secs(600));
        false
    });
    let server = with_few_files(&format!("{}\nupstream_timeout_s = 1", upstream.setting()));
    let client = ask_slowly(&server, [127, 0, 5, 1], 10);
    let failed = |kind: &str| {
        server.metric(&format!(
            "tokenkit_upstream_errors_total{{kind=\"{kind}\"}}"
        ))
    };
    wait_until("the others have waited", || failed("busy") == 5);
    assert_eq!(failed("timeout"), 0);
    assert_eq!(upstream.seen(), 5, "the others were not sent");
    drop(client);
}
