//! Redirects within nginx, subrequests, other checks: a request is charged
//! once, and only if everything else lets it through.

use nginx_tests::client::{ask, get};
use nginx_tests::hour::away_from_its_end;
use nginx_tests::nginx::Setup;
use nginx_tests::place::{Key, Place};
use nginx_tests::service::Service;

const LIMIT: &str = "1000";

/// What is left of a key's budget, by a request that costs nothing.
fn left(port: u16, key: &Key) -> u64 {
    let answer = get(port, "/free", &key.secret);
    let left = answer.header("x-ratelimit-remaining").unwrap_or_default();
    left.parse().unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_request_is_charged_once_however_it_is_redirected() {
    let place = Place::new();
    let key = place.key(&["--limit", LIMIT]);
    let token = place.session("ada", &[]);
    let service = Service::saying("vary: accept\r\nratelimit: theirs\r\n");
    let pass = format!("proxy_pass http://127.0.0.1:{};", service.port);
    std::fs::write(place.path("page.html"), "a page").expect("a file");
    std::fs::write(
        place.path("parts.shtml"),
        "<!--#include virtual=\"/part\" -->",
    )
    .expect("a file");
    let nginx = Setup::new(format!(
        "tokenkit on;
         root .;
         location = /free {{ tokenkit_cost 0; {pass} }}
         location /try {{ try_files /none @app; }}
         location @app {{ {pass} }}
         location /moved {{ error_page 404 = /app; try_files /none =404; }}
         location /app {{ {pass} }}
         location /kept {{ error_page 404 /page.html; try_files /none =404; }}
         location /parts.shtml {{ ssi on; ssi_types *; }}
         location /part {{ {pass} }}
         location /mirrored {{ mirror /part; {pass} }}
         location /user {{ tokenkit_needs_user on; {pass} }}
         location /to-user {{ try_files /none /user; }}
         location /denied {{ deny all; {pass} }}
         location /any {{ satisfy any; allow all; {pass} }}
         location = /open-part {{ tokenkit off; ssi on; ssi_types *; try_files /parts.shtml =404; }}
         location /asks {{ auth_request /part; {pass} }}
         location = /broken {{ proxy_pass http://127.0.0.1:1; error_page 502 = /app; }}"
    ))
    .start(&place);

    away_from_its_end(20, || get(nginx.port, "/free", &key.secret));
    let mut expected = LIMIT.parse::<u64>().unwrap_or_default();
    let head = format!("api-key: {}\r\n", key.secret);
    for (path, status) in [
        ("/page.html", 200),
        ("/try", 200),
        ("/moved", 200),
        ("/kept", 404),
        ("/parts.shtml", 200),
        ("/mirrored", 200),
        ("/any", 200),
        ("/asks", 200),
        ("/broken", 200),
    ] {
        let answer = ask(nginx.port, &format!("GET {path}"), &head);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        expected -= 1;
        let told = answer.header("x-ratelimit-remaining");
        assert_eq!(told, Some(&*expected.to_string()), "{path}: {answer:?}");
        assert!(
            answer.all("vary").concat().contains("Origin"),
            "{path}: {answer:?}"
        );
        assert_eq!(left(nginx.port, &key), expected, "{path}");
    }

    // What others refuse is not charged.
    let denied = ask(nginx.port, "GET /denied", &head);
    assert_eq!(denied.status, 403);
    assert_eq!(denied.reason(), "", "{denied:?}");
    assert_eq!(left(nginx.port, &key), expected);

    // Nothing gets past the key.
    for path in ["/any", "/try", "/moved", "/asks"] {
        assert_eq!(
            ask(nginx.port, &format!("GET {path}"), "").reason(),
            "missing_key",
            "{path}"
        );
    }

    // A place that wants a user wants one of whoever is sent there; one charge.
    let there = ask(nginx.port, "GET /to-user", &head);
    assert_eq!(there.reason(), "bearer_required", "{there:?}");
    expected -= 1;
    assert_eq!(left(nginx.port, &key), expected);
    let with_token = format!("{head}authorization: Bearer {token}\r\n");
    let there = ask(nginx.port, "GET /to-user", &with_token);
    assert_eq!(there.status, 200, "{there:?}");
    expected -= 1;
    assert_eq!(left(nginx.port, &key), expected);
}

#[test]
#[ignore = "cargo xtask nginx"]
fn the_answer_of_the_service_is_joined_and_its_budget_replaced() {
    let place = Place::new();
    let key = place.key(&["--limit", LIMIT, "--origin", "https://app.example.com"]);
    let service = Service::saying(
        "vary: accept\r\nratelimit: theirs\r\nX-RateLimit-Limit: 1\r\n\
         access-control-allow-origin: *\r\naccess-control-expose-headers: etag\r\n",
    );
    let nginx = Setup::new(format!(
        "location / {{ tokenkit on; proxy_pass http://127.0.0.1:{}; }}
         location /open {{ proxy_pass http://127.0.0.1:{}; }}",
        service.port, service.port
    ))
    .start(&place);
    let head = format!(
        "api-key: {}\r\norigin: https://app.example.com\r\n",
        key.secret
    );
    let answer = ask(nginx.port, "GET /", &head);
    assert_eq!(answer.all("vary"), ["accept", "Origin"], "{answer:?}");
    let budget = answer.header("ratelimit").unwrap_or_default();
    assert!(budget.starts_with("\"hour\";r=999;t="), "{answer:?}");
    assert_eq!(answer.header("x-ratelimit-limit"), Some(LIMIT));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    let exposed = answer.all("access-control-expose-headers");
    assert_eq!(exposed.len(), 2, "{answer:?}");
    assert_eq!(exposed[0], "etag");
    let open = ask(nginx.port, "GET /open", &head);
    assert_eq!(open.header("ratelimit"), Some("theirs"), "{open:?}");
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_body_that_is_refused_is_not_waited_for() {
    let place = Place::new();
    place.key(&[]);
    let nginx = Setup::new("tokenkit on; root .;").start(&place);
    let mut client = nginx_tests::client::Client::connect(nginx.port).expect("nginx listens");
    let refused = client
        .ask(
            "POST /",
            "content-length: 1000000\r\nexpect: 100-continue\r\n",
        )
        .expect("an answer");
    assert_eq!(refused.reason(), "missing_key", "{refused:?}");
}
