//! What a decision looks like on the wire: status, headers and problem body,
//! rendered in one place for every adapter.
//!
//! Nothing here knows an HTTP library or touches the heap: header names are
//! lower-case static texts, values are borrowed for the length of one call,
//! bodies are static. The status is [`Reason::status`](crate::Reason::status).
//!
//! Sources: RFC 9110 (challenge, `Retry-After`, tokens), the Fetch standard
//! (CORS), RFC 9457 (problem bodies), draft-ietf-httpapi-ratelimit-headers-10
//! (`RateLimit` fields and the problem types of the two 429s).

mod preflight;
mod problem;
mod request;
mod text;

use std::fmt;

pub use problem::problem;
pub use request::{bearer_token, is_reserved_header};
use text::Text;

use crate::decision::{Budget, Decision, Reason};
use crate::time::HOUR_S;

/// The header that hands the key's id to the service behind.
pub const KEY_HEADER: &str = "x-tokenkit-key";
/// The header that hands the project to the service behind.
pub const PROJECT_HEADER: &str = "x-tokenkit-project";
/// The header that hands the user to the service behind, where there is one.
pub const USER_HEADER: &str = "x-tokenkit-user";
/// The header in which a client sends its key.
pub const API_KEY_HEADER: &str = "api-key";
/// The media type of [`problem()`] bodies.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How decisions are rendered: the realm of the challenge, and whether the
/// older `X-RateLimit-*` headers stand beside the new ones.
#[derive(Clone, Debug)]
pub struct Wire {
    challenge: Box<str>,
    legacy_headers: bool,
}

/// What of a decision is told over HTTP: all that rendering needs, for who has
/// no [`Decision`] at hand but what came of one.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Why.
    pub reason: Reason,
    /// Whether a browser at the request's origin may read the answer.
    pub allow_origin: bool,
    /// The budget, where the decision carries one.
    pub budget: Option<Budget>,
    /// Seconds to wait before another try; told on a 429.
    pub retry_after_s: u32,
}

impl From<&Decision> for Told {
    #[inline]
    fn from(decision: &Decision) -> Self {
        Self {
            reason: decision.reason(),
            allow_origin: decision.allow_origin(),
            budget: decision.budget(),
            retry_after_s: decision.retry_after_s().unwrap_or(0),
        }
    }
}

/// A realm that cannot stand in a quoted string; the text is the realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(String);

impl Wire {
    /// Sets up the rendering. The realm names the deployment to whoever is
    /// challenged.
    ///
    /// # Errors
    ///
    /// The realm has a character outside printable ASCII, a `"` or a `\`.
    pub fn new(realm: &str, legacy_headers: bool) -> Result<Self, WireError> {
        let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        if !realm.bytes().all(plain) {
            return Err(WireError(realm.into()));
        }
        Ok(Self {
            challenge: format!("api-key realm=\"{realm}\"").into(),
            legacy_headers,
        })
    }

