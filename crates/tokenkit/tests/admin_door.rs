//! Who is let in at the admin address, and from where.

mod serve_support;

use engine::SecretKey;
use serde_json::json;
use serve_support::admin::Admin;
use serve_support::http::Client;
use serve_support::{Server, wait_until};
use store::{Actor, MAX_TOKENS_IN_USE, Scope, Store, StoredToken};

#[test]
fn without_a_token_nothing_answers() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let host = server.admin.to_string();
    let ask = |line: &str, head: &str| Client::connect(server.admin).ask_as(&host, line, head, "");
    let paths = [
        "/v1",
        "/v1/",
        "/v1/keys",
        "/v1/nothing",
        "/v1/openapi.json",
        "/v1/overview",
    ];
    for path in paths {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "PURGE"] {
            let answer = ask(&format!("{method} {path}"), "");
            assert_eq!(
                (answer.status, answer.problem()),
                (401, "missing_token".into())
            );
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer realm=\"tokenkit admin\"")
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
    // Neither another scheme nor a client's key nor a token in a query is one.
    let key = server.key();
    for (head, reason) in [
        (
            format!("authorization: Basic {}\r\n", admin.token),
            "missing_token",
        ),
        ("authorization: Bearer \r\n".into(), "missing_token"),
        (
            format!("authorization: Bearer {key}\r\n"),
            "malformed_token",
        ),
        (format!("api-key: {key}\r\n"), "missing_token"),
    ] {
        let answer = ask("GET /v1/keys", &head);
        assert_eq!(
            (answer.status, answer.problem()),
            (401, reason.into()),
            "{head}"
        );
    }
    // No admin token opens what keys open.
    assert_eq!(server.get_with(&admin.token).status, 401);
    // Health is for everybody, and says nothing else.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            Client::connect(server.admin)
                .ask(&format!("GET {path}"), "")
                .status,
            200
        );
    }
    let headers = ask("GET /v1/keys", "");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(headers.header(name), Some(value));
    }
    let policy = headers.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
}

#[test]
fn who_may_look_may_not_change() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let made = admin.make("/v1/tokens", &json!({ "name": "eyes", "scope": "read" }));
    let reader = Admin::with(&server, made["token"].as_str().unwrap());
    for path in [
        "keys", "projects", "sessions", "blocked", "exempt", "usage", "audit", "tokens", "overview",
    ] {
        assert_eq!(reader.get(&format!("/v1/{path}")).status, 200, "{path}");
    }
    let id = server.key_id();
    for line in [
        "POST /v1/keys".to_owned(),
        "POST /v1/tokens".into(),
        format!("PATCH /v1/keys/{id}"),
        format!("POST /v1/keys/{id}/revoke"),
        "DELETE /v1/tokens/0000000000".into(),
        "DELETE /v1/sessions?project=p&user=u".into(),
        "POST /v1/nothing".into(),
    ] {
        let refused = reader.send(&line, "", &json!({ "project": "p" }));
        assert_eq!(
            (refused.status, refused.problem()),
            (403, "read_only".into()),
            "{line}"
        );
    }
    assert_eq!(server.get("/", "").status, 200);
}

#[test]
fn a_token_that_is_revoked_or_expired_opens_nothing_more() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    for _ in 0..20 {
        let made = admin.make("/v1/tokens", &json!({ "name": "short", "scope": "write" }));
        let short = Admin::with(&server, made["token"].as_str().unwrap());
        assert_eq!(short.get("/v1/keys").status, 200);
        let line = format!("DELETE /v1/tokens/{}", made["id"].as_str().unwrap());
        assert_eq!(admin.ask(&line, "", "").status, 204);
        let refused = short.get("/v1/keys");
        assert_eq!(
            (refused.status, refused.problem()),
            (401, "revoked_token".into())
        );
        assert_eq!(admin.ask(&line, "", "").status, 204);
    }
    let listed = admin.see("/v1/tokens");
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 21);
    assert_eq!(
        admin.ask("DELETE /v1/tokens/0000000000", "", "").status,
        404
    );
    let bad = admin.send(
        "POST /v1/tokens",
        "",
        &json!({ "scope": "root", "expires_at": 5 }),
    );
    assert_eq!(bad.faults(), ["#/name", "#/scope", "#/expires_at"]);
    let past = json!({ "name": "x", "scope": "read", "expires_at": "2001-01-01T00:00:00Z" });
    assert_eq!(
        admin.send("POST /v1/tokens", "", &past).faults(),
        ["#/expires_at"]
    );
}

#[test]
fn the_command_line_makes_and_revokes_tokens_of_a_running_server() {
    // A token that is not known yet is a guess.
    let server = Server::start("", "[failures]\nthreshold = 4095\n");
    let made = server.json(&[
        "admin", "token", "create", "--name", "cli", "--scope", "read",
    ]);
    let admin = Admin::with(&server, made["token"].as_str().unwrap());
    wait_until("the token is known", || admin.get("/v1/keys").status == 200);
    let id = made["id"].as_str().unwrap();
    let listed = server.json(&["admin", "token", "list"]);
    let listed = listed.as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .any(|token| token["id"] == id && token["scope"] == "read")
    );
    assert!(listed.iter().all(|token| token["token"].is_null()));
    server.command(&["admin", "token", "revoke", id]);
    wait_until("the token is refused", || {
        admin.get("/v1/keys").status == 401
    });
    let shown = server.command(&["admin", "token", "list"]).stdout;
    assert!(String::from_utf8(shown).unwrap().contains("revoked"));
    let timed = server.json(&[
        "admin",
        "token",
        "create",
        "--name",
        "t",
        "--scope",
        "write",
        "--expires",
        "1h",
    ]);
    assert!(timed["expires_at"].as_u64().unwrap() > timed["created_at"].as_u64().unwrap());
}

