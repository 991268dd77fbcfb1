//! The other pages: projects, sessions, addresses, admin tokens, the overview
//! and the audit log; and what all pages have in common.

mod pages_support;
mod serve_support;

use pages_support::{Visitor, encoded, hidden};
use serve_support::{Server, wait_until};

fn server() -> Server {
    Server::start("", "[failures]\nthreshold = 3\n")
}

#[test]
fn projects_are_made_and_labelled() {
    let server = server();
    let visitor = Visitor::first(&server);
    let made = visitor.post("/projects", &[("name", "a b/c"), ("label", "Ours")]);
    assert_eq!(made.header("location"), Some("/projects/a%20b%2Fc"));
    let page = visitor.page("/projects/a%20b%2Fc");
    assert!(
        page.contains("<h1>a b/c</h1>") && page.contains("value=\"Ours\""),
        "{page}"
    );
    for (name, status) in [("a b/c", 409), ("", 422), ("é", 422)] {
        let answer = visitor.post("/projects", &[("name", name), ("label", "kept")]);
        assert_eq!(answer.status, status, "{name}");
        let text = answer.text();
        assert!(
            text.contains("value=\"kept\"") && text.contains("aria-invalid"),
            "{text}"
        );
    }
    let revision = hidden(&page, "revision");
    let change = |label: &str| {
        visitor.post(
            "/projects/a%20b%2Fc",
            &[("revision", &revision), ("label", label)],
        )
    };
    assert_eq!(change(&"x".repeat(201)).status, 422);
    assert_eq!(change("Theirs").status, 303);
    let stale = change("Mine");
    assert_eq!(stale.status, 409);
    let text = stale.text();
    assert!(
        text.contains("<strong>Theirs</strong>") && text.contains("value=\"Mine\""),
        "{text}"
    );
    assert_eq!(visitor.get("/projects/none").status, 404);
    assert!(visitor.page("/projects").contains("Theirs"));
}

#[test]
fn sessions_are_listed_by_user_and_ended() {
    let server = server();
    let visitor = Visitor::first(&server);
    for user in ["ada", "ada", "ada", "grace"] {
        server.command(&["session", "create", "--project", "shop", "--user", user]);
    }
    let page = visitor.page("/sessions?project=shop&user=ada");
    assert_eq!(page.matches(">live<").count(), 3, "{page}");
    let end = page
        .split("action=\"")
        .find(|part| part.starts_with("/sessions/") && part.contains("/end\""))
        .unwrap();
    let end = end.split('"').next().unwrap();
    let ended = visitor.post(end, &[("project", "shop"), ("user", "ada")]);
    assert_eq!(
        ended.header("location"),
        Some("/sessions?project=shop&user=ada&ended=1")
    );
    assert!(
        visitor
            .page("/sessions?project=shop&user=ada&ended=1")
            .contains("1 session is ended")
    );
    let question = visitor.page("/sessions/end-all?project=shop&user=ada");
    assert!(question.contains("is signed out everywhere"), "{question}");
    let all = visitor.post("/sessions/end-all", &[("project", "shop"), ("user", "ada")]);
    assert_eq!(
        all.header("location"),
        Some("/sessions?project=shop&user=ada&ended=2")
    );
    let page = visitor.page("/sessions?state=all");
    assert_eq!(
        (
            page.matches(">ended<").count(),
            page.matches(">live<").count()
        ),
        (3, 1),
        "{page}"
    );
    assert_eq!(visitor.get("/sessions/end-all?user=ada").status, 400);
    assert_eq!(visitor.post("/sessions/nothing/end", &[]).status, 404);
    assert!(visitor.page("/sessions?user=%C3%A9").contains("is no name"));
}

#[test]
fn addresses_are_looked_up_unblocked_and_exempted() {
    let server = server();
    let visitor = Visitor::first(&server);
    let guess = || server.get_with("tk_live_guess").status;
    while guess() != 429 {}
    let page = visitor.page("/blocked");
    assert!(page.contains("127.0.0.1"), "{page}");
    assert!(
        visitor
            .page("/blocked?address=198.51.100.1")
            .contains("is not blocked.")
    );
    assert!(
        visitor
            .page("/blocked?address=127.0.0.1")
            .contains("action=\"/blocked/unblock\"")
    );
    assert!(
        visitor
            .page("/blocked?address=nobody")
            .contains("Address: &quot;nobody&quot; is none")
    );
    assert_eq!(server.get_with(server.key()).reason(), "ip_blocked");
    let done = visitor.post("/blocked/unblock", &[("address", "127.0.0.1")]);
    assert_eq!(done.header("location"), Some("/blocked?did=unblocked"));
    assert_eq!(server.get_with(server.key()).status, 200);
    assert_eq!(
        visitor
            .post("/blocked/unblock", &[("address", "127.0.0.1")])
            .status,
        303
    );
    assert_eq!(
        visitor.post("/blocked/unblock", &[("address", "x")]).status,
        400
    );

    let wrong = visitor.post(
        "/blocked/exempt",
        &[("addresses", "127.0.0.0/99"), ("note", "kept")],
    );
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text().contains("value=\"kept\"") && wrong.text().contains("addresses-fault"),
        "{}",
        wrong.text()
    );
    let done = visitor.post(
        "/blocked/exempt",
        &[("addresses", "127.0.0.0/8"), ("note", "this machine")],
    );
    assert_eq!(done.status, 303, "{}", done.text());
    assert!((0..9).all(|_| guess() == 401));
    assert!(visitor.page("/blocked").contains("this machine"));
    let ended = visitor.post("/blocked/exempt/end", &[("addresses", "127.0.0.0/8")]);
    assert_eq!(ended.header("location"), Some("/blocked?did=ended"));
    assert!(visitor.page("/blocked").contains("None is exempt."));
    let log = visitor.page("/audit");
    assert!(log.contains("address.unblock"), "{log}");
}

