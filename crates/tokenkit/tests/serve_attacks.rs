//! The built server under HTTP/1.1 requests that no honest client sends: keys
//! in disguise, two lengths for one body, made-up identities and origins,
//! paths that read in two ways, and many connections that do nothing.

mod serve_support;

use std::io::Read;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serve_support::http::{Answer, Client};
use serve_support::upstream::{Upstream, values};
use serve_support::{PATIENCE, Server, wait_until};

/// Guesses from this machine are not counted: each is looked at by itself.
const EXEMPT: &str = "[failures]\nexempt = [\"127.0.0.0/8\"]\n";

/// Sends bytes on a connection of their own and reads the answer.
fn raw(server: &Server, bytes: impl AsRef<[u8]>) -> Answer {
    let mut client = server.connect();
    client.send(bytes);
    client.answer(false)
}

/// How a `GET` whose head has these bytes for further lines is answered.
fn answered(server: &Server, lines: &[u8]) -> (u16, Option<String>) {
    let head = [b"GET / HTTP/1.1\r\nhost: a\r\n", lines, b"\r\n"].concat();
    let answer = raw(server, head);
    // What is no HTTP is answered before anything is read of it.
    let reason = (!answer.body.is_empty()).then(|| answer.reason());
    (answer.status, reason)
}

#[test]
fn a_key_is_taken_in_one_spelling_and_no_other() {
    let upstream = Upstream::echo();
    let server = Server::start(&upstream.setting(), EXEMPT);
    let key = server.key().to_owned();
    let (head, tail) = key.split_at(20);
    let refused = |reason: &str, lines: &[u8]| {
        let (status, said) = answered(&server, lines);
        let shown = String::from_utf8_lossy(lines);
        assert_eq!((status, said.as_deref()), (401, Some(reason)), "{shown:?}");
    };
    let malformed = [
        // Twice, and both in one.
        format!("api-key: {key}\r\napi-key: {key}\r\n"),
        format!("api-key: {key}\r\nAPI-KEY: x\r\n"),
        format!("api-key:\r\napi-key: {key}\r\n"),
        format!("api-key: {key},{key}\r\n"),
        format!("api-key: {key}, \r\n"),
        format!("api-key: ,{key}\r\n"),
        // In other clothes.
        format!("api-key: \"{key}\"\r\n"),
        format!("api-key: Bearer {key}\r\n"),
        format!("api-key: {}\r\n", key.replace('_', "%5f")),
        format!("api-key: %74{}\r\n", &key[1..]),
        format!("api-key: {}\r\n", key.to_uppercase()),
        format!("api-key: {head} {tail}\r\n"),
        format!("api-key: {head}\t{tail}\r\n"),
        format!("api-key: {key};\r\n"),
        format!("api-key: {key}\u{a0}\r\n"),
        format!("api-key: \u{feff}{key}\r\n"),
        // Letters that look the same: a full-width "t", a Cyrillic "e".
        format!("api-key: {}\r\n", key.replacen('t', "\u{ff54}", 1)),
        format!("api-key: {}\r\n", key.replacen('e', "\u{435}", 1)),
        // Too short, too long, far too long.
        format!("api-key: {}\r\n", &key[..key.len() - 1]),
        format!("api-key: {key}0\r\n"),
        format!("api-key: {key}{}\r\n", "0".repeat(20_000)),
        format!("api-key: {}\r\n", "0".repeat(20_000)),
    ];
    for lines in &malformed {
        refused("malformed_key", lines.as_bytes());
    }
    // Under another name there is none.
    for name in [
        "api_key",
        "api.key",
        "apikey",
        "x-api-key",
        "api-key-",
        "api--key",
    ] {
        refused("missing_key", format!("{name}: {key}\r\n").as_bytes());
    }
    for lines in ["api-key:\r\n", "api-key: \t \r\n"] {
        refused("missing_key", lines.as_bytes());
    }
    // What HTTP does not allow at all is no request.
    let broken: [&[&[u8]]; 9] = [
        &[b"api-key: ", head.as_bytes(), b"\r\n ", tail.as_bytes()],
        &[b"api-key:\r\n ", key.as_bytes()],
        &[b"x: 1\r\n api-key: ", key.as_bytes()],
        &[b"api-key : ", key.as_bytes()],
        &[b" api-key: ", key.as_bytes()],
        &[b"api-key\0: ", key.as_bytes()],
        &[b"api-key: ", key.as_bytes(), b"\0"],
        &[b"api-key: \0", key.as_bytes()],
        &[b"api-key: ", key.as_bytes(), b"\rx: 1"],
    ];
    for lines in broken {
        let lines = [&lines.concat()[..], b"\r\n"].concat();
        let shown = String::from_utf8_lossy(&lines).into_owned();
        assert_eq!(answered(&server, &lines), (400, None), "{shown:?}");
    }
    assert_eq!(upstream.seen(), 0, "none of it was let through");

    // Blanks around a value are not of it, and names have no case (RFC 9110,
    // section 5).
    let padded = format!("API-Key: \t {key} \t\r\n");
    let allowed = raw(
        &server,
        format!("GET / HTTP/1.1\r\nhost: a\r\n{padded}api_key: other\r\n\r\n"),
    );
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("x-ratelimit-remaining"), Some("999"));
    // Nor does a service see that could not tell the two names apart.
    for name in ["api-key", "api_key"] {
        assert!(values(&allowed.text(), name).is_empty(), "{allowed:?}");
    }
}

