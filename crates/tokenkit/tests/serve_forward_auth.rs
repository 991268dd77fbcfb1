//! The built server as the one whom another proxy asks.

mod serve_support;

use serve_support::Server;
use serve_support::http::Answer;

const TRUST: &str = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
const ROUTES: &str = "[[routes]]\nmethods = [\"POST\"]\npath = \"/me/**\"\nneeds_user = true\n\
                      [[routes]]\npath = \"/dear/**\"\ncost = 900\n\
                      [failures]\nthreshold = 2\n[cors]\norigins = [\"https://app.test\"]\n";

fn server(trusted: bool) -> Server {
    let trust = if trusted { TRUST } else { "" };
    Server::start("", &format!("{trust}{ROUTES}"))
}

fn ask(server: &Server, path: &str, head: &str) -> Answer {
    server.ask(&format!("GET /.tokenkit/authorize{path}"), head)
}

#[test]
fn a_yes_is_bare_and_says_who_it_is() {
    let server = server(true);
    let key = format!("api-key: {}\r\n", server.key());
    let about =
        "x-forwarded-method: GET\r\nx-forwarded-uri: /a?b=c\r\nx-forwarded-for: 192.0.2.7\r\n";
    let forged = "x-tokenkit-user: root\r\n";
    let answer = ask(&server, "", &format!("{key}{about}{forged}"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("content-type"), None);
    assert_eq!(answer.header("x-tokenkit-key"), Some(server.key_id()));
    assert_eq!(answer.header("x-tokenkit-project"), Some("default"));
    assert_eq!(
        answer.header("x-tokenkit-user"),
        Some(""),
        "empty, so that it overwrites"
    );
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("999"));
    server.wait_for_log("\"client\":\"192.0.2.7\"");
    server.wait_for_log("\"path\":\"/a\"");
}

#[test]
fn the_original_request_is_decided_about() {
    let server = server(true);
    let key = format!("api-key: {}\r\n", server.key());
    let about = |method: &str, uri: &str| {
        format!("{key}x-forwarded-method: {method}\r\nx-forwarded-uri: {uri}\r\n")
    };
    let refused = ask(&server, "", &about("POST", "/me/x?y"));
    assert_eq!(
        (refused.status, refused.reason()),
        (403, "bearer_required".into())
    );
    assert_eq!(ask(&server, "", &about("GET", "/me/x")).status, 200);
    // nginx' headers count for nginx' path only, and the other way round.
    let mixed = format!(
        "{}x-original-method: GET\r\nx-original-uri: /\r\n",
        about("POST", "/me/x")
    );
    assert_eq!(ask(&server, "", &mixed).status, 403);
    let mixed = format!(
        "{}x-original-method: POST\r\nx-original-uri: /me/x\r\n",
        about("GET", "/")
    );
    assert_eq!(ask(&server, "/nginx", &mixed).status, 403);
    // Envoy asks with the request's own method and path.
    assert_eq!(
        server
            .ask("POST /.tokenkit/authorize/envoy/me/x", &key)
            .reason(),
        "bearer_required"
    );
    assert_eq!(
        server
            .ask("GET /.tokenkit/authorize/envoy/me/x", &key)
            .status,
        200
    );
    // A trusted proxy that leaves it open is not guessed about.
    let open = ask(&server, "", &key);
    assert_eq!(
        (open.status, open.reason()),
        (400, "bad_forward_auth".into())
    );
}

#[test]
fn nobody_but_a_trusted_proxy_is_believed() {
    let server = server(false);
    let key = format!("api-key: {}\r\n", server.key());
    let forged = "x-forwarded-method: POST\r\nx-forwarded-uri: /me/x\r\nx-original-method: POST\r\n\
                  x-original-uri: /dear/x\r\nx-forwarded-for: 192.0.2.1\r\n";
    for path in ["", "/nginx", "/envoy/dear/x"] {
        let answer = ask(&server, path, &format!("{key}{forged}"));
        assert_eq!(
            answer.status, 200,
            "decided about as the request that it is"
        );
    }
    let answer = ask(&server, "", &format!("{key}{forged}"));
    assert_eq!(
        answer.header("x-ratelimit-remaining"),
        Some("996"),
        "at the cost of that"
    );
    server.wait_for_log("http.trusted_proxies");
    assert!(!server.log().contains("192.0.2.1"));
    // Guesses count against the peer, whomever it names.
    for forwarded in ["192.0.2.1", "192.0.2.2"] {
        let guess = format!("api-key: x\r\nx-forwarded-for: {forwarded}\r\n");
        assert_eq!(ask(&server, "", &guess).status, 401);
    }
    assert_eq!(ask(&server, "", &key).reason(), "ip_blocked");
}