#[test]
fn admin_tokens_are_made_once_and_never_shown_again() {
    let server = server();
    let visitor = Visitor::first(&server);
    let once = hidden(&visitor.page("/tokens"), "once");
    let wrong = visitor.post(
        "/tokens",
        &[("once", &once), ("scope", "all"), ("expires", "never ever")],
    );
    assert_eq!(wrong.status, 422);
    let text = wrong.text();
    for part in ["#name", "#scope", "#expires", "value=\"never ever\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let fields = [
        ("once", once.as_str()),
        ("name", "Deploy"),
        ("scope", "write"),
        ("expires", "1d"),
    ];
    let made = visitor.post("/tokens", &fields);
    assert_eq!(
        (made.status, made.header("cache-control")),
        (200, Some("no-store"))
    );
    let token = pages_support::secret_in(&made.text(), "tk_admin_");
    Visitor::with(&server, &token).page("/keys");
    let again = visitor.post("/tokens", &fields);
    assert_eq!(again.status, 409);
    assert!(!again.text().contains(&token));
    let id = &token["tk_admin_".len()..][..10];
    assert!(
        visitor
            .page(&format!("/tokens/{id}/revoke"))
            .contains("Deploy")
    );
    assert_eq!(
        visitor.post(&format!("/tokens/{id}/revoke"), &[]).status,
        303
    );
    let list = visitor.page("/tokens");
    assert!(
        list.contains(">revoked<") && !list.contains(&token),
        "{list}"
    );
    assert_eq!(visitor.get("/tokens/zzzzzzzzzz/revoke").status, 404);
    assert_eq!(visitor.post("/tokens/zzzzzzzzzz/revoke", &[]).status, 404);
    assert!(!visitor.page("/audit").contains(&token[20..]));
}

#[test]
fn the_overview_tells_what_is_decided() {
    let server = server();
    let visitor = Visitor::first(&server);
    let (key, _) = visitor.key(&[("name", "Busy"), ("limited", "yes"), ("limit", "2")]);
    for _ in 0..5 {
        server.get_with(&key);
    }
    // The history is taken once a second.
    wait_until("the overview has seen it", || {
        let page = visitor.page("/overview/live");
        page.contains("In the last 5 minutes: Allowed: 2, Over the limit: 3,")
    });
    let page = visitor.page("/overview/live");
    assert!(!page.contains("<html"), "{page}");
    assert!(page.contains("Over the hourly limit</div></td>"), "{page}");
    assert!(page.contains(">Busy<"), "{page}");
    let whole = visitor.page("/");
    assert!(
        whole.contains("data-live=\"/overview/live\"") && whole.contains("Decisions a second"),
        "{whole}"
    );
    let stranger = Visitor::stranger(&server);
    assert_eq!(stranger.get("/overview/live").status, 303);
}

