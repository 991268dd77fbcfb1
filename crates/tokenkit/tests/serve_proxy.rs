//! The built server before another service: what passes, what does not, and
//! what a client is told when the service fails.

mod serve_support;

use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use engine::SecretKey;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serve_support::upstream::{Upstream, values};
use serve_support::{PATIENCE, Server, pause, wait_until};

#[test]
fn the_service_sees_who_asks_and_not_the_key() {
    let upstream = Upstream::echo();
    let server = Server::start(&upstream.setting(), "");
    let forged = "x-tokenkit-key: forged\r\nX-Tokenkit-User: root\r\nx_tokenkit_project: forged\r\n\
                  x-forwarded-for: 1.1.1.1\r\nx-forwarded-host: evil.test\r\n\
                  connection: x-tokenkit-key, x-tokenkit-project, api-key, host, x-mine\r\n\
                  x-mine: 1\r\nx-other: 2\r\nkeep-alive: 5\r\nte: trailers, gzip\r\n\
                  cookie: a=1; tokenkit_admin=word; b=2\r\n";
    let answer = server.get("/a%2Fb/../c?d=e&f", forged);
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = answer.text();
    assert!(
        head.starts_with("GET /a%2Fb/../c?d=e&f HTTP/1.1\r\n"),
        "{head}"
    );
    for (name, expected) in [
        ("x-tokenkit-key", Some(server.key_id())),
        ("x-tokenkit-project", Some("default")),
        ("x-tokenkit-user", None),
        ("x_tokenkit_project", None),
        ("api-key", None),
        ("host", Some("api.test")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("api.test")),
        ("x-forwarded-proto", Some("http")),
        ("x-mine", None),
        ("x-other", Some("2")),
        ("cookie", Some("a=1; b=2")),
        ("keep-alive", None),
        ("te", Some("trailers")),
        ("connection", Some("te")),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(values(&head, name), expected, "{name} in {head}");
    }
    assert!(!head.contains(server.key()));
    // The decision's headers join the answer.
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("999"));
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[test]
fn a_trusted_proxys_word_is_passed_on() {
    let upstream = Upstream::echo();
    let trust = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\nforward_key = true\n";
    let server = Server::start(&upstream.setting(), trust);
    let said = "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: x.test\r\n\
                x-real-ip: 1.1.1.1\r\nforwarded: for=1.1.1.1\r\n";
    let head = server.get("/", said).text();
    assert_eq!(values(&head, "x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(values(&head, "x-real-ip"), ["192.0.2.1"]);
    let forwarded = values(&head, "forwarded");
    assert_eq!(forwarded, ["for=192.0.2.1, for=127.0.0.1"]);
    assert_eq!(values(&head, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&head, "x-forwarded-host"), ["x.test"]);
    assert_eq!(values(&head, "api-key"), [server.key()]);
    server.wait_for_log("\"client\":\"192.0.2.1\"");
}

/// What comes with a request, whatever its method, and behind it.
#[test]
fn a_body_is_passed_on_with_any_method_and_its_trailers_without_forged_ones() {
    let upstream = Upstream::start(|asked| {
        // As it comes, to the empty line behind it.
        let mut body = String::new();
        while !body.ends_with("\r\n\r\n") {
            asked.client.stream.read_line(&mut body).unwrap();
        }
        asked.answer("200 OK", "", &body);
        true
    });
    let server = Server::start(&upstream.setting(), "");
    let forged = [
        "x-tokenkit-user",
        "X-Tokenkit-Key",
        "x_tokenkit_project",
        "api-key",
        "authorization",
        "x-forwarded-for",
        "forwarded",
        "cookie",
        "host",
    ];
    let named = format!("x-sum, {}", forged.join(", "));
    let lines = forged.map(|name| format!("{name}: forged\r\n")).concat();
    for method in ["GET", "HEAD", "POST", "DELETE", "PURGE"] {
        let mut client = server.connect();
        client.send(format!(
            "{method} / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\ntransfer-encoding: chunked\r\n\
             trailer: {named}\r\n\r\n5\r\nhello\r\n0\r\n{lines}x-sum: 1\r\n\r\n",
            server.key()
        ));
        let answer = client.answer(method == "HEAD");
        assert_eq!(answer.status, 200, "{method}");
        let expected = "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
        let length = answer.header("content-length").unwrap();
        assert_eq!(length, expected.len().to_string(), "{method}");
        if method != "HEAD" {
            assert_eq!(answer.text(), expected, "{method}");
        }
    }
}

#[test]
fn a_refused_request_never_reaches_the_service() {
    let upstream = Upstream::echo();
    let server = Server::start(
        &upstream.setting(),
        "[cors]\norigins = [\"https://a.test\"]\n",
    );
    // Naming the key as one of the connection's own headers hides nothing.
    let hidden = server.get("/", "connection: api-key\r\n");
    assert_eq!(hidden.status, 200);
    let before = upstream.seen();
    assert_eq!(server.ask("GET /", "").status, 401);
    assert_eq!(server.ask("GET /", "api-key: x\r\n").status, 401);
    let preflight = "origin: https://a.test\r\naccess-control-request-method: GET\r\n";
    assert_eq!(server.ask("OPTIONS /", preflight).status, 204);
    let mut waiting = server.connect();
    waiting.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(waiting.answer(false).status, 401, "not told to go on");
    assert_eq!(upstream.seen(), before);
}

#[test]
fn a_preflight_that_bears_a_key_is_one_all_the_same() {
    let upstream = Upstream::echo();
    let server = Server::start(
        &upstream.setting(),
        "[cors]\norigins = [\"https://a.test\"]\n[failures]\nthreshold = 3\n",
    );
    let head = |key: &str| {
        format!(
            "api-key: {key}\r\norigin: https://a.test\r\naccess-control-request-method: GET\r\n"
        )
    };
    let left = |server: &Server| {
        let answer = server.get("/", "");
        assert_eq!(answer.status, 200);
        answer
            .header("x-ratelimit-remaining")
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let before = left(&server);
    let seen = upstream.seen();
    let unknown = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    for key in [server.key(), unknown.expose(), "x"] {
        for _ in 0..5 {
            let preflight = server.ask("OPTIONS /", &head(key));
            assert_eq!(preflight.status, 204, "{key}");
            let origin = preflight.header("access-control-allow-origin");
            assert_eq!(origin, Some("https://a.test"), "{key}");
        }
    }
    assert_eq!(upstream.seen(), seen, "none was sent on");
    assert_eq!(left(&server), before - 1, "none was charged, nor counted");
    // And a blocked address has its answer too.
    for _ in 0..3 {
        assert_eq!(server.ask("GET /", "api-key: x\r\n").status, 401);
    }
    assert_eq!(server.get("/", "").reason(), "ip_blocked");
    assert_eq!(server.ask("OPTIONS /", &head("x")).status, 204);
}

#[test]
fn a_tunnel_that_the_service_half_closed_carries_on() {
    const BYTES: usize = 32 << 20;
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |asked| {
        asked.client.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        );
        let stream = &mut asked.client.stream;
        stream.get_ref().shutdown(Shutdown::Write).unwrap();
        // So that what comes piles up on the way.
        pause(Duration::from_millis(500));
        let read = std::io::copy(stream, &mut std::io::sink()).unwrap();
        tell.send(read).unwrap();
        false
    });
    let server = Server::start(&upstream.setting(), "");
    let mut client = server.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        server.key()
    ));
    assert_eq!(client.head().0, 101);
    let mut hello = String::new();
    client.stream.read_to_string(&mut hello).unwrap();
    assert_eq!(hello, "hello", "and the end of what comes down");
    client.send(vec![b'x'; BYTES]);
    client.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(BYTES as u64));
}