    /// Hands `put` every header of the answer but `Content-Type` and
    /// `Content-Length`, each name once. `origin` is the request's `Origin` as
    /// sent, `unix_s` the second that the decision was made at.
    ///
    /// An allowed request's answer comes from the service behind: there `vary`
    /// and `access-control-expose-headers` join what it says, and every other
    /// name takes the place of its own.
    pub fn headers(
        &self,
        decision: &Decision,
        origin: Option<&[u8]>,
        unix_s: u64,
        put: impl FnMut(&'static str, &[u8]),
    ) {
        self.headers_told(&decision.into(), origin, unix_s, put);
    }

    /// As [`headers`](Self::headers), for what is told of a decision.
    pub fn headers_told(
        &self,
        told: &Told,
        origin: Option<&[u8]>,
        unix_s: u64,
        mut put: impl FnMut(&'static str, &[u8]),
    ) {
        put("vary", b"Origin");
        if let Some(origin) = echoed(told.allow_origin, origin) {
            put("access-control-allow-origin", origin);
            put("access-control-expose-headers", self.exposed().as_bytes());
        }
        if let Some(budget) = told.budget {
            let mut text = Text::<MAX_NUMBERS>::new();
            text.push(b"\"hour\";q=")
                .push_number(budget.limit)
                .push(b";w=")
                .push_number(HOUR_S);
            put("ratelimit-policy", text.bytes());
            text.clear()
                .push(b"\"hour\";r=")
                .push_number(budget.remaining);
            text.push(b";t=").push_number(budget.reset_s.into());
            put("ratelimit", text.bytes());
            if self.legacy_headers {
                put(
                    "x-ratelimit-limit",
                    text.clear().push_number(budget.limit).bytes(),
                );
                put(
                    "x-ratelimit-remaining",
                    text.clear().push_number(budget.remaining).bytes(),
                );
                let reset_at = unix_s.saturating_add(budget.reset_s.into());
                put(
                    "x-ratelimit-reset",
                    text.clear().push_number(reset_at).bytes(),
                );
            }
        }
        if told.reason == Reason::Allowed {
            return;
        }
        put("cache-control", b"no-store");
        let status = told.reason.status();
        if status == 401 {
            put("www-authenticate", self.challenge.as_bytes());
        }
        if status == 429 {
            let mut text = Text::<MAX_NUMBERS>::new();
            let seconds = text.push_number(told.retry_after_s.into());
            put("retry-after", seconds.bytes());
        }
    }

    /// The value of `WWW-Authenticate`.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// The value of `Access-Control-Expose-Headers`: what a page may read
    /// beyond what it always may.
    #[must_use]
    pub const fn exposed(&self) -> &'static str {
        if self.legacy_headers {
            "www-authenticate, retry-after, ratelimit-policy, ratelimit, \
              x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset"
        } else {
            "www-authenticate, retry-after, ratelimit-policy, ratelimit"
        }
    }
}

impl Default for Wire {
    /// The realm `tokenkit`, with the older headers.
    fn default() -> Self {
        Self {
            challenge: "api-key realm=\"tokenkit\"".into(),
            legacy_headers: true,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no realm: printable ASCII without \" and \\ is wanted",
            self.0
        )
    }
}

impl std::error::Error for WireError {}

/// The origin to echo. A listed one has the characters of a URL; the check is
/// for adapters that take bytes from elsewhere than an HTTP parser, lest a
/// line break ever reach a header.
fn echoed(allowed: bool, origin: Option<&[u8]>) -> Option<&[u8]> {
    origin.filter(|origin| allowed && origin.iter().all(u8::is_ascii_graphic))
}

/// Room for the longest value made of numbers: `"hour";r=`, 20 digits,
/// `;t=`, 10 digits.
const MAX_NUMBERS: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const ORIGIN: &[u8] = b"https://app.example.com";
    const AT: u64 = 1_790_000_000;

    pub(super) fn wire(legacy_headers: bool) -> Wire {
        Wire::new("tokenkit", legacy_headers).unwrap()
    }

    /// A decision for a reason, with all that such a one may carry.
    fn decision(reason: Reason, allow_origin: bool) -> Decision {
        let mut decision = Decision::keyless(reason, allow_origin);
        if matches!(reason, Reason::Allowed | Reason::HourlyLimit) {
            decision.budget = Some(Budget {
                limit: 2,
                remaining: 1,
                reset_s: 2800,
            });
        }
        if decision.status() == 429 {
            decision.retry_after_s = 60;
        }
        decision
    }