#[test]
fn the_audit_log_is_filtered_and_paged() {
    let server = server();
    let visitor = Visitor::first(&server);
    let mut last = String::new();
    for _ in 0..51 {
        (_, last) = visitor.key(&[]);
    }
    let page = visitor.page("/audit?action=key.create");
    assert_eq!(page.matches(">key.create<").count(), 50, "{page}");
    let older = page
        .split("<a href=\"")
        .find(|link| link.contains("rel=\"next\""))
        .unwrap();
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    assert!(visitor.page(&older).contains(">key.create<"));
    let page = visitor.page(&format!("/audit?object={last}"));
    assert_eq!(page.matches(">key.create<").count(), 1, "{page}");
    assert!(page.contains("page:"), "{page}");
    assert!(
        visitor
            .page("/audit?actor=nobody")
            .contains("Nothing is written here.")
    );
    assert!(
        visitor
            .page("/audit?before=x")
            .contains("begin at the first")
    );
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let server = server();
    let visitor = Visitor::first(&server);
    let hostile = "<script>alert(1)</script>\"' onload='x' {{7*7}}";
    let (_, id) = visitor.key(&[("name", hostile), ("project", "<b>\"'&")]);
    server.command(&[
        "session",
        "create",
        "--project",
        "<b>\"'&",
        "--user",
        "<i>'\"",
    ]);
    visitor.post("/projects", &[("name", "<u>"), ("label", hostile)]);
    let once = hidden(&visitor.page("/tokens"), "once");
    visitor.post(
        "/tokens",
        &[("once", &once), ("name", hostile), ("scope", "read")],
    );
    visitor.post(
        "/blocked/exempt",
        &[("addresses", "192.0.2.1"), ("note", hostile)],
    );
    let query = encoded(&[
        ("q", hostile),
        ("project", hostile),
        ("user", hostile),
        ("address", hostile),
        ("object", hostile),
        ("to", hostile),
    ]);
    for path in [
        "/".into(),
        "/keys".into(),
        format!("/keys/{id}"),
        format!("/keys/{id}/change"),
        format!("/keys/{id}/revoke"),
        "/projects".into(),
        "/projects/%3Cu%3E".into(),
        "/sessions".into(),
        "/tokens".into(),
        "/blocked".into(),
        "/audit".into(),
        format!("/keys?{query}"),
        format!("/sessions?{query}"),
        format!("/blocked?{query}"),
        format!("/audit?{query}"),
    ] {
        let page = visitor.page(&path);
        for raw in ["<script>alert", "<b>\"", "<u>", "<i>'", "onload='x'\""] {
            assert!(!page.contains(raw), "{path}: {raw}: {page}");
        }
    }
    let page = visitor.page("/keys");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;' onload='x'"),
        "{page}"
    );
    assert!(
        !Visitor::stranger(&server)
            .page(&format!("/sign-in?{query}"))
            .contains("<script>alert")
    );
}

#[test]
fn every_page_is_guarded_and_tells_what_to_do() {
    let server = server();
    let visitor = Visitor::first(&server);
    let answer = visitor.get("/keys");
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(
            policy.contains(part) && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let page = answer.text();
    for raw in [
        "style=",
        "onclick",
        "<style",
        "http://",
        "https://",
        "javascript:",
    ] {
        assert!(!page.contains(raw), "{raw}: {page}");
    }
    for (line, status, part) in [
        ("GET /nothing", 404, "Nothing is served"),
        ("DELETE /keys", 405, "Not in this way"),
        ("POST /keys/new", 405, "Not in this way"),
        ("GET /sign-out", 405, "Not in this way"),
    ] {
        let answer = visitor.send(line, "", "");
        assert_eq!(answer.status, status, "{line}");
        assert!(
            answer.text().contains(part) && answer.text().contains("<main"),
            "{}",
            answer.text()
        );
        assert!(status != 405 || answer.header("allow").is_some());
    }
    let large = visitor.post("/keys", &[("name", &"x".repeat(1 << 20))]);
    assert_eq!(large.status, 413);
    assert!(large.text().contains("1048576 bytes"), "{}", large.text());
    for csrf in ["", "wrong", &format!("{}x", visitor.csrf)] {
        for path in [
            "/keys",
            "/projects",
            "/tokens",
            "/blocked/exempt",
            "/blocked/unblock",
            "/sessions/end-all",
            "/sign-out",
        ] {
            let answer = visitor.send(
                &format!("POST {path}"),
                "",
                &encoded(&[("csrf", csrf), ("name", "x"), ("project", "x")]),
            );
            assert_eq!(answer.status, 403, "{path}");
            assert!(
                answer.text().contains("load the page anew"),
                "{}",
                answer.text()
            );
        }
    }
    // Programs are told in their way.
    let program = server.admin("/nothing");
    assert_eq!(
        (program.status, program.reason().as_str()),
        (404, "not_found")
    );
}

#[test]
fn assets_are_kept_as_long_as_they_stay_as_they_are() {
    let server = server();
    let stranger = Visitor::stranger(&server);
    let page = stranger.page("/sign-in");
    for (path, media_type) in [
        ("/ui/app.css", "text/css"),
        ("/ui/app.js", "text/javascript"),
        ("/ui/icon.svg", "image/svg+xml"),
    ] {
        let at = page.find(path).unwrap();
        let current = page[at..].split('"').next().unwrap();
        let answer = stranger.get(current);
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("content-type")
                .unwrap()
                .starts_with(media_type)
        );
        assert!(
            answer
                .header("cache-control")
                .unwrap()
                .contains("immutable"),
            "{current}"
        );
        assert_eq!(
            stranger
                .get(&format!("{path}?v=old"))
                .header("cache-control"),
            Some("no-cache")
        );
    }
}
