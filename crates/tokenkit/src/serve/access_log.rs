//! What is noted of a request: for one line in the log, where a setting asks for
//! it, and for a span, where one is sent. It says the path without the query
//! and, of the headers, the request's id and trace alone: others may hold
//! secrets. What could be a secret in what a client sent is hidden, and what is
//! long is cut, lest clients without a key choose how much memory is held.
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
        let path = shown(&self.path, MAX_PATH);
        let decided = self.decided.as_ref();
        if self.is_logged {
            let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            tracing::info!(
                target: TARGET,
                method = shown(self.method.as_str(), MAX_METHOD),
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
                method: (self.method.as_str().len() <= MAX_METHOD).then_some(self.method),
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
/// The most bytes of a path that are noted.
const MAX_PATH: usize = 2048;
/// The most bytes of a method that are.
const MAX_METHOD: usize = 20;
/// The longest id of a request that is noted.
const MAX_REQUEST_ID: usize = 128;

/// What is shown of a text that a client sent: nothing that could be a whole
/// secret, and so many bytes at most, with a `…` behind them where there were
/// more. Hidden first: of a secret that stands across the cut no part is shown.
fn shown(text: &str, longest: usize) -> String {
    let mut shown = without_whole_secrets(text);
    if shown.len() > longest {
        shown.truncate(shown.floor_char_boundary(longest));
        shown.push('…');
    }
    // It has room for the whole text, and may wait in a queue.
    shown.shrink_to_fit();
    shown
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        assert_eq!(shown("/é", 3), "/é");
        assert_eq!(shown("/é/", 3), "/é…");
        assert_eq!(shown("/é/", 2), "/…");
        assert_eq!(shown("", 3), "");
    }

    #[test]
    fn no_part_of_a_secret_is_shown_before_the_cut() {
        let key = "Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";
        for before in MAX_PATH - key.len()..=MAX_PATH {
            let start = "/".repeat(before);
            let path = shown(&format!("{start}{key}/rest"), MAX_PATH);
            let rest = path.strip_prefix(&start).unwrap().trim_end_matches('…');
            assert!("[hidden]/rest".starts_with(rest), "{rest}");
        }
    }

    #[test]
    fn what_is_shown_takes_no_more_memory_than_it_has_to() {
        for text in ["/".repeat(32 << 10), "a".repeat(32 << 10)] {
            let path = shown(&text, MAX_PATH);
            assert!(path.capacity() <= MAX_PATH + '…'.len_utf8(), "{path}");
            assert_eq!(path.capacity(), path.len());
        }
    }
}
