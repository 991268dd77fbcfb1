//! What is noted of a request: for one line in the log, where a setting asks for
//! it, and for a span, where one is sent. It says the path without the query
//! and, of the headers, the request's id and trace alone: others may hold
//! secrets. What could be a secret in what a client sent is hidden.
//!
//! `docs/operating.md` lists the fields of a line.

use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use engine::{KeyId, Name, Reason};
use engine_hyper::{Gate, Verdict};
use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, StatusCode, Version};

use super::spans::{Place, Span, Spans, TraceId};
use crate::error::without_whole_secrets;

/// What is noted of a request under way.
pub(super) struct Entry {
    /// Whether a line is written.
    is_logged: bool,
    /// The request's place in a trace, if its span is sent.
    span: Option<Place>,
    begun: Instant,
    peer: IpAddr,
    method: Method,
    path: String,
    version: Version,
    request_id: Option<String>,
    trace: Option<TraceId>,
    decided: Option<Decided>,
}

/// Who asked, and what was decided.
struct Decided {
    client: IpAddr,
    reason: Reason,
    shadowed: Option<Reason>,
    cost: u64,
    key: Option<KeyId>,
    project: Option<String>,
    user: Option<Name>,
}

impl Entry {
    /// Begins to note a request, if there is anything to note it for.
    pub(super) fn begin<B>(
        request: &Request<B>,
        peer: IpAddr,
        is_logged: bool,
        place: Option<Place>,
    ) -> Option<Self> {
        let span = place.filter(Place::is_sampled);
        if !is_logged && span.is_none() {
            return None;
        }
        let headers = request.headers();
        let trace = place.map(|place| place.trace());
        Some(Self {
            is_logged,
            span,
            begun: Instant::now(),
            peer,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            version: request.version(),
            request_id: request_id(headers),
            trace: trace.or_else(|| TraceId::said(headers)),
            decided: None,
        })
    }

    /// Names the request that a proxy asks about, in place of its question.
    pub(super) fn about(&mut self, method: &Method, path: &str) {
        self.method = method.clone();
        path.clone_into(&mut self.path);
    }

    /// Adds who asked, and what was decided.
    pub(super) fn decided(&mut self, client: IpAddr, gate: &Gate, verdict: &Verdict) {
        let decision = verdict.decision();
        let project = decision.project().map(|id| gate.engine().project(id));
        self.decided = Some(Decided {
            client,
            reason: decision.reason(),
            shadowed: decision.shadowed(),
            cost: verdict.cost(),
            key: decision.key(),
            project: project.map(str::to_owned),
            user: decision.user().copied(),
        });
    }

    /// Writes the line and sends the span; their time is that until the answer's
    /// head was ready.
    pub(super) fn finish(self, status: StatusCode, spans: Option<&Spans>) {
        let took = self.begun.elapsed();
        let path = without_whole_secrets(&self.path);
        let decided = self.decided.as_ref();
        if self.is_logged {
            let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(
                target: TARGET,
                method = without_whole_secrets(self.method.as_str()),
                path,
                status = status.as_u16(),
                reason = decided.map(|decided| decided.reason.as_str()),
                shadowed = decided.and_then(|decided| decided.shadowed).map(Reason::as_str),
                key = decided.and_then(|decided| decided.key).map(tracing::field::display),
                project = decided.and_then(|decided| decided.project.as_deref()),
                user = decided.and_then(|decided| decided.user.as_ref()).map(Name::as_str),
                cost = decided.map(|decided| decided.cost),
                client = %decided.map_or(self.peer, |decided| decided.client),
                duration_us,
                request_id = self.request_id.as_deref(),
                trace_id = self.trace.map(tracing::field::display),
                "request"
            );
        }
        if let Some((place, spans)) = self.span.zip(spans) {
            spans.send(Span {
                place,
                end_ns: unix_ns(),
                took,
                method: self.method,
                path,
                version: self.version,
                client: decided.map_or(self.peer, |decided| decided.client),
                status,
                reason: decided.map(|decided| decided.reason),
                shadowed: decided.and_then(|decided| decided.shadowed),
                key: decided.and_then(|decided| decided.key),
                project: self.decided.and_then(|decided| decided.project),
            });
        }
    }
}

/// What the lines are filed under.
const TARGET: &str = "tokenkit::access";
/// The longest id of a request that is noted.
const MAX_REQUEST_ID: usize = 128;

/// The id that a client or a proxy gave a request, if it can stand in a line.
fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAME: HeaderName = HeaderName::from_static("x-request-id");
    let id = headers.get(NAME)?.to_str().ok()?;
    let is_plain = id.len() <= MAX_REQUEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !id.is_empty()).then(|| without_whole_secrets(id))
}

/// Now, in nanoseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "collectors order spans by them; nothing is decided by it"
)]
fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
