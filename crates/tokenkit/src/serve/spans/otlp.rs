//! A request as a span of OTLP, in its JSON form (the protocol's section "JSON
//! Protobuf Encoding": numbers of 64 bits are texts, identifiers hexadecimal),
//! under the names of the semantic conventions for HTTP servers.

use std::net::IpAddr;
use std::time::Duration;

use engine::{KeyId, Reason};
use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::traceparent::Place;

/// What is told of a request.
pub(in crate::serve) struct Span {
    pub(in crate::serve) place: Place,
    /// Nanoseconds since the epoch.
    pub(in crate::serve) end_ns: u64,
    pub(in crate::serve) took: Duration,
    /// None where it is too long to be noted.
    pub(in crate::serve) method: Option<Method>,
    /// Without the query, with nothing in it that could be a secret, and cut where
    /// it is long.
    pub(in crate::serve) path: String,
    pub(in crate::serve) version: Version,
    pub(in crate::serve) client: IpAddr,
    pub(in crate::serve) status: StatusCode,
    pub(in crate::serve) reason: Option<Reason>,
    pub(in crate::serve) shadowed: Option<Reason>,
    pub(in crate::serve) key: Option<KeyId>,
    pub(in crate::serve) project: Option<String>,
}

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// One message with spans of this service.
pub(super) fn message(service_name: &str, spans: &[Span]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", service_name),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ]},
        "scopeSpans": [{
            "scope": {"name": "tokenkit", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(Span::encode).collect::<Vec<_>>(),
        }],
    }]})
}

impl Span {
    fn encode(&self) -> Value {
        let took_ns = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX);
        let (method, other) = known(self.method.as_ref());
        let mut attributes = vec![
            text("http.request.method", method.unwrap_or("_OTHER")),
            text("url.path", &self.path),
            text("url.scheme", "http"),
            number("http.response.status_code", self.status.as_u16()),
            text("client.address", &self.client.to_string()),
            text("network.protocol.name", "http"),
            text("network.protocol.version", version(self.version)),
        ];
        let mut tell = |name, value: Option<&str>| {
            attributes.extend(value.map(|value| text(name, value)));
        };
        tell("http.request.method_original", other);
        tell("tokenkit.reason", self.reason.map(Reason::as_str));
        tell("tokenkit.shadowed", self.shadowed.map(Reason::as_str));
        tell(
            "tokenkit.key_id",
            self.key.map(|key| key.to_string()).as_deref(),
        );
        tell("tokenkit.project", self.project.as_deref());
        let failed = self.status.is_server_error();
        let code = self.status.as_u16().to_string();
        tell("error.type", failed.then_some(code.as_str()));
        let status = if failed {
            json!({"code": ERROR})
        } else {
            json!({})
        };
        let mut span = json!({
            "traceId": self.place.trace.to_string(),
            "spanId": self.place.span.to_string(),
            "name": method.unwrap_or("HTTP"),
            "kind": SERVER,
            "startTimeUnixNano": self.end_ns.saturating_sub(took_ns).to_string(),
            "endTimeUnixNano": self.end_ns.to_string(),
            "attributes": attributes,
            "status": status,
            // The lower byte is that of the trace's flags.
            "flags": 1,
        });
        if let Some(parent) = self.place.parent {
            span["parentSpanId"] = parent.to_string().into();
        }
        span
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn number(name: &str, value: u16) -> Value {
    json!({"key": name, "value": {"intValue": value.to_string()}})
}

/// A method by its name, if it is one of those that HTTP knows, or else as it
/// was sent: too short to hold a secret.
fn known(method: Option<&Method>) -> (Option<&str>, Option<&str>) {
    let method = method.map(Method::as_str);
    match method {
        Some(
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH",
        ) => (method, None),
        other => (None, other),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderMap;

    use super::*;

    #[test]
    fn a_span_is_as_the_protocol_has_it() {
        let mut headers = HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", parent.parse().unwrap());
        let span = Span {
            place: Place::of(&headers, |_, _| true),
            end_ns: 1_790_000_000_000_000_500,
            took: Duration::from_nanos(400),
            method: Method::from_bytes(b"BREW").ok(),
            path: "/pot".into(),
            version: Version::HTTP_2,
            client: [192, 0, 2, 7].into(),
            status: StatusCode::BAD_GATEWAY,
            reason: Some(Reason::Allowed),
            shadowed: Some(Reason::HourlyLimit),
            key: None,
            project: Some("p".into()),
        };
        let told = message("gate", &[span]);
        let told = &told["resourceSpans"][0];
        assert_eq!(
            told["resource"]["attributes"][0],
            json!({"key": "service.name", "value": {"stringValue": "gate"}})
        );
        let span = &told["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(span["startTimeUnixNano"], "1790000000000000100");
        assert_eq!(span["endTimeUnixNano"], "1790000000000000500");
        assert_eq!(span["status"]["code"], 2);
        let attributes: Vec<(&str, &str)> = span["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attribute| {
                let value = &attribute["value"];
                let value = value.get("stringValue").or(value.get("intValue"));
                (
                    attribute["key"].as_str().unwrap(),
                    value.unwrap().as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            attributes,
            [
                ("http.request.method", "_OTHER"),
                ("url.path", "/pot"),
                ("url.scheme", "http"),
                ("http.response.status_code", "502"),
                ("client.address", "192.0.2.7"),
                ("network.protocol.name", "http"),
                ("network.protocol.version", "2"),
                ("http.request.method_original", "BREW"),
                ("tokenkit.reason", "allowed"),
                ("tokenkit.shadowed", "hourly_limit"),
                ("tokenkit.project", "p"),
                ("error.type", "502"),
            ]
        );
    }
}
