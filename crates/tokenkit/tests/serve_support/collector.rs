//! A collector of spans: takes OTLP over HTTP in JSON, as one would.

use std::io::Read;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::upstream::{Upstream, values};
use super::wait_until;

pub(crate) struct Collector {
    upstream: Upstream,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// One that takes every message.
    pub(crate) fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let upstream = Upstream::start(move |asked| {
            let head = asked.head.clone();
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            assert_eq!(values(&head, "content-type"), ["application/json"]);
            let length = values(&head, "content-length")[0].parse().unwrap();
            let mut body = vec![0; length];
            asked.client.stream.read_exact(&mut body).unwrap();
            let message: Value = serde_json::from_slice(&body).unwrap();
            for resource in message["resourceSpans"].as_array().unwrap() {
                for scope in resource["scopeSpans"].as_array().unwrap() {
                    let spans = scope["spans"].as_array().unwrap();
                    kept.lock().unwrap().extend(spans.iter().cloned());
                }
            }
            asked.answer("200 OK", "content-type: application/json\r\n", "{}");
            true
        });
        Self { upstream, spans }
    }

    /// The settings by which a server sends its spans here, with more of them.
    pub(crate) fn settings(&self, more: &str) -> String {
        settings(self.upstream.address.port(), more)
    }

    /// Every span until now.
    pub(crate) fn spans(&self) -> Vec<Value> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits for so many spans.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        wait_until("the spans have come", || self.spans().len() >= count);
        self.spans()
    }
}

/// The settings by which a server sends its spans to a port.
pub(crate) fn settings(port: u16, more: &str) -> String {
    format!("[otel]\nendpoint = \"http://127.0.0.1:{port}\"\n{more}\n")
}

/// An attribute of a span.
pub(crate) fn attribute(span: &Value, name: &str) -> Option<String> {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|found| found["key"] == name)?;
    let value = found["value"].as_object().unwrap();
    Some(value.values().next().unwrap().as_str().unwrap().to_owned())
}
