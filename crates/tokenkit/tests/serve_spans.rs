//! Spans for OpenTelemetry: what a collector gets, what the service behind is
//! told, and that no collector holds a request up.

mod serve_support;

use std::net::TcpListener;

use serve_support::collector::{self, Collector, attribute};
use serve_support::upstream::{Upstream, values};
use serve_support::{Server, wait_until};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-{flags}\r\n")
}

#[test]
fn a_request_is_one_span_below_its_callers() {
    let (collector, upstream) = (Collector::start(), Upstream::echo());
    let server = Server::start(&upstream.setting(), &collector.settings(""));
    let head = format!("{}tracestate: a=b\r\n", traceparent("01"));
    let echoed = server.get("/v1/things?token=canary", &head).text();
    assert_eq!(server.ask("GET /", "").status, 401);

    let spans = collector.wait_for(2);
    // One ends with its body, the other at once: so either may come first.
    let of = |reason: &str| {
        let mut spans = spans.iter();
        let found =
            spans.find(|span| attribute(span, "tokenkit.reason").as_deref() == Some(reason));
        found.unwrap()
    };
    let span = of("allowed");
    assert_eq!(span["traceId"], TRACE);
    assert_eq!(span["parentSpanId"], CALLER);
    assert_eq!((&span["name"], &span["kind"]), (&"GET".into(), &2.into()));
    // What is told to the service behind makes its span a child of ours.
    let own = span["spanId"].as_str().unwrap();
    assert_eq!(
        values(&echoed, "traceparent"),
        [format!("00-{TRACE}-{own}-01")]
    );
    assert_eq!(values(&echoed, "tracestate"), ["a=b"]);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/v1/things"),
        ("client.address", "127.0.0.1"),
        ("tokenkit.key_id", server.key_id()),
        ("tokenkit.project", "default"),
    ] {
        assert_eq!(attribute(span, name).as_deref(), Some(value), "{name}");
    }
    let ns = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(ns("startTimeUnixNano") <= ns("endTimeUnixNano"));

    let refused = of("missing_key");
    assert!(refused.get("parentSpanId").is_none());
    assert_eq!(attribute(refused, "tokenkit.key_id"), None);

    let text = serde_json::to_string(&spans).unwrap();
    assert!(!text.contains(server.key()) && !text.contains("canary"));
    wait_until("they are counted", || {
        server.metric("tokenkit_spans_sent_total") == 2
    });
    // The log names the same trace.
    server.wait_for_log(&format!("\"trace_id\":\"{TRACE}\""));
}

#[test]
fn a_long_path_is_cut_behind_what_is_hidden() {
    let collector = Collector::start();
    let server = Server::start("", &collector.settings(""));
    // The key would stand across the cut.
    let start = format!("{}/", "/a".repeat(1010));
    let line = format!("GET {start}{}{}", server.key(), "/b".repeat(1000));
    assert_eq!(server.ask(&line, "").status, 401);
    let method = "BREW-".repeat(1000);
    assert_eq!(server.ask(&format!("{method} /"), "").status, 401);
    let spans = collector.wait_for(2);
    let path = |span| attribute(span, "url.path").unwrap();
    let long = spans.iter().find(|span| path(span) != "/").unwrap();
    let shown = path(long);
    let rest = shown.strip_prefix(&start).unwrap();
    assert!(rest.starts_with("tk_live_[hidden]/b"), "{rest}");
    assert_eq!(shown.len(), 2048 + "…".len());
    assert!(shown.ends_with('…'), "{rest}");
    let other = spans.iter().find(|span| path(span) == "/").unwrap();
    let name = attribute(other, "http.request.method");
    assert_eq!(name.as_deref(), Some("_OTHER"));
    assert_eq!(attribute(other, "http.request.method_original"), None);
    // And so in the log.
    server.wait_for_log(&format!("\"path\":\"{shown}\""));
    server.wait_for_log("\"method\":\"BREW-BREW-BREW-BREW-…\"");
    assert!(!server.log().contains(&method[..25]));
}

#[test]
fn the_last_spans_are_sent_before_the_end() {
    let collector = Collector::start();
    let server = Server::start("", &collector.settings(""));
    for _ in 0..20 {
        server.get("/", "");
    }
    server.stop();
    assert_eq!(collector.spans().len(), 20);
}

#[test]
fn a_trusted_proxy_says_what_is_sampled_and_nobody_else() {
    let collector = Collector::start();
    let none = collector.settings("sample_ratio = 0.0");
    let trusting = format!("{none}[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let server = Server::start("", &trusting);
    for flags in ["00", "01"] {
        server.get("/", &traceparent(flags));
    }
    server.get("/", "");
    server.stop();
    assert_eq!(collector.spans().len(), 1);

    // Nor by a number that is the first to be taken.
    let upstream = Upstream::echo();
    let few = collector.settings("sample_ratio = 0.000001");
    let server = Server::start(&upstream.setting(), &few);
    let low = "0af7651916cd43dd0000000000000000";
    for trace in [TRACE, low, low, low] {
        let said = format!("traceparent: 00-{trace}-{CALLER}-01\r\n");
        let echoed = server.get("/", &said).text();
        let told = &values(&echoed, "traceparent")[0];
        assert!(told.starts_with(&format!("00-{trace}-")), "{told}");
        assert!(told.ends_with("-00"), "{told}");
    }
    server.stop();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn without_a_collector_a_traceparent_passes_untouched() {
    let upstream = Upstream::echo();
    let server = Server::start(&upstream.setting(), "");
    let echoed = server.get("/", &traceparent("01")).text();
    assert_eq!(
        values(&echoed, "traceparent"),
        [format!("00-{TRACE}-{CALLER}-01")]
    );
    let echoed = server.get("/", "").text();
    assert!(values(&echoed, "traceparent").is_empty());
}

#[test]
fn a_collector_that_is_gone_loses_spans_and_nothing_else() {
    // A port that nobody listens on any more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = Server::start("", &collector::settings(port, ""));
    assert_eq!(server.get("/", "").status, 200);
    let dropped = "tokenkit_spans_dropped_total{reason=\"not_taken\"}";
    wait_until("it is dropped", || server.metric(dropped) == 1);
    server.wait_for_log("spans were dropped");
    assert_eq!(server.metric("tokenkit_spans_sent_total"), 0);
}

#[test]
fn a_collector_that_hangs_fills_the_queue_and_holds_nobody_up() {
    // It takes connections, into the system's queue, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start("", &collector::settings(port, ""));
    let dropped = "tokenkit_spans_dropped_total{reason=\"queue_full\"}";
    let mut client = server.connect();
    // More than the queue and a message hold.
    for _ in 0..5000 {
        assert_eq!(client.ask("GET /", "").status, 401);
    }
    wait_until("some are dropped", || server.metric(dropped) > 0);
    drop(listener);
}