#[test]
fn answers_come_back_without_what_is_about_the_connection() {
    let upstream = Upstream::start(|asked| {
        if asked.head.starts_with("HEAD") {
            asked
                .client
                .send("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");
        } else {
            asked.client.send(
                "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
                 HTTP/1.1 299 Odd\r\nconnection: x-gone, close\r\nx-gone: 1\r\nx-kept: 2\r\n\
                 keep-alive: timeout=5\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nvary: Accept\r\n\
                 ratelimit: forged\r\nserver: theirs\r\ntransfer-encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            );
        }
        false
    });
    let server = Server::start(&upstream.setting(), "");
    let answer = server.get("/", "");
    assert_eq!((answer.status, answer.text().as_str()), (299, "abcde"));
    assert_eq!(answer.header("x-gone"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("x-kept"), Some("2"));
    assert_eq!(answer.header("server"), Some("theirs"));
    assert!(
        answer
            .header("ratelimit")
            .unwrap()
            .starts_with("\"hour\";r="),
        "{answer:?}"
    );
    let all = |name: &str| {
        let values = answer.headers.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(all("vary"), ["Accept", "Origin"]);

    let mut client = server.connect();
    let head = client.ask("HEAD /", &format!("api-key: {}\r\n", server.key()));
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("1234"))
    );
    assert_eq!(
        client.ask("GET /", "").status,
        401,
        "the connection is in step"
    );
}

