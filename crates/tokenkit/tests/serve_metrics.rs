//! What Prometheus is told: every line as its format has it, and no word about
//! any one key or client.

mod serve_support;

use serde_json::json;
use serve_support::exposition::Exposition;
use serve_support::{Server, wait_until};

fn read(server: &Server) -> Exposition {
    Exposition::parse(&server.admin("/metrics").text())
}

fn value(page: &Exposition, family: &str, labels: &[(&str, &str)]) -> f64 {
    let family = &page.families[family];
    let wanted = |sample: &&serve_support::exposition::Sample| {
        labels
            .iter()
            .all(|(name, value)| sample.labels[*name] == *value)
    };
    let found: Vec<_> = family.samples.iter().filter(wanted).collect();
    assert_eq!(found.len(), 1, "{labels:?}");
    found[0].value
}

#[test]
fn the_page_is_as_prometheus_has_it() {
    let server = Server::start("", "");
    assert_eq!(server.get("/", "").status, 200);
    assert_eq!(server.get_with("tk_live_nonsense").status, 401);
    let page = read(&server);
    let allowed = [("outcome", "allowed"), ("reason", "allowed")];
    assert_eq!(value(&page, "tokenkit_decisions_total", &allowed), 1.0);
    let malformed = [("outcome", "refused"), ("reason", "malformed_key")];
    assert_eq!(value(&page, "tokenkit_decisions_total", &malformed), 1.0);
    // The first of a thread is timed; which thread has which, is open.
    let duration = &page.families["tokenkit_decision_duration_seconds"];
    let count = duration.samples.last().unwrap();
    assert!((1.0..=2.0).contains(&count.value), "{}", count.value);
    assert!(duration.samples[duration.samples.len() - 2].value > 0.0);
    assert_eq!(duration.samples[0].labels["le"], "0.0000001");
    for (class, answers) in [("2xx", 1.0), ("4xx", 1.0), ("5xx", 0.0)] {
        let class = [("class", class)];
        assert_eq!(
            value(&page, "tokenkit_http_responses_total", &class),
            answers
        );
    }
    let build = &page.families["tokenkit_build_info"].samples[0];
    assert_eq!(build.value, 1.0);
    assert_eq!(build.labels["version"], env!("CARGO_PKG_VERSION"));
    if cfg!(target_os = "linux") {
        assert!(value(&page, "process_resident_memory_bytes", &[]) > 1e6);
        assert!(value(&page, "process_open_fds", &[]) > 3.0);
    }
    assert!(value(&page, "process_start_time_seconds", &[]) > 1.7e9);
}

#[test]
fn changes_and_reloads_are_counted() {
    let server = Server::start("", "");
    let made = server.json(&["key", "create", "--project", "p"]);
    server.json(&["key", "disable", made["id"].as_str().unwrap()]);
    wait_until("the key is disabled", || {
        server.metric("tokenkit_keys{state=\"disabled\"}") == 1
    });
    assert_eq!(server.metric("tokenkit_keys{state=\"active\"}"), 1);
    assert!(server.metric("tokenkit_publish_duration_seconds_count") >= 1);
    let reloads =
        |outcome: &str| server.metric(&format!("tokenkit_reloads_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((reloads("ok"), reloads("failed")), (0, 0));
    server.signal("HUP");
    wait_until("it is reloaded", || reloads("ok") == 1);
    server.rewrite_config("threads = \"many\"", "");
    server.signal("HUP");
    wait_until("it is not", || reloads("failed") == 1);
    read(&server);
}

#[test]
fn no_label_tells_keys_or_clients_apart() {
    let server = Server::start("", "[[routes]]\npath = \"/me\"\nneeds_user = true\n");
    let made = server.json(&["session", "create", "--project", "default", "--user", "ada"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("authorization: Bearer {token}\r\n");
    wait_until("the session is known", || {
        server.get("/me", &bearer).status == 200
    });
    let text = server.admin("/metrics").text();
    for told in [server.key(), server.key_id(), "ada", token, "127.0.0.1"] {
        assert!(!text.contains(told), "{told}");
    }
    let known = json!({
        "tokenkit_build_info": ["arch", "os", "version"],
        "tokenkit_decisions_total": ["outcome", "reason"],
        "tokenkit_decision_duration_seconds": ["le"],
        "tokenkit_publish_duration_seconds": ["le"],
        "tokenkit_http_responses_total": ["class"],
        "tokenkit_upstream_errors_total": ["kind"],
        "tokenkit_keys": ["state"],
        "tokenkit_reloads_total": ["outcome"],
        "tokenkit_spans_dropped_total": ["reason"],
        "tokenkit_shadowed_total": ["reason"],
    });
    for (name, family) in &read(&server).families {
        let labels: Vec<_> = family.samples[0].labels.keys().collect();
        let expected = known.get(name).cloned().unwrap_or(json!([]));
        assert_eq!(json!(labels), expected, "{name}");
    }
}
