//! Every row of the contract, through nginx, beside `tokenkit serve` over the
//! same store: the same status, headers and body, byte for byte, and the same
//! identity before the service behind.

use nginx_tests::client::{Answer, ask};
use nginx_tests::hour::away_from_its_end;
use nginx_tests::nginx::{Nginx, Setup};
use nginx_tests::place::Place;
use nginx_tests::serve::Serve;
use nginx_tests::service::Service;

const ORIGIN: &str = "origin: https://app.example.com\r\n";
const SETTINGS: [&str; 3] = [
    "cors.origins=https://console.example.com",
    "failures.threshold=1000",
    "routes=[{path=\"/user\",needs_user=true},{path=\"/dear\",cost=5},{path=\"/free\",cost=0}]",
];

/// Both doors before the same service.
struct Doors {
    nginx: Nginx,
    serve: Serve,
    service: Service,
}

impl Doors {
    fn open(place: &Place) -> Self {
        let service = Service::start();
        let server = format!(
            "tokenkit on;
             location / {{ proxy_pass http://127.0.0.1:{port}; }}
             location = /user {{ tokenkit_needs_user on; proxy_pass http://127.0.0.1:{port}; }}
             location = /dear {{ tokenkit_cost 5; proxy_pass http://127.0.0.1:{port}; }}
             location = /free {{ tokenkit_cost 0; proxy_pass http://127.0.0.1:{port}; }}",
            port = service.port,
        );
        let setup = Setup::new(server).http(
            "tokenkit_origins https://console.example.com;
             tokenkit_failures threshold=1000;",
        );
        Self {
            nginx: setup.start(place),
            serve: Serve::start(place, service.port, &SETTINGS),
            service,
        }
    }

    /// Asks both, and returns what they agree on. A second may end between two
    /// answers, so a difference is looked at again.
    fn agree(&self, line: &str, head: &str) -> Answer {
        let mut tries = 0;
        loop {
            let ours = told(ask(self.nginx.port, line, head));
            let theirs = told(ask(self.serve.port, line, head));
            if ours == theirs {
                return ours;
            }
            tries += 1;
            assert!(
                tries < 5,
                "{line}\n{head}\nnginx: {ours:#?}\nserve: {theirs:#?}"
            );
        }
    }
}

/// What the contract says of an answer: all but what is the server's own, and
/// of what the service saw, the identity.
fn told(mut answer: Answer) -> Answer {
    let own = [
        "date",
        "server",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "x-worker",
    ];
    answer.headers.retain(|(name, _)| !own.contains(&&**name));
    if answer.status == 200 {
        answer.headers.retain(|(name, _)| name != "content-length");
        let about_client = |line: &&str| {
            let line = line.to_ascii_lowercase();
            ["api", "x-tokenkit", "authorization", "origin"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        let mut lines: Vec<String> = answer
            .body
            .lines()
            .filter(about_client)
            .map(str::to_ascii_lowercase)
            .collect();
        lines.sort();
        answer.body = lines.join("\n");
    }
    answer.headers.sort();
    answer
}

fn key(secret: &str) -> String {
    format!("api-key: {secret}\r\n")
}

#[test]
#[ignore = "cargo xtask nginx"]
fn every_row_is_answered_as_tokenkit_serve_does() {
    let place = Place::new();
    let open = place.key(&[]);
    let limited = place.key(&["--limit", "1000000"]);
    let tiny = place.key(&["--limit", "1"]);
    let revoked = place.key(&[]);
    let disabled = place.key(&[]);
    let expired = place.key(&["--expires", "1s"]);
    let origins = place.key(&["--origin", "https://app.example.com"]);
    let demanding = place.key(&["--require-origin"]);
    let ips = place.key(&["--ip", "192.0.2.0/24"]);
    let unknown = Place::new().key(&[]);
    place.tokenkit(&["key", "revoke", &revoked.id]);
    place.tokenkit(&["key", "disable", &disabled.id]);
    let token = place.session("ada", &[]);
    let bearer = format!("{}Authorization: bearer  {token}\r\n", key(&open.secret));
    let doors = Doors::open(&place);
    nginx_tests::wait::wait_until("the key has expired", || {
        ask(doors.serve.port, "GET /", &key(&expired.secret)).status == 401
    });

    away_from_its_end(20, || {
        ask(doors.serve.port, "GET /free", &key(&tiny.secret))
    });
    let rows: &[(&str, u16, &str, &str, String)] = &[
        ("no key", 401, "missing_key", "/", String::new()),
        ("an empty key", 401, "missing_key", "/", key("")),
        ("a blank key", 401, "missing_key", "/", key(" \t ")),
        ("no key's form", 401, "malformed_key", "/", key("tk_live_x")),
        (
            "two keys",
            401,
            "malformed_key",
            "/",
            key(&open.secret) + "API-Key: " + &open.secret + "\r\n",
        ),
        (
            "an unknown key",
            401,
            "unknown_key",
            "/",
            key(&unknown.secret),
        ),
        (
            "a revoked key",
            401,
            "revoked_key",
            "/",
            key(&revoked.secret),
        ),
        (
            "a disabled key",
            401,
            "disabled_key",
            "/",
            key(&disabled.secret),
        ),
        (
            "an expired key",
            401,
            "expired_key",
            "/",
            key(&expired.secret),
        ),
        (
            "another origin",
            401,
            "origin_denied",
            "/",
            key(&origins.secret) + "Origin: https://evil.example.com\r\n",
        ),
        (
            "two origins",
            401,
            "origin_denied",
            "/",
            key(&origins.secret) + ORIGIN + ORIGIN,
        ),
        (
            "no origin",
            401,
            "origin_denied",
            "/",
            key(&demanding.secret),
        ),
        ("another address", 401, "ip_denied", "/", key(&ips.secret)),
        (
            "no token",
            403,
            "bearer_required",
            "/user",
            key(&open.secret),
        ),
        (
            "another scheme",
            403,
            "bearer_required",
            "/user",
            key(&open.secret) + "Authorization: Basic eDp5\r\n",
        ),
        (
            "a wrong token",
            403,
            "bearer_invalid",
            "/user",
            key(&open.secret) + "Authorization: Bearer x\r\n",
        ),
        (
            "a dear request",
            429,
            "hourly_limit",
            "/dear",
            key(&tiny.secret),
        ),
        ("an unlimited key", 200, "", "/", key(&open.secret)),
        ("a limited key", 200, "", "/", key(&limited.secret)),
        ("a dear one", 200, "", "/dear", key(&limited.secret)),
        ("a free one", 200, "", "/free", key(&tiny.secret)),
        ("the last unit", 200, "", "/", key(&tiny.secret)),
        ("one too many", 429, "hourly_limit", "/", key(&tiny.secret)),
        ("a user", 200, "", "/user", bearer.clone()),
        ("a user where none is wanted", 200, "", "/", bearer),
        (
            "a token nobody knows where none is wanted",
            200,
            "",
            "/",
            key(&open.secret) + "Authorization: Bearer x\r\n",
        ),
        (
            "a listed origin",
            200,
            "",
            "/",
            key(&origins.secret) + ORIGIN,
        ),
        (
            "the server's origin, refused",
            401,
            "missing_key",
            "/",
            "Origin: https://console.example.com\r\n".into(),
        ),
        (
            "the key's origin, refused",
            403,
            "bearer_required",
            "/user",
            key(&origins.secret) + ORIGIN,
        ),
    ];
    for (what, status, reason, path, head) in rows {
        for method in ["GET", "HEAD", "POST"] {
            if *what == "the last unit" && method != "GET" {
                continue;
            }
            let answer = doors.agree(&format!("{method} {path}"), head);
            assert_eq!(answer.status, *status, "{what}: {answer:?}");
            if method == "GET" {
                assert_eq!(answer.reason(), *reason, "{what}: {answer:?}");
            }
        }
    }
}

#[test]
#[ignore = "cargo xtask nginx"]
fn preflights_are_answered_alike_and_reach_nobody() {
    let place = Place::new();
    place.key(&["--origin", "https://app.example.com"]);
    let doors = Doors::open(&place);
    let asks = "access-control-request-method: PUT\r\n\
                access-control-request-headers: x-trace, content-type\r\n\
                access-control-request-headers: x-last\r\n";
    for (origin, granted) in [
        ("https://app.example.com", true),
        ("https://console.example.com", true),
        ("https://evil.example.com", false),
        ("null", false),
    ] {
        let head = format!("origin: {origin}\r\n{asks}");
        let answer = doors.agree("OPTIONS /user", &head);
        assert_eq!(answer.status, 204, "{answer:?}");
        let echoed = answer.header("access-control-allow-origin");
        assert_eq!(echoed, granted.then_some(origin), "{answer:?}");
    }
    // Whatever lacks one of the three is a request like others.
    for head in [asks, ORIGIN, ""] {
        assert_eq!(doors.agree("OPTIONS /", head).status, 401);
    }
    assert_eq!(doors.service.asked(), 0);
}

#[test]
#[ignore = "cargo xtask nginx"]
fn an_address_that_guesses_is_blocked() {
    let place = Place::new();
    let good = place.key(&[]);
    let setup = Setup::new("tokenkit on; root .;")
        .http("tokenkit_failures threshold=3 window=1m block=1m;");
    std::fs::write(place.path("file"), "hello").expect("a file");
    let nginx = setup.start(&place);
    let with = |secret: &str| ask(nginx.port, "GET /file", &key(secret));
    assert_eq!(with(&good.secret).body, "hello");
    for _ in 0..3 {
        assert_eq!(with("guess").reason(), "malformed_key");
    }
    let blocked = with(&good.secret);
    assert_eq!((blocked.status, &*blocked.reason()), (429, "ip_blocked"));
    let wait: u64 = blocked
        .header("retry-after")
        .unwrap_or_default()
        .parse()
        .unwrap_or(0);
    assert!((1..=60).contains(&wait), "{blocked:?}");
    assert_eq!(ask(nginx.port, "GET /file", "").reason(), "missing_key");
}