#[test]
fn bodies_stream_both_ways_without_being_held() {
    const SIZE: usize = 64 << 20;
    let upstream = Upstream::start(|asked| {
        let mut piece = vec![0; 1 << 16];
        if asked.head.starts_with("PUT") {
            let mut left: usize = asked.values("content-length")[0].parse().unwrap();
            while left > 0 {
                let most = left.min(piece.len());
                left -= asked.client.stream.read(&mut piece[..most]).unwrap();
            }
            asked.answer("200 OK", "", "whole");
        } else {
            asked
                .client
                .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
            for _ in 0..SIZE / piece.len() {
                asked.client.send(&piece);
            }
        }
        true
    });
    let server = Server::start(&upstream.setting(), "");
    assert_eq!(server.ask("GET /", "").status, 401);
    let before = server.peak_kib();

    let mut client = server.connect();
    client.send(format!(
        "PUT / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\nexpect: 100-continue\r\ncontent-length: {SIZE}\r\n\r\n",
        server.key()
    ));
    assert_eq!(client.head().0, 100);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..SIZE / piece.len() {
        client.send(&piece);
    }
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text().as_str()), (200, "whole"));

    // A slow reader holds the service back, not the bytes here.
    client.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    assert_eq!(client.head().0, 200);
    pause(Duration::from_millis(300));
    let mut left = SIZE;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let most = left.min(piece.len());
        left -= client.stream.read(&mut piece[..most]).unwrap();
    }
    let grown = server.peak_kib() - before;
    // Each thread's share comes in huge pages of 2 MiB; held bodies would be
    // 64 MiB each.
    assert!(grown < 16 << 10, "memory grew by {grown} KiB");
}

#[test]
fn a_protocol_can_be_changed() {
    let upstream = Upstream::start(|asked| {
        if asked.values("upgrade") != ["websocket"] {
            asked.answer(
                "426 Upgrade Required",
                "upgrade: websocket\r\nconnection: upgrade\r\n",
                "",
            );
            return true;
        }
        assert_eq!(asked.values("connection"), ["upgrade"]);
        assert_eq!(asked.values("sec-websocket-key"), ["abc"]);
        asked.client.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: def\r\n\r\nhello",
        );
        let mut piece = [0; 1024];
        while let Ok(length @ 1..) = asked.client.stream.read(&mut piece) {
            asked.client.send(&piece[..length]);
        }
        false
    });
    let mut server = Server::start(
        &format!(
            "{}\nheader_timeout_s = 1\nidle_timeout_s = 1",
            upstream.setting()
        ),
        "",
    );
    let ask = |protocol: &str| {
        let mut client = server.connect();
        client.send(format!(
            "GET /ws HTTP/1.1\r\nhost: a\r\napi-key: {}\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: {protocol}\r\nsec-websocket-key: abc\r\n\r\n",
            server.key()
        ));
        client
    };
    let mut client = ask("websocket");
    let (status, headers) = client.head();
    assert_eq!(status, 101);
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "def"),
    ] {
        assert!(
            headers.contains(&(name.into(), value.into())),
            "{headers:?}"
        );
    }
    let mut said = [0; 5];
    client.stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
    for round in 0..3 {
        // Silence for longer than a connection may idle is no reason to end it.
        pause(Duration::from_millis(700));
        let message = format!("ping{round}");
        client.send(&message);
        client.stream.read_exact(&mut said).unwrap();
        assert_eq!(said, message.as_bytes());
    }
    assert_eq!(server.metric("tokenkit_http_connections"), 1);

    // Through HTTP within HTTP requests would pass unseen.
    assert_eq!(ask("h2c").answer(false).status, 426);
    assert_eq!(ask("websocket, h2c").answer(false).status, 426);

    // A tunnel ends with either side.
    client
        .stream
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    assert!(client.is_closed());
    wait_until("its place is free", || {
        server.metric("tokenkit_http_connections") == 0
    });
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn a_service_that_is_not_there_is_a_502() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = Server::start(&format!("upstream = \"http://{nobody}\""), "");
    let answer = server.get("/", "");
    assert_eq!(
        (answer.status, answer.reason()),
        (502, "upstream_failed".into())
    );
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("999"));
    assert_eq!(
        server.metric("tokenkit_upstream_errors_total{kind=\"connect\"}"),
        1
    );
}

