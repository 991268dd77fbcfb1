//! The built server, told to stop.

mod serve_support;

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serve_support::http::Client;
use serve_support::upstream::Upstream;
use serve_support::{Server, pause, wait_until};

#[test]
fn what_is_under_way_is_finished() {
    let (answer_now, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let upstream = Upstream::start(move |asked| {
        may_answer.lock().unwrap().recv().unwrap();
        asked.answer("200 OK", "", "done");
        true
    });
    let mut server = Server::start(&upstream.setting(), "");
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET /", "").status, 401);
    let mut busy = server.connect();
    busy.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    wait_until("the request is under way", || upstream.seen() == 1);
    let mut fresh = server.connect();
    wait_until("it is connected", || {
        server.metric("tokenkit_http_connections") == 3
    });

    server.signal("TERM");
    wait_until("it says so", || server.admin("/readyz").status == 503);
    assert_eq!(server.admin("/healthz").status, 200);
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    wait_until("nothing is taken any more", || {
        std::net::TcpStream::connect(server.listen).is_err()
    });
    answer_now.send(()).unwrap();
    let answer = busy.answer(false);
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(server.wait().success());
}

#[test]
fn the_grace_is_limited() {
    let upstream = Upstream::start(|_| {
        pause(Duration::from_secs(600));
        false
    });
    let setting = format!("{}\nshutdown_grace_s = 1", upstream.setting());
    let mut server = Server::start(&setting, "");
    let mut busy = server.connect();
    busy.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    wait_until("the request is under way", || upstream.seen() == 1);
    let told = Instant::now();
    server.signal("INT");
    assert!(server.wait().success());
    assert!(
        (1..20).contains(&told.elapsed().as_secs()),
        "{:?}",
        told.elapsed()
    );
    assert!(busy.is_closed());
    assert!(server.log().contains("shutdown_grace_s"));
}

#[test]
fn a_second_signal_ends_the_grace() {
    let upstream = Upstream::start(|_| {
        pause(Duration::from_secs(600));
        false
    });
    let mut server = Server::start(&upstream.setting(), "");
    let mut busy = server.connect();
    busy.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    wait_until("the request is under way", || upstream.seen() == 1);
    let told = Instant::now();
    server.signal("TERM");
    wait_until("it says so", || {
        Client::connect(server.admin).ask("GET /readyz", "").status == 503
    });
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "{:?}",
        told.elapsed()
    );
}