    pub(super) type Headers = Vec<(&'static str, String)>;

    pub(super) fn collect(render: impl FnOnce(&mut dyn FnMut(&'static str, &[u8]))) -> Headers {
        let mut headers = Headers::new();
        render(&mut |name, value| {
            headers.push((name, String::from_utf8(value.to_vec()).unwrap()));
        });
        headers.sort();
        for pair in headers.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "a header stands twice");
        }
        for (name, _) in &headers {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
        headers
    }

    fn rendered(wire: &Wire, decision: &Decision, origin: Option<&[u8]>) -> Headers {
        collect(|put| wire.headers(decision, origin, AT, put))
    }

    pub(super) fn owned(headers: &[(&'static str, &str)]) -> Headers {
        headers
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect()
    }

    #[test]
    fn an_allowed_answer_tells_the_budget() {
        let decision = decision(Reason::Allowed, false);
        let new = owned(&[
            ("ratelimit", "\"hour\";r=1;t=2800"),
            ("ratelimit-policy", "\"hour\";q=2;w=3600"),
            ("vary", "Origin"),
        ]);
        assert_eq!(rendered(&wire(false), &decision, None), new);
        let mut both = new;
        both.extend(owned(&[
            ("x-ratelimit-limit", "2"),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset", "1790002800"),
        ]));
        assert_eq!(rendered(&wire(true), &decision, None), both);
    }

    #[test]
    fn refusals_carry_what_their_status_wants() {
        for reason in Reason::ALL
            .into_iter()
            .filter(|reason| *reason != Reason::Allowed)
        {
            let headers = rendered(&wire(true), &decision(reason, false), Some(ORIGIN));
            let value = |name| {
                headers
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map(|(_, v)| &**v)
            };
            assert_eq!(value("cache-control"), Some("no-store"));
            assert_eq!(value("vary"), Some("Origin"));
            assert_eq!(value("access-control-allow-origin"), None);
            let challenge = (reason.status() == 401).then_some("api-key realm=\"tokenkit\"");
            assert_eq!(value("www-authenticate"), challenge);
            assert_eq!(
                value("retry-after"),
                (reason.status() == 429).then_some("60")
            );
            assert_eq!(value("ratelimit").is_some(), reason == Reason::HourlyLimit);
        }
    }

    #[test]
    fn a_listed_origin_may_read_the_answer() {
        let refused = decision(Reason::RevokedKey, true);
        for (legacy, last) in [(true, "x-ratelimit-reset"), (false, "ratelimit")] {
            let headers = rendered(&wire(legacy), &refused, Some(ORIGIN));
            assert_eq!(
                headers[0],
                (
                    "access-control-allow-origin",
                    "https://app.example.com".into()
                )
            );
            let (name, exposed) = &headers[1];
            assert_eq!(*name, "access-control-expose-headers");
            assert!(exposed.starts_with("www-authenticate, retry-after, ratelimit-policy"));
            assert_eq!(exposed.rsplit(", ").next(), Some(last));
        }
        for origin in [None, Some(&b"https://a\r\nx: y"[..])] {
            let headers = rendered(&wire(true), &refused, origin);
            assert!(
                headers
                    .iter()
                    .all(|(name, _)| !name.starts_with("access-control"))
            );
        }
    }

    #[test]
    fn the_largest_numbers_fit() {
        let mut decision = decision(Reason::HourlyLimit, false);
        decision.budget = Some(Budget {
            limit: u64::MAX,
            remaining: u64::MAX,
            reset_s: u32::MAX,
        });
        let headers = collect(|put| wire(true).headers(&decision, None, u64::MAX, put));
        let max = u64::MAX.to_string();
        assert!(headers.contains(&("ratelimit-policy", format!("\"hour\";q={max};w=3600"))));
        assert!(headers.contains(&("ratelimit", format!("\"hour\";r={max};t={}", u32::MAX))));
        assert!(headers.contains(&("x-ratelimit-reset", max)));
    }

    #[test]
    fn a_realm_that_would_break_its_quotes_is_named() {
        for bad in ["a\"b", "a\\b", "é", "a\nb"] {
            let error = Wire::new(bad, true).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")));
        }
        assert!(Wire::new("", true).is_ok());
        assert_eq!(Wire::default().challenge(), wire(true).challenge());
    }
}