#[test]
fn a_key_is_read_from_its_header_alone() {
    let server = Server::start("", EXEMPT);
    let key = server.key();
    for (line, head) in [
        (format!("GET /?api-key={key}"), String::new()),
        (format!("GET /?api_key={key}&key={key}"), String::new()),
        (format!("GET /{key}"), String::new()),
        ("GET /".into(), format!("cookie: api-key={key}\r\n")),
        ("GET /".into(), format!("authorization: Bearer {key}\r\n")),
        ("GET /".into(), format!("authorization: api-key {key}\r\n")),
        ("GET /".into(), format!("sec-websocket-protocol: {key}\r\n")),
        (
            "GET /".into(),
            format!("referer: http://a/?api-key={key}\r\n"),
        ),
    ] {
        let answer = server.ask(&line, &head);
        assert_eq!(answer.reason(), "missing_key", "{line} {head}");
    }
    // In a body, or in what comes after it, neither.
    let body = format!("api-key={key}");
    let answer = server.ask(
        "POST /",
        &format!("content-length: {}\r\n\r\n{body}", body.len()),
    );
    assert_eq!(answer.reason(), "missing_key");
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: api-key\r\n\r\n\
         0\r\napi-key: {key}\r\n\r\n"
    ));
    assert_eq!(client.answer(false).reason(), "missing_key");
    // Whatever was said of it: a query was never logged.
    assert!(!server.log().contains(&format!("api-key={key}")));
}

/// A service that notes each head, reads the body that this announces, and
/// answers.
fn noting() -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heads);
    let upstream = Upstream::start(move |asked| {
        noted.lock().unwrap().push(asked.head.clone());
        if !asked.values("transfer-encoding").is_empty() {
            while asked.client.chunk().is_some() {}
        } else if let Some(length) = asked.values("content-length").first() {
            let mut body = vec![0; length.parse().unwrap()];
            asked.client.stream.read_exact(&mut body).unwrap();
        }
        asked.answer("200 OK", "", "ok");
        true
    });
    (upstream, heads)
}

