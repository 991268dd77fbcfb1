//! What the service behind gets to see, and what no client can forge.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;

use nginx_tests::client::{ask, get};
use nginx_tests::nginx::Setup;
use nginx_tests::place::Place;
use nginx_tests::service::Service;

const FORGED: &str = "X-Tokenkit-Key: forged\r\nx-tokenkit-user: forged\r\n\
                      X_Tokenkit_User: forged\r\nx.tokenkit.project: forged\r\n\
                      Api_Key: forged\r\nx-tokenkit-other: kept\r\n";

/// The lines of a head that are about identity, sorted.
fn identity(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = head
        .lines()
        .map(str::to_ascii_lowercase)
        .filter(|line| line.contains("tokenkit") || line.starts_with("api"))
        .collect();
    lines.sort();
    lines
}

/// A port that takes one request, of whatever protocol, and what it was sent.
/// What it answers is of none.
fn overhears() -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    let seen = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("nginx connects");
        let mut bytes = vec![0; 65536];
        let length = stream.read(&mut bytes).expect("nginx asks");
        let _ = stream.write_all(b"?");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    });
    (port, seen)
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_service_behind_sees_who_it_is_and_no_key() {
    let place = Place::new();
    let key = place.key(&[]);
    let token = place.session("ada", &[]);
    let service = Service::start();
    let pass = format!("proxy_pass http://127.0.0.1:{};", service.port);
    // Names with odd signs are let through, for the module to look at.
    let nginx = Setup::new(format!(
        "underscores_in_headers on;
         ignore_invalid_headers off;
         location / {{ tokenkit on; {pass} }}
         location /keep/ {{ tokenkit on; tokenkit_forward_key on; {pass} }}
         location /open/ {{ {pass} }}
         location /set/ {{
             tokenkit on;
             proxy_pass_request_headers off;
             proxy_set_header x-tokenkit-mine $tokenkit_key/$tokenkit_project/$tokenkit_user;
             {pass}
         }}"
    ))
    .start(&place);

    let head = format!(
        "{FORGED}api-key: {}\r\nauthorization: Bearer {token}\r\n",
        key.secret
    );
    let seen = |path: &str| identity(&ask(nginx.port, &format!("GET {path}"), &head).body);
    let mine = [
        format!("x-tokenkit-key: {}", key.id.to_ascii_lowercase()),
        "x-tokenkit-other: kept".into(),
        "x-tokenkit-project: shop".into(),
        "x-tokenkit-user: ada".into(),
    ];
    assert_eq!(seen("/"), mine);
    let kept = [
        vec![format!("api-key: {}", key.secret.to_ascii_lowercase())],
        mine.to_vec(),
    ]
    .concat();
    assert_eq!(seen("/keep/"), kept);
    // Where no key is asked for, identity is still nobody's to forge.
    let open = seen("/open/");
    assert!(open.contains(&"x-tokenkit-other: kept".into()), "{open:?}");
    assert_eq!(
        open.iter().filter(|line| line.contains("forged")).count(),
        1,
        "{open:?}"
    );
    assert_eq!(
        seen("/set/"),
        [format!("x-tokenkit-mine: {}/shop/ada", key.id).to_ascii_lowercase()]
    );
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_key_goes_no_further_than_the_places_that_ask_for_it() {
    let place = Place::new();
    let key = place.key(&[]);
    let service = Service::start();
    let sends_on = Service::saying("x-accel-redirect: /other\r\n");
    let (copy, copied) = overhears();
    let pass = format!("proxy_pass http://127.0.0.1:{};", service.port);
    let part = "<!--#include virtual=\"/other\" -->";
    std::fs::write(place.path("parts.shtml"), part).expect("a file");
    let asks = "tokenkit on; tokenkit_forward_key on;";
    let nginx = Setup::new(format!(
        "root .;
         location = /broken {{ {asks} error_page 502 = @other; proxy_pass http://127.0.0.1:1; }}
         location @other {{ {pass} }}
         location = /kept {{ {asks} error_page 502 = @kept; proxy_pass http://127.0.0.1:1; }}
         location @kept {{ tokenkit_forward_key on; {pass} }}
         location = /sent-on {{ {asks} proxy_pass http://127.0.0.1:{sends_on}; }}
         location = /parts.shtml {{ {asks} ssi on; ssi_types *; }}
         location = /other {{ internal; tokenkit on; {pass} }}
         location = /mirrored {{ {asks} mirror /copy; {pass} }}
         location = /copy {{ internal; proxy_pass http://127.0.0.1:{copy}; }}",
        sends_on = sends_on.port,
    ))
    .start(&place);
    let head = format!("api-key: {}\r\n", key.secret);
    let seen = |path: &str| identity(&ask(nginx.port, &format!("GET {path}"), &head).body);
    let mine = [
        format!("x-tokenkit-key: {}", key.id.to_ascii_lowercase()),
        "x-tokenkit-project: shop".into(),
    ];
    let with_key = [
        vec![format!("api-key: {}", key.secret.to_ascii_lowercase())],
        mine.to_vec(),
    ]
    .concat();
    for path in ["/broken", "/sent-on", "/parts.shtml"] {
        assert_eq!(seen(path), mine, "{path}");
    }
    for path in ["/kept", "/mirrored"] {
        assert_eq!(seen(path), with_key, "{path}");
    }
    let copied = copied.join().expect("no panic");
    assert_eq!(identity(&copied), mine, "{copied}");
}

#[test]
#[ignore = "cargo xtask nginx"]
fn fastcgi_and_uwsgi_are_told_too() {
    let place = Place::new();
    let key = place.key(&[]);
    for (protocol, more) in [
        ("fastcgi", "fastcgi_param X y;"),
        ("uwsgi", "uwsgi_param X y;"),
    ] {
        // What is spoken is the gateway's own; it is enough to see the names.
        let (port, seen) = overhears();
        let nginx = Setup::new(format!(
            "location / {{ tokenkit on; {protocol}_pass 127.0.0.1:{port}; {more} }}"
        ))
        .start(&place);
        let head = format!("api-key: {}\r\nx-tokenkit-user: forged\r\n", key.secret);
        let answer = ask(nginx.port, "GET /", &head);
        assert_eq!(answer.status, 502, "{answer:?}");
        let seen = seen.join().expect("no panic");
        assert!(seen.contains("HTTP_X_TOKENKIT_KEY"), "{protocol}: {seen}");
        assert!(seen.contains(&key.id), "{protocol}: {seen}");
        assert!(
            seen.contains("HTTP_X_TOKENKIT_PROJECT"),
            "{protocol}: {seen}"
        );
        assert!(!seen.contains("forged"), "{protocol}: {seen}");
        assert!(!seen.contains(&key.secret), "{protocol}: {seen}");
        nginx.stop();
    }
}

#[test]
#[ignore = "cargo xtask nginx"]
fn logs_say_who_and_why_and_never_the_key() {
    let place = Place::new();
    let key = place.key(&["--limit", "5"]);
    let service = Service::start();
    let nginx = Setup::new(format!(
        "access_log access.log told;
         location / {{ tokenkit on; proxy_pass http://127.0.0.1:{}; }}",
        service.port
    ))
    .http(
        "log_format told '$status $tokenkit_reason $tokenkit_key $tokenkit_project \
         $tokenkit_user $tokenkit_limit $tokenkit_remaining $tokenkit_retry_after $http_api_key';",
    )
    .start(&place);
    assert_eq!(get(nginx.port, "/", &key.secret).status, 200);
    assert_eq!(ask(nginx.port, "GET /", "").status, 401);
    place.tokenkit(&["key", "revoke", &key.id]);
    nginx_tests::wait::wait_until("the key is refused", || {
        get(nginx.port, "/", &key.secret).status == 401
    });
    nginx.stop();
    let log = std::fs::read_to_string(place.path("access.log")).expect("a log");
    let id = &key.id;
    let first = format!("200 allowed {id} shop - 5 4 - -\n401 missing_key - - - - - - -\n");
    assert!(log.starts_with(&first), "{log}");
    assert!(
        log.ends_with(&format!("401 revoked_key {id} shop - - - - -\n")),
        "{log}"
    );
    let errors = std::fs::read_to_string(place.path("error.log")).expect("a log");
    assert!(!errors.contains(&key.secret), "{errors}");
}
