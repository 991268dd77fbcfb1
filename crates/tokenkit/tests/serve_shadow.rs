//! Refusals in shadow: a limit is tried before it bites, and the log and the
//! metrics say what it would have done.

mod serve_support;

use serde_json::Value;
use serve_support::upstream::Upstream;
use serve_support::{Server, wait_until, within_an_hour};

/// An endpoint that costs nothing.
const FREE: &str = "[[routes]]\npath = \"/free\"\ncost = 0\n";

/// Limits the first key, and waits until that is in force.
fn limit(server: &Server, units: &str) {
    server.command(&["key", "set", server.key_id(), "--limit", units]);
    wait_until("the limit is in force", || {
        server.get("/free", "").header("x-ratelimit-limit") == Some(units)
    });
}

fn shadowed(server: &Server, reason: &str) -> u64 {
    server.metric(&format!("tokenkit_shadowed_total{{reason=\"{reason}\"}}"))
}

/// What the key has used this hour, as the ledger says.
fn used(server: &Server) -> u64 {
    let ledger = server.json(&["ledger", "show"]);
    ledger["most_used"][0]["used"].as_u64().unwrap()
}

fn reload(server: &Server, rest: &str) {
    let reloads = || server.metric("tokenkit_reloads_total{outcome=\"ok\"}");
    let before = reloads();
    server.rewrite_config("", rest);
    server.signal("HUP");
    wait_until("the settings are reloaded", || reloads() > before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_is_tried_before_it_bites() {
    within_an_hour(|| {
        let rule = "[[shadow]]\nproject = \"default\"\nreasons = [\"hourly_limit\"]\n";
        let server = Server::start("", &format!("{FREE}{rule}"));
        limit(&server, "10");
        for sent in 1..=20 {
            let answer = server.get("/", "");
            assert_eq!(answer.status, 200, "{answer:?}");
            let left = 10_u64.saturating_sub(sent).to_string();
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(&*left));
            assert_eq!(answer.header("retry-after"), None);
        }
        assert_eq!(shadowed(&server, "hourly_limit"), 10);
        assert_eq!(used(&server), 20);
        let lines = || {
            let log = server.log();
            let events = log.lines().map(serde_json::from_str::<Value>);
            let shadowed = events.filter(|event| {
                let event = event.as_ref().unwrap();
                event["shadowed"] == "hourly_limit" && event["reason"] == "allowed"
            });
            shadowed.count()
        };
        wait_until("all are logged", || lines() == 10);
        assert!(!server.log().contains("lets requests through"));
        assert_eq!(server.metric("tokenkit_shadow_lets_anybody_in"), 0);

        reload(&server, FREE);
        assert_eq!(server.get("/", "").reason(), "hourly_limit");
        assert_eq!(used(&server), 20);
        assert_eq!(shadowed(&server, "hourly_limit"), 10);
        // What refuses before it is not let through with it.
        reload(&server, &format!("{FREE}{rule}"));
        server.command(&["key", "disable", server.key_id()]);
        wait_until("the key is disabled", || {
            server.get("/free", "").status == 401
        });
        assert_eq!(server.get("/", "").reason(), "disabled_key");
    });
}

#[test]
fn the_gate_is_put_before_what_had_no_keys() {
    let echo = Upstream::echo();
    let upstream = format!("upstream = \"http://{}\"\n", echo.address);
    let rest = "[[shadow]]\nall = true\nreasons = [\"missing_key\"]\n\
                [[routes]]\npath = \"/me\"\nneeds_user = true\n\
                [http]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Server::start(&upstream, rest);
    server.wait_for_log("[[shadow]] lets requests through that show no good key");
    assert_eq!(server.metric("tokenkit_shadow_lets_anybody_in"), 1);
    let forged =
        "x-tokenkit-key: forged\r\nx-tokenkit-project: forged\r\nx_tokenkit_user: forged\r\n";
    let answer = server.ask("GET /", forged);
    assert_eq!(answer.status, 200);
    assert!(
        !answer.text().to_lowercase().contains("tokenkit"),
        "{answer:?}"
    );
    assert_eq!(shadowed(&server, "missing_key"), 1);
    // Nobody is no user, and what is no key stays refused.
    assert_eq!(server.ask("GET /me", "").reason(), "bearer_required");
    assert_eq!(server.get_with("x").reason(), "malformed_key");
    let known = server.get("/", forged);
    assert!(known.text().contains(server.key_id()), "{known:?}");
    assert!(!known.text().contains("forged"));

    let head = "x-forwarded-method: GET\r\nx-forwarded-uri: /\r\nx-tokenkit-key: forged\r\n";
    let answer = server.ask("GET /.tokenkit/authorize", head);
    assert_eq!(answer.status, 200);
    for name in ["key", "project", "user"] {
        assert_eq!(answer.header(&format!("x-tokenkit-{name}")), Some(""));
    }
    assert_eq!(shadowed(&server, "missing_key"), 2);
}

#[test]
fn a_bad_rule_changes_nothing() {
    let rule = "[[shadow]]\nall = true\nreasons = [\"missing_key\"]\n";
    let server = Server::start("", rule);
    assert_eq!(server.ask("GET /", "").status, 200);
    server.rewrite_config("", "[[shadow]]\nreasons = [\"missing_key\"]\n");
    server.signal("HUP");
    server.wait_for_log("the settings were not reloaded");
    assert_eq!(server.ask("GET /", "").status, 200);
    reload(&server, "");
    assert_eq!(server.ask("GET /", "").reason(), "missing_key");
}