#[test]
fn no_request_hides_in_the_body_of_another() {
    let (upstream, heads) = noting();
    let server = Server::start(&upstream.setting(), "");
    let key = server.key();
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\nx-tokenkit-key: forged\r\n\r\n";
    let chunked = format!("0\r\n\r\n{hidden}");
    let as_chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let length = format!("content-length: {}\r\n", chunked.len());
    let two = "transfer-encoding: chunked\r\ncontent-length: 5\r\n";
    for (lines, body) in [
        // A length and chunks: where one party goes by this and the other by
        // that, the rest is another request.
        (format!("{length}transfer-encoding: chunked\r\n"), &chunked),
        (format!("transfer-encoding: chunked\r\n{length}"), &chunked),
        (two.to_owned(), &as_chunk),
        (format!("transfer-encoding: chunked\r\n{two}"), &as_chunk),
        // Codings that some take for chunks.
        (format!("{length}transfer-encoding: xchunked\r\n"), &chunked),
        (
            format!("{length}transfer-encoding: chunked, identity\r\n"),
            &chunked,
        ),
        (format!("{length}transfer-encoding: identity\r\n"), &chunked),
        (
            format!("{length}transfer-encoding:\u{b}chunked\r\n"),
            &chunked,
        ),
        (
            format!("{length}transfer-encoding: \"chunked\"\r\n"),
            &chunked,
        ),
        (format!("{length}transfer_encoding: chunked\r\n"), &chunked),
        (format!("{length}transfer-encoding : chunked\r\n"), &chunked),
        (
            format!("{length}x: 1\r\n transfer-encoding: chunked\r\n"),
            &chunked,
        ),
        ("transfer-encoding: gzip, chunked\r\n".into(), &as_chunk),
        // Lengths that some read otherwise.
        (format!("content-length: 0\r\n{length}"), &chunked),
        (format!("{length}content-length: 0\r\n"), &chunked),
        ("content-length: 0, 5\r\n".into(), &chunked),
        ("content-length: +5\r\n".into(), &chunked),
        ("content-length: 0x5\r\n".into(), &chunked),
        ("content-length: -1\r\n".into(), &chunked),
        ("content-length: 5 5\r\n".into(), &chunked),
        ("content-length: 18446744073709551621\r\n".into(), &chunked),
        // Chunks whose size some read otherwise.
        (
            "transfer-encoding: chunked\r\n".into(),
            &format!("0x0\r\n\r\n{hidden}"),
        ),
        (
            "transfer-encoding: chunked\r\n".into(),
            &format!("-0\r\n\r\n{hidden}"),
        ),
        (
            "transfer-encoding: chunked\r\n".into(),
            &format!("10000000000000000\r\n\r\n{hidden}"),
        ),
        (
            "transfer-encoding: chunked\r\n".into(),
            &format!("0;a=\"\r\n\r\n{hidden}"),
        ),
        (
            "transfer-encoding: chunked\r\n".into(),
            &format!("1\nx0\r\n\r\n{hidden}"),
        ),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "POST /open HTTP/1.1\r\nhost: a\r\napi-key: {key}\r\n{lines}\r\n{body}"
        ));
        // The first request, and another that went by itself, have answers of
        // their own; then the connection is at its end, or nothing more comes.
        let answer = client.answer(false);
        assert!(
            matches!(answer.status, 200 | 400 | 501),
            "{lines:?} {body:?}: {answer:?}"
        );
    }
    wait_until("all connections have ended", || {
        server.metric("tokenkit_http_connections") == 0
    });
    let heads = heads.lock().unwrap();
    for head in heads.iter() {
        assert!(head.starts_with("POST /open "), "{head}");
        assert_eq!(values(head, "x-tokenkit-key"), [server.key_id()], "{head}");
        let lengths = values(head, "content-length").len();
        let codings = values(head, "transfer-encoding").len();
        assert!(lengths + codings <= 1, "two lengths: {head}");
    }
    let admitted = "tokenkit_decisions_total{outcome=\"allowed\",reason=\"allowed\"}";
    assert!(
        heads.len() as u64 <= server.metric(admitted),
        "more came through than was decided about"
    );
    assert!(!heads.is_empty(), "nothing was tried");
}

