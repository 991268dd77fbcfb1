//! Signing in to the pages and out of them.

mod pages_support;
mod serve_support;

use engine::SecretKey;
use pages_support::{Visitor, encoded, first_token};
use serve_support::Server;
use serve_support::http::Client;

fn server() -> Server {
    Server::start("", "[failures]\nthreshold = 3\nblock_s = 77\n")
}

#[test]
fn who_signs_in_comes_to_where_they_wanted() {
    let server = server();
    let stranger = Visitor::stranger(&server);
    let answer = stranger.get("/keys?q=a%20b");
    assert_eq!(answer.status, 303);
    assert_eq!(
        answer.header("location"),
        Some("/sign-in?to=%2Fkeys%3Fq%3Da%2520b")
    );
    let page = stranger.page("/sign-in?to=%2Fkeys%3Fq%3Da%2520b");
    assert_eq!(pages_support::hidden(&page, "to"), "/keys?q=a%20b");
    let token = first_token(&server);
    let fields = [("token", token.as_str()), ("to", "/keys?q=a%20b")];
    let answer = stranger.send("POST /sign-in", "", &encoded(&fields));
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/keys?q=a%20b"))
    );
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("tk_admin"), "{cookie}");
}

#[test]
fn nobody_is_sent_elsewhere() {
    let server = server();
    let token = first_token(&server);
    for to in [
        "//evil.example.com",
        "/\\evil.example.com",
        "https://evil.example.com",
        "/\n/evil.example.com",
    ] {
        let fields = [("token", token.as_str()), ("to", to)];
        let answer = Visitor::stranger(&server).send("POST /sign-in", "", &encoded(&fields));
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{to:?}"
        );
    }
}

#[test]
fn wrong_tokens_are_told_and_then_throttled() {
    let server = server();
    let stranger = Visitor::stranger(&server);
    let ask = |token: &str| stranger.send("POST /sign-in", "", &encoded(&[("token", token)]));
    let empty = ask("");
    assert_eq!(empty.status, 401);
    assert!(
        empty.text().contains("Enter your admin token."),
        "{}",
        empty.text()
    );
    let unknown = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
    for (token, fault) in [
        ("guess", "The admin token is malformed."),
        (unknown.expose(), "The admin token is unknown."),
        ("tk_admin_", "The admin token is malformed."),
    ] {
        let answer = ask(token);
        assert_eq!(answer.status, 401);
        let text = answer.text();
        assert!(text.contains(fault), "{text}");
        assert!(
            text.contains("aria-invalid=\"true\"") && text.contains("token-fault"),
            "{text}"
        );
        assert!(!text.contains(&format!("value=\"{token}\"")), "{text}");
    }
    let answer = ask(&first_token(&server));
    assert_eq!(answer.status, 429);
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=77).contains(&wait));
    assert!(
        answer
            .text()
            .contains(&format!("Try again in {wait} seconds.")),
        "{}",
        answer.text()
    );
    // Guesses here block nobody who sends requests to the service.
    assert_eq!(server.get_with(server.key()).status, 200);
}

#[test]
fn who_signs_out_is_out() {
    let server = server();
    let visitor = Visitor::first(&server);
    let without = visitor.send("POST /sign-out", "", "");
    assert_eq!(without.status, 403);
    visitor.page("/keys");
    let answer = visitor.post("/sign-out", &[]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/sign-in?why=out"))
    );
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    let answer = visitor.get("/keys");
    assert_eq!(
        answer.header("location"),
        Some("/sign-in?to=%2Fkeys&why=ended")
    );
    assert!(visitor.page("/sign-in?why=ended").contains("sign in again"));
    // A form of theirs is not sent again when they have signed in.
    let answer = visitor.post("/keys", &[("project", "shop")]);
    assert_eq!(answer.header("location"), Some("/sign-in?why=ended"));
}

#[test]
fn who_reads_only_changes_nothing() {
    let server = server();
    let first = Visitor::first(&server);
    let (_, id) = first.key(&[]);
    let once = pages_support::hidden(&first.page("/tokens"), "once");
    let made = first.post(
        "/tokens",
        &[("once", &once), ("name", "looker"), ("scope", "read")],
    );
    let token = pages_support::secret_in(&made.text(), "tk_admin_");
    let reader = Visitor::with(&server, &token);
    for path in [
        "/",
        "/keys",
        &format!("/keys/{id}"),
        "/blocked",
        "/projects",
        "/projects/shop",
        "/sessions",
        "/tokens",
        "/audit",
    ] {
        let page = reader.page(path);
        assert!(page.contains("read only"), "{path}");
        // To sign out is all that they can send.
        assert_eq!(page.matches("method=\"post\"").count(), 1, "{path}");
    }
    for path in [
        "/keys/new",
        &format!("/keys/{id}/change"),
        &format!("/keys/{id}/rotate"),
        &format!("/keys/{id}/revoke"),
    ] {
        assert_eq!(reader.get(path).status, 403, "{path}");
    }
    for path in [
        "/keys",
        "/projects",
        "/projects/shop",
        "/tokens",
        "/sessions/end-all",
        "/sessions/0123456789/end",
        "/blocked/unblock",
        "/blocked/exempt",
        "/blocked/exempt/end",
        "/tokens/0123456789/revoke",
        &format!("/keys/{id}/change"),
        &format!("/keys/{id}/rotate"),
        &format!("/keys/{id}/revoke"),
        &format!("/keys/{id}/disable"),
        &format!("/keys/{id}/enable"),
    ] {
        let answer = reader.post(path, &[("revision", "1"), ("once", "x")]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("use one of scope write"), "{path}");
    }
}

#[test]
fn a_revoked_token_signs_its_holder_out() {
    let server = server();
    let first = Visitor::first(&server);
    let once = pages_support::hidden(&first.page("/tokens"), "once");
    let made = first.post(
        "/tokens",
        &[("once", &once), ("name", "other"), ("scope", "write")],
    );
    let token = pages_support::secret_in(&made.text(), "tk_admin_");
    let other = Visitor::with(&server, &token);
    other.page("/keys");
    let id = &token["tk_admin_".len()..][..10];
    assert_eq!(first.post(&format!("/tokens/{id}/revoke"), &[]).status, 303);
    assert_eq!(other.get("/keys").status, 303);
}

#[test]
fn other_origins_and_hosts_are_shown_nothing() {
    let server = server();
    let visitor = Visitor::first(&server);
    let form = encoded(&[
        ("csrf", &visitor.csrf),
        ("project", "shop"),
        ("limited", "no"),
        ("once", "1"),
    ]);
    for head in [
        "origin: https://evil.example.com\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        let answer = visitor.send("POST /keys", head, &form);
        assert_eq!(answer.status, 403, "{head}");
        assert!(
            answer.text().contains("<h1>Not allowed</h1>"),
            "{}",
            answer.text()
        );
    }
    let head = format!("cookie: {}\r\naccept: text/html\r\n", visitor.cookie);
    let answer =
        Client::connect(server.admin).ask_as("rebound.example.com", "GET /keys", &head, "");
    assert_eq!(answer.status, 421);
    assert!(!visitor.page("/keys").contains("shop"));
}