#[test]
fn a_service_that_breaks_off_is_a_502() {
    let upstream = Upstream::start(|asked| {
        if asked.head.starts_with("GET /rubbish") {
            asked.client.send("rubbish\r\n\r\n");
        } else if asked.head.starts_with("GET /upgrade") {
            asked.client.send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            );
        } else if asked.head.starts_with("GET /half") {
            asked
                .client
                .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        }
        false
    });
    let server = Server::start(&upstream.setting(), "");
    for path in ["/", "/rubbish", "/upgrade"] {
        let answer = server.get(path, "");
        assert_eq!(
            (answer.status, answer.reason()),
            (502, "upstream_failed".into()),
            "{path}"
        );
    }
    assert_eq!(
        server.metric("tokenkit_upstream_errors_total{kind=\"broken\"}"),
        3
    );
    // Once the answer has begun, only the connection's end can tell.
    let mut client = server.connect();
    client.send(format!(
        "GET /half HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    assert_eq!(client.head().0, 200);
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert_eq!(rest, b"half");
}

#[test]
fn whoever_is_late_is_told() {
    let upstream = Upstream::start(|asked| {
        if asked.head.starts_with("POST /take") {
            let mut rest = Vec::new();
            let _ = asked.client.stream.read_to_end(&mut rest);
        }
        pause(Duration::from_secs(600));
        false
    });
    let server = Server::start(
        &format!("{}\nupstream_timeout_s = 1", upstream.setting()),
        "",
    );
    let begun = Instant::now();
    let answer = server.get("/", "");
    assert_eq!(
        (answer.status, answer.reason()),
        (504, "upstream_timeout".into())
    );
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("999"));
    assert_eq!(
        server.metric("tokenkit_upstream_errors_total{kind=\"timeout\"}"),
        1
    );

    let mut client = server.connect();
    let key = server.key();
    client.send(format!(
        "POST /take HTTP/1.1\r\nhost: a\r\napi-key: {key}\r\ncontent-length: 10\r\n\r\nhalf"
    ));
    let begun = Instant::now();
    // As long as the body moves there is time.
    for _ in 0..3 {
        pause(Duration::from_millis(600));
        client.stream.get_mut().write_all(b"x").unwrap();
    }
    let answer = client.answer(false);
    assert_eq!(
        (answer.status, answer.reason()),
        (408, "request_timeout".into())
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(2700),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        server.metric("tokenkit_upstream_errors_total{kind=\"timeout\"}"),
        1
    );
}

#[test]
fn a_body_that_is_none_is_the_clients_fault() {
    let upstream = Upstream::start(|asked| {
        let mut rest = Vec::new();
        let _ = asked.client.stream.read_to_end(&mut rest);
        false
    });
    let server = Server::start(&upstream.setting(), "");
    let mut client = server.connect();
    let key = server.key();
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\napi-key: {key}\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"));
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.reason()), (400, "bad_body".into()));
    assert_eq!(
        server.metric("tokenkit_upstream_errors_total{kind=\"broken\"}"),
        0
    );
}

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge() {
    let upstream = Upstream::echo();
    let server = Server::start(&upstream.setting(), "");
    let stream = tokio::net::TcpStream::connect(server.listen).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = |key: &str| {
        hyper::Request::get("http://api.test:81/x?y")
            .header("api-key", key)
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    let answer = sender.send_request(request(server.key())).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-ratelimit-remaining"], "999");
    let head = answer.into_body().collect().await.unwrap().to_bytes();
    let head = String::from_utf8(head.to_vec()).unwrap();
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "host"), ["api.test:81"]);
    assert_eq!(values(&head, "x-forwarded-host"), ["api.test:81"]);
    assert_eq!(values(&head, "x-tokenkit-key"), [server.key_id()]);
    let mut crumbs = request(server.key());
    for crumb in ["a=1", "b=2", "c=3"] {
        crumbs
            .headers_mut()
            .append("cookie", crumb.parse().unwrap());
    }
    let answer = sender.send_request(crumbs).await.unwrap();
    let head = answer.into_body().collect().await.unwrap().to_bytes();
    let head = String::from_utf8(head.to_vec()).unwrap();
    assert_eq!(values(&head, "cookie"), ["a=1; b=2; c=3"]);
    let refused = sender.send_request(request("x")).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_client_of_http_2_that_takes_no_answer_is_given_up() {
    let server = Server::start("header_timeout_s = 1\nidle_timeout_s = 1", "");
    let stream = tokio::net::TcpStream::connect(server.listen).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://api.test/")
        .body(Empty::<Bytes>::new())
        .unwrap();
    // The head comes; for the body there is no room.
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    let ended = tokio::time::timeout(PATIENCE, connection).await;
    assert!(ended.is_ok(), "the connection is held for ever");
    wait_until("its place is free", || {
        server.metric("tokenkit_http_connections") == 0
    });
}