#[test]
fn whoever_names_other_addresses_is_blocked_all_the_same() {
    let server = Server::start("", "[failures]\nthreshold = 5\n");
    let names = [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
    ];
    for (i, name) in names.iter().enumerate() {
        let address = format!("198.51.100.{i}");
        let value = match *name {
            "forwarded" => format!("for={address}"),
            _ => address,
        };
        let answer = server.ask("GET /", &format!("api-key: x\r\n{name}: {value}\r\n"));
        assert_eq!(answer.reason(), "malformed_key");
    }
    let answer = server.get("/", "x-forwarded-for: 198.51.100.99\r\n");
    assert_eq!(answer.reason(), "ip_blocked");
    assert_eq!(server.metric("tokenkit_blocked_addresses"), 1);
}

#[test]
fn an_ipv6_client_cannot_walk_through_its_64() {
    let settings = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[failures]\nthreshold = 8\n";
    let server = Server::start("", settings);
    let from = |address: &str, key: &str| {
        server
            .ask(
                "GET /",
                &format!("api-key: {key}\r\nx-forwarded-for: {address}\r\n"),
            )
            .status
    };
    for i in 0..8 {
        let address = format!("2001:db8:1:2:{i:x}{i:x}::{i:x}");
        assert_eq!(from(&address, "x"), 401);
    }
    let key = server.key();
    assert_eq!(from("2001:db8:1:2:ffff:ffff:ffff:ffff", key), 429);
    assert_eq!(from("2001:0db8:0001:0002::", key), 429, "spelt otherwise");
    assert_eq!(from("[2001:db8:1:2::5]:443", key), 429);
    assert_eq!(from("2001:db8:1:3::1", key), 200, "the next /64");
    // An IPv4 address is the same in both spellings.
    for i in 0..8 {
        let address = ["192.0.2.1", "::ffff:192.0.2.1"][i % 2];
        assert_eq!(from(address, "x"), 401);
    }
    assert_eq!(from("192.0.2.1", key), 429);
    assert_eq!(from("::ffff:c000:201", key), 429);
    assert_eq!(from("192.0.2.2", key), 200);
    assert_eq!(server.metric("tokenkit_blocked_addresses"), 2);
}

