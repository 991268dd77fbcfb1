//! Under valgrind's eyes: no access astray, no leak, from the start of nginx
//! through reloads to its end.

use std::fs;

use nginx_tests::client::{ask, get};
use nginx_tests::nginx::Setup;
use nginx_tests::place::Place;
use nginx_tests::service::Service;

#[test]
#[ignore = "cargo xtask nginx"]
fn valgrind_finds_nothing() {
    let place = Place::new();
    let key = place.key(&["--limit", "1000", "--origin", "https://app.example.com"]);
    let token = place.session("ada", &[]);
    let service = Service::saying("vary: accept\r\n");
    let log = place.path("valgrind.%p").display().to_string();
    let nginx = Setup::new(format!(
        "tokenkit on;
         location / {{ proxy_pass http://127.0.0.1:{port}; }}
         location /user {{ tokenkit_needs_user on; proxy_pass http://127.0.0.1:{port}; }}
         location /moved {{ try_files /none /user; }}",
        port = service.port
    ))
    .http("tokenkit_ledger ledger; tokenkit_failures_exempt 127.0.0.0/8;")
    .start_by(
        &place,
        &[
            "valgrind",
            "--quiet",
            "--trace-children=yes",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
            &format!("--log-file={log}"),
        ],
    );
    let head = format!(
        "api-key: {}\r\nauthorization: Bearer {token}\r\norigin: https://app.example.com\r\n",
        key.secret
    );
    let asks = "access-control-request-method: PUT\r\naccess-control-request-headers: a\r\n\
                access-control-request-headers: b\r\n";
    for _ in 0..2 {
        for _ in 0..50 {
            assert_eq!(ask(nginx.port, "GET /user", &head).status, 200);
            assert_eq!(ask(nginx.port, "GET /moved", &head).status, 200);
            assert_eq!(ask(nginx.port, "HEAD /", &head).status, 200);
            assert_eq!(get(nginx.port, "/", "x").status, 401);
            assert_eq!(get(nginx.port, "/user", &key.secret).status, 403);
            let preflight = format!("{head}{asks}");
            assert_eq!(ask(nginx.port, "OPTIONS /", &preflight).status, 204);
            break_off(nginx.port);
        }
        nginx.reload();
    }
    assert!(nginx.stop().success());
    let mut looked_at = 0;
    for file in fs::read_dir(place.folder()).expect("the folder").flatten() {
        let path = file.path();
        if !path.display().to_string().contains("valgrind.") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a log");
        let found: Vec<&str> = records(&text).filter(|record| is_ours(record)).collect();
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
        looked_at += 1;
    }
    // The master, and a worker before and after each reload.
    assert!(looked_at >= 4, "only {looked_at} processes were looked at");
}

/// The records of a log, each closed by a line with nothing but the process id.
fn records(log: &str) -> impl Iterator<Item = &str> {
    log.split_inclusive("== \n")
        .filter(|record| record.contains(" at 0x"))
}

/// Whatever touches memory astray is the module's, but nginx leaks on its own:
/// such a leak has no function of the module on its way.
fn is_ours(record: &str) -> bool {
    !record.contains(" lost in loss record ") || record.contains("tokenkit")
}

/// A request that breaks off within its headers.
fn break_off(port: u16) {
    use std::io::Write as _;
    let stream = std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port));
    let mut stream = stream.expect("nginx listens");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\napi-key: tk_")
        .expect("nginx reads");
}