#[test]
fn guesses_count_against_the_client_behind_a_trusted_proxy() {
    let server = server(true);
    let about = "x-forwarded-method: GET\r\nx-forwarded-uri: /\r\n";
    let from = |key: &str, client: &str| {
        ask(
            &server,
            "",
            &format!("api-key: {key}\r\n{about}x-forwarded-for: 6.6.6.6, {client}\r\n"),
        )
    };
    for _ in 0..2 {
        assert_eq!(from("x", "192.0.2.1").reason(), "malformed_key");
    }
    let blocked = from(server.key(), "192.0.2.1");
    assert_eq!(
        (blocked.status, blocked.reason()),
        (429, "ip_blocked".into())
    );
    assert_eq!(from(server.key(), "192.0.2.2").status, 200);
}

#[test]
fn nginx_gets_what_it_can_take() {
    let server = server(true);
    let key = format!("api-key: {}\r\n", server.key());
    let about = |uri: &str| format!("x-original-method: POST\r\nx-original-uri: {uri}\r\n");
    let check = |answer: &Answer, status: u16, true_status: &str, reason: &str| {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("x-tokenkit-status"), Some(true_status));
        assert_eq!(answer.header("x-tokenkit-reason"), Some(reason));
        assert_eq!(answer.header("content-length"), Some("0"));
        let problem: serde_json::Value =
            serde_json::from_str(answer.header("x-tokenkit-problem").unwrap()).unwrap();
        assert_eq!(problem["reason"], reason);
        assert_eq!(problem["status"].to_string(), true_status);
    };
    let missing = ask(&server, "/nginx", &about("/"));
    check(&missing, 401, "401", "missing_key");
    assert!(missing.header("www-authenticate").is_some());
    check(
        &ask(&server, "/nginx", &format!("{key}{}", about("/me/x"))),
        403,
        "403",
        "bearer_required",
    );
    assert_eq!(
        ask(&server, "/nginx", &format!("{key}{}", about("/dear/x"))).status,
        200
    );
    let limited = ask(&server, "/nginx", &format!("{key}{}", about("/dear/x")));
    check(&limited, 403, "429", "hourly_limit");
    let wait = limited.header("x-tokenkit-retry-after").unwrap();
    assert!((1..=3600).contains(&wait.parse::<u32>().unwrap()));
}

#[test]
fn a_preflight_is_never_a_yes() {
    let server = server(true);
    let asked = "origin: https://app.test\r\naccess-control-request-method: PUT\r\n";
    // It would pass without a key.
    let about = "x-forwarded-method: OPTIONS\r\nx-forwarded-uri: /me/x\r\n";
    let answer = ask(&server, "", &format!("{about}{asked}"));
    assert_eq!(
        (answer.status, answer.reason()),
        (400, "bad_forward_auth".into())
    );
    // Without an origin it is an OPTIONS like any other request.
    assert_eq!(ask(&server, "", about).reason(), "missing_key");

    let about = "x-original-method: OPTIONS\r\nx-original-uri: /me/x\r\n";
    let answer = ask(&server, "/nginx", &format!("{about}{asked}"));
    assert_eq!((answer.status, answer.text().as_str()), (403, ""));
    assert_eq!(answer.header("x-tokenkit-status"), Some("204"));
    assert_eq!(answer.header("x-tokenkit-reason"), Some("preflight"));
    let allowed = |answer: &Answer| {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://app.test")
        );
        assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    };
    allowed(&answer);

    let line = "OPTIONS /.tokenkit/authorize/envoy/me/x";
    let answer = server.ask(line, asked);
    assert_eq!(answer.status, 204, "Envoy takes only 200 for a yes");
    allowed(&answer);
    assert_eq!(server.metric("tokenkit_preflights_total"), 3);
}