#[test]
fn an_origin_that_only_looks_listed_is_denied() {
    let server = Server::start("", EXEMPT);
    let make = |more: &[&str]| {
        let fixed = ["key", "create", "--project", "p", "--limit", "1000"];
        let made = server.json(&[&fixed, more].concat());
        made["key"].as_str().unwrap().to_owned()
    };
    let listed = make(&[
        "--origin",
        "https://*.example.com",
        "--origin",
        "https://app.test:8443",
    ]);
    let demanding = make(&["--origin", "https://other.test", "--require-origin"]);
    let ask =
        |key: &str, origins: &str| server.ask("GET /", &format!("api-key: {key}\r\n{origins}"));
    wait_until("the keys are known", || {
        ask(&listed, "").status == 200 && ask(&demanding, "").reason() == "origin_denied"
    });
    for origin in [
        "null",
        "",
        "*",
        "https://*.example.com",
        // Suffix, prefix, and the bare domain of the wildcard.
        "https://example.com",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://a.example.com.evil.test",
        "https://a.example.comevil.test",
        "https://app.test.evil.test:8443",
        "https://evil.test/.example.com",
        "https://evil.test?.example.com",
        "https://evil.test#.example.com",
        "https://evil.test\\.example.com",
        "https://evil.test%2f.example.com",
        "https://evil.test:80@a.example.com",
        "https://a.example.com@evil.test",
        // The scheme, the port, more than an origin.
        "http://a.example.com",
        "ws://a.example.com",
        "a.example.com",
        "//a.example.com",
        "https:a.example.com",
        "https://a.example.com:444",
        "https://app.test",
        "https://app.test:08443",
        "https://app.test:84430",
        "https://a.example.com/",
        "https://a.example.com/x",
        "https://a.example.com.",
        "https://.example.com",
        "https://a..example.com",
        // Look-alikes: a Cyrillic "a", a full-width dot.
        "https://a.ex\u{430}mple.com",
        "https://a\u{ff0e}example.com",
        // Several.
        "https://a.example.com, https://evil.test",
        "https://a.example.com https://evil.test",
    ] {
        let answer = ask(&listed, &format!("origin: {origin}\r\n"));
        assert_eq!(answer.status, 401, "{origin}");
        assert_eq!(answer.reason(), "origin_denied", "{origin}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
        let asked = format!("origin: {origin}\r\naccess-control-request-method: GET\r\n");
        let preflight = server.ask("OPTIONS /", &asked);
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
    }
    let twice = "origin: https://a.example.com\r\norigin: https://a.example.com\r\n";
    assert_eq!(ask(&listed, twice).reason(), "origin_denied");
    let answer = ask(&demanding, "referer: https://other.test/\r\n");
    assert_eq!(answer.reason(), "origin_denied");
    for origin in [
        "https://a.example.com",
        "https://a.b.example.com:443",
        "HTTPS://APP.test:8443",
    ] {
        let answer = ask(&listed, &format!("origin: {origin}\r\n"));
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
}

#[test]
fn no_spelling_of_a_path_escapes_its_route() {
    let upstream = Upstream::echo();
    let routes = "[[routes]]\npath = \"/me/**\"\nneeds_user = true\n";
    let server = Server::start(&upstream.setting(), routes);
    for path in [
        "/me/x",
        "//me/x",
        "///me//x",
        "/./me/x",
        "/a/../me/x",
        "/a/%2e%2e/me/x",
        "/a/..%2fme/x",
        "/a/..;/me/x",
        "/a/..%3b/me/x",
        "/a/..\\me/x",
        "/a/%252e%252e/me/x",
        "/%6de/x",
        "/%6d%65/x",
        "/%256de/x",
        "/me%2fx",
        "/me%5cx",
        "/me\\x",
        "\\me/x",
        "/me;a=b/x",
        "/;a/me/x",
        "/me/%2e%2e/me/x",
        "/me/x?/../../open",
        "/me/x;/../../open",
        "/me/x/..%00",
        "/me/%zz",
        "/me/%c0%af",
        "//evil.test/me/x",
        "http://api.test/me/x",
        "http://api.test//me/x",
        "HTTP://api.test/a/../me/x",
    ] {
        let answer = server.get(path, "");
        // Some of these are no target at all.
        let is_refused = answer.status == 403 && answer.reason() == "bearer_required";
        assert!(is_refused || answer.status == 400, "{path}: {answer:?}");
    }
    assert_eq!(upstream.seen(), 0);
    for path in ["/open", "/mex", "/a/me/x", "/open?/me/x", "/a%20b"] {
        assert_eq!(server.get(path, "").status, 200, "{path}");
    }
}

#[test]
fn whoever_finds_no_place_waits_for_one() {
    let server = Server::start("max_connections = 1", "");
    let mut first = server.connect();
    assert_eq!(first.ask("GET /", "").status, 401);
    // Within the time after which one that got no answer would ask again.
    let patience = Duration::from_millis(900);
    let waiting: Vec<_> = (0..500)
        .map(|_| TcpStream::connect_timeout(&server.listen, patience).unwrap())
        .collect();
    drop(first);
    drop(waiting);
    assert_eq!(server.ask("GET /", "").status, 401);
}

#[test]
fn a_thousand_connections_that_do_nothing_hold_nobody_up() {
    const IDLE: usize = 1000;
    let server = Server::start("max_connections = 3000\nheader_timeout_s = 2", "");
    assert_eq!(server.get("/", "").status, 200);
    let before = server.peak_kib();
    // Before the protocol is known, in the midst of a head, and after one.
    let mut connections: Vec<Client> = Vec::with_capacity(IDLE);
    for i in 0..IDLE {
        let mut client = server.connect();
        match i % 4 {
            0 => {}
            1 => client.send("GET / HTTP/1.1\r\nhost: a\r\napi-key"),
            2 => client.send("PRI * HTTP/2.0\r\n\r\nSM"),
            _ => client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        }
        connections.push(client);
    }
    wait_until("all are taken", || {
        server.metric("tokenkit_http_connections_total") > IDLE as u64
    });
    let begun = Instant::now();
    let mut honest = server.connect();
    let head = format!("api-key: {}\r\n", server.key());
    for _ in 0..100 {
        assert_eq!(honest.ask("GET /", &head).status, 200);
    }
    assert!(begun.elapsed() < PATIENCE / 10, "{:?}", begun.elapsed());
    let each = (server.peak_kib() - before) * 1024 / IDLE as u64;
    assert!(each < 64 << 10, "{each} bytes for a connection");
    // All of them have had their time.
    wait_until("all have ended", || {
        server.metric("tokenkit_http_connections") <= 1
    });
    drop(connections);
}

#[test]
fn no_address_alone_takes_the_places_of_all_others() {
    // Four places, so two for each address.
    let rest = format!("{EXEMPT}[http]\ntrusted_proxies = [\"127.0.0.9\"]\n");
    let server = Server::start("max_connections = 4", &rest);
    let from = |own: [u8; 4]| Client::connect_from(own.into(), server.listen);
    let served = |mut client: Client| {
        assert_eq!(client.ask("GET /", "").status, 401);
        client
    };
    let first = served(from([127, 0, 0, 1]));
    let second = served(from([127, 0, 0, 1]));
    let mut third = from([127, 0, 0, 1]);
    let ended = third.stream.read(&mut [0]);
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    let turned_away = "tokenkit_http_connections_turned_away_total";
    assert_eq!(server.metric(turned_away), 1);

    let another = served(from([127, 0, 0, 2]));
    drop((first, another));
    wait_until("one is left", || {
        server.metric("tokenkit_http_connections") == 1
    });
    let again = served(from([127, 0, 0, 1]));
    drop((second, again));
    let proxied = [(); 4].map(|()| served(from([127, 0, 0, 9])));
    assert_eq!(server.metric(turned_away), 1);
    drop(proxied);
}

#[test]
fn ten_thousand_connections_take_little_and_hold_nobody_up() {
    const IDLE: usize = 10_000;
    // As many files are this process's as the server's. The server raises its
    // own limit.
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
    let room = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        room >= IDLE as u64 + 500,
        "the limit of open files, {room}, has no room for this test: raise it (ulimit -Hn)"
    );
    let settings = "max_connections = 10100\nmax_connections_per_address = 10100\n\
                    header_timeout_s = 3600\nidle_timeout_s = 3600";
    let server = Server::start(settings, "");
    let head = format!("api-key: {}\r\n", server.key());
    let mut honest = server.connect();
    assert_eq!(honest.ask("GET /", &head).status, 200);
    let before = server.peak_kib();
    let connections: Vec<Client> = (0..IDLE)
        .map(|number| {
            let mut client = server.connect();
            match number % 4 {
                0 => {}
                1 => client.send("GET / HTTP/1.1\r\nhost: a\r\napi-key"),
                2 => client.send("PRI * HTTP/2.0\r\n\r\nSM"),
                _ => assert_eq!(client.ask("GET /", "").status, 401),
            }
            client
        })
        .collect();
    wait_until("all are open at once", || {
        server.metric("tokenkit_http_connections") > IDLE as u64
    });
    for _ in 0..100 {
        assert_eq!(honest.ask("GET /", &head).status, 200);
    }
    assert_eq!(server.connect().ask("GET /", &head).status, 200);
    let each = (server.peak_kib() - before) * 1024 / IDLE as u64;
    assert!(each < 32 << 10, "{each} bytes for a connection");
    drop(connections);
    wait_until("all have ended", || {
        server.metric("tokenkit_http_connections") <= 2
    });
}