#[test]
fn however_many_tokens_have_expired_new_ones_are_made_and_revoked() {
    let server = Server::start("", "");
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let mut store = Store::open(&server.path("data/tokenkit.db"), &secret).unwrap();
    let mut writer = store.write(&Actor::cli("test"), 1000).unwrap();
    for made_at in (1..).step_by(60).take(2 * MAX_TOKENS_IN_USE as usize + 10) {
        let token = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
        let (name, expires_at) = ("old".parse().unwrap(), Some(1));
        let stored = StoredToken::of(&token, &secret, name, Scope::Write, expires_at, made_at);
        writer.add_token(&stored).unwrap();
    }
    writer.commit().unwrap();
    let token = Admin::first(&server).token;
    let makes_and_revokes = |server: &Server| {
        let first = Admin::with(server, &token);
        let wanted = serde_json::json!({ "name": "new", "scope": "read" });
        let made = first.make("/v1/tokens", &wanted);
        let new = Admin::with(server, made["token"].as_str().unwrap());
        assert_eq!(new.get("/v1/keys").status, 200);
        let id = made["id"].as_str().unwrap();
        let revoked = first.ask(&format!("DELETE /v1/tokens/{id}"), "", "");
        assert!(matches!(revoked.status, 200 | 204), "{}", revoked.text());
        assert_eq!(new.get("/v1/keys").status, 401);
    };
    makes_and_revokes(&server);
    makes_and_revokes(&Server::start_in(server.stop(), "", ""));
}

#[test]
fn guesses_are_throttled_apart_from_the_clients() {
    let server = Server::start(
        "",
        "[failures]\nthreshold = 3\n[http]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    );
    let admin = Admin::first(&server);
    let guess = Admin::with(&server, "tk_admin_guess");
    let from = "x-forwarded-for: 192.0.2.9\r\n";
    for _ in 0..3 {
        let refused = guess.ask("GET /v1/keys", from, "");
        assert_eq!(
            (refused.status, refused.problem()),
            (401, "malformed_token".into())
        );
    }
    let blocked = guess.ask("GET /v1/keys", from, "");
    assert_eq!(
        (blocked.status, blocked.problem()),
        (429, "ip_blocked".into())
    );
    let wait: u32 = blocked.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait));
    // Also with a good token, from there; elsewhere it is good.
    assert_eq!(admin.ask("GET /v1/keys", from, "").status, 429);
    assert_eq!(admin.get("/v1/keys").status, 200);
    // Where clients speak nobody is blocked by it.
    assert_eq!(server.get("/", from).status, 200);
    assert_eq!(admin.see("/v1/blocked")["total"], 0);
}

#[test]
fn what_is_not_meant_for_the_server_is_refused_before_all_else() {
    let server = Server::start(
        "",
        "[admin]\nhosts = [\"admin.example.com\"]\nmetrics_token = true\n",
    );
    let admin = Admin::first(&server);
    let head = format!("authorization: Bearer {}\r\n", admin.token);
    let port = server.admin.port();
    let ask = |host: &str, line: &str, more: &str| {
        Client::connect(server.admin).ask_as(host, line, &format!("{head}{more}"), "")
    };
    for host in [
        &format!("127.0.0.1:{port}"),
        "localhost",
        "admin.example.com",
        "[::1]:1",
    ] {
        assert_eq!(ask(host, "GET /v1/keys", "").status, 200, "{host}");
    }
    for path in ["/v1/keys", "/", "/metrics"] {
        let refused = ask("rebound.example.org", &format!("GET {path}"), "");
        assert_eq!(
            (refused.status, refused.problem()),
            (421, "wrong_host".into())
        );
    }
    let host = format!("localhost:{port}");
    for more in [
        "origin: https://evil.example.com\r\n",
        "origin: http://localhost:1\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        for line in ["GET /v1/keys", "POST /v1/keys", "OPTIONS /v1/keys"] {
            let refused = ask(&host, line, more);
            assert_eq!(
                (refused.status, refused.problem()),
                (403, "cross_origin".into()),
                "{more}"
            );
            assert!(refused.header("access-control-allow-origin").is_none());
        }
    }
    let own = format!("origin: http://{host}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(ask(&host, "GET /v1/keys", &own).status, 200);
    // Metrics want a token here.
    assert_eq!(ask(&host, "GET /metrics", "").status, 200);
    let bare = Client::connect(server.admin).ask_as(&host, "GET /metrics", "", "");
    assert_eq!(bare.status, 401);
}

#[test]
fn one_address_keeps_no_other_from_asking_for_health() {
    let server = Server::start("", "");
    let connect = || Client::connect_from([127, 0, 3, 9].into(), server.admin);
    let mut held: Vec<_> = (0..32).map(|_| connect()).collect();
    // Each is open and sends nothing more for now.
    for client in &mut held {
        client.send("GET /hea");
    }
    for mut more in (0..40).map(|_| connect()) {
        assert!(more.is_closed(), "more than its half");
    }
    let asked = || Client::connect(server.admin).ask("GET /healthz", "").status;
    assert_eq!(asked(), 200);
    for client in &mut held {
        client.send("lthz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.answer(false).status, 200);
    }
}
