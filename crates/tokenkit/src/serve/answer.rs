//! Answers of the server itself, beside those that a decision brings.

use std::fmt::Write as _;

use bytes::Bytes;
use engine::wire::PROBLEM_JSON;
use engine::{Decision, Engine};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Serialize;

use super::body::AnswerBody;

/// A problem that is none of the engine's: what was wrong with a request, or
/// with the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: &'static str,
}

impl Problem {
    pub(super) const ASKED_PREFLIGHT: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "bad_forward_auth",
        detail: "A CORS preflight has no key to ask about: the proxy must send it here instead.",
    };
    pub(super) const BAD_HOST: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "bad_host",
        detail: "An HTTP/1.1 request has exactly one Host header.",
    };
    pub(super) const BAD_TARGET: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "bad_host",
        detail: "The request's target names a user before its host.",
    };
    pub(super) const BAD_UPGRADE: Self = Self {
        status: StatusCode::BAD_GATEWAY,
        reason: "upstream_failed",
        detail: "The service behind changed to a protocol that nobody asked for.",
    };
    pub(super) const BROKEN_UPLOAD: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "bad_body",
        detail: "The request's body broke off, or is malformed.",
    };
    pub(super) const CODED: Self = Self {
        status: StatusCode::NOT_IMPLEMENTED,
        reason: "transfer_coding",
        detail: "No other transfer coding than chunked is taken.",
    };
    pub(super) const NO_CONNECT: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        reason: "method_not_allowed",
        detail: "This server opens no tunnels by CONNECT.",
    };
    pub(super) const NO_ORIGINAL: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "bad_forward_auth",
        detail: "The proxy is trusted but did not say, once and readably, which method and path \
                 it asks about.",
    };
    pub(super) const NO_SUCH_ENDPOINT: Self = Self {
        status: StatusCode::NOT_FOUND,
        reason: "not_found",
        detail: "Nothing is served under this name; paths under /.tokenkit/ are the server's own.",
    };
    pub(super) const READ_ONLY: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        reason: "method_not_allowed",
        detail: "This can only be read, by GET or HEAD.",
    };
    pub(super) const UPLOAD_TIMEOUT: Self = Self {
        status: StatusCode::REQUEST_TIMEOUT,
        reason: "request_timeout",
        detail: "The rest of the request's body did not come in time.",
    };
    pub(super) const UPSTREAM_BUSY: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "upstream_busy",
        detail: "No connection to the service behind became free in time.",
    };
    pub(super) const UPSTREAM_FAILED: Self = Self {
        status: StatusCode::BAD_GATEWAY,
        reason: "upstream_failed",
        detail: "The service behind could not be reached, or broke off.",
    };
    pub(super) const UPSTREAM_TIMEOUT: Self = Self {
        status: StatusCode::GATEWAY_TIMEOUT,
        reason: "upstream_timeout",
        detail: "The service behind did not answer in time.",
    };

    /// The whole answer, with a body as RFC 9457 has it.
    pub(super) fn answer(self, method: &Method) -> Response<AnswerBody> {
        let Self {
            status,
            reason,
            detail,
        } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let mut body = String::with_capacity(256);
        // Neither the texts above nor a status' name has a sign that JSON
        // would want escaped, which a test asserts; writing to a string cannot
        // fail.
        let _ = write!(
            body,
            r#"{{"type":"about:blank","title":"{title}","status":{},"detail":"{detail}","reason":"{reason}"}}"#,
            status.as_u16()
        );
        let mut answer = text(status, PROBLEM_JSON, body, method);
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let methods = match self {
                Self::READ_ONLY => "GET, HEAD",
                _ => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            };
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        answer
    }
}

/// An answer with a text. To a `HEAD` it says the length alone.
pub(super) fn text(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
    method: &Method,
) -> Response<AnswerBody> {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut answer = Response::new(if method == Method::HEAD {
        AnswerBody::empty()
    } else {
        AnswerBody::text(body)
    });
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, length);
    answer
}

/// What an allowed request is told where there is no service behind.
#[derive(Serialize)]
struct Allowed<'a> {
    allowed: bool,
    key: Option<String>,
    project: Option<&'a str>,
    user: Option<&'a str>,
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Option<u32>,
    path: &'a str,
}

/// The answer to an allowed request where there is no service behind: which
/// key, project, user and budget were seen.
pub(super) fn allowed(
    engine: &Engine,
    decision: &Decision,
    method: &Method,
    path: &str,
) -> Response<AnswerBody> {
    let budget = decision.budget();
    let told = Allowed {
        allowed: decision.is_allowed(),
        key: decision.key().map(|key| key.to_string()),
        project: decision.project().map(|project| engine.project(project)),
        user: decision.user().map(engine::Name::as_str),
        limit: budget.map(|budget| budget.limit),
        remaining: budget.map(|budget| budget.remaining),
        reset: budget.map(|budget| budget.reset_s),
        path,
    };
    // Texts and numbers always make JSON.
    let body = serde_json::to_vec(&told).unwrap_or_default();
    let mut answer = text(StatusCode::OK, "application/json", body, method);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const ALL: [Problem; 14] = [
        Problem::ASKED_PREFLIGHT,
        Problem::BAD_HOST,
        Problem::BAD_TARGET,
        Problem::BAD_UPGRADE,
        Problem::BROKEN_UPLOAD,
        Problem::CODED,
        Problem::NO_CONNECT,
        Problem::NO_ORIGINAL,
        Problem::NO_SUCH_ENDPOINT,
        Problem::READ_ONLY,
        Problem::UPLOAD_TIMEOUT,
        Problem::UPSTREAM_BUSY,
        Problem::UPSTREAM_FAILED,
        Problem::UPSTREAM_TIMEOUT,
    ];

    #[tokio::test]
    async fn problems_are_json() {
        for problem in ALL {
            let answer = problem.answer(&Method::GET);
            assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
            let length = answer.headers()["content-length"].clone();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(length, body.len().to_string().as_str());
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["status"], problem.status.as_u16());
            assert_eq!(json["reason"], problem.reason);
            assert_eq!(json["detail"], problem.detail);

            let head = problem.answer(&Method::HEAD);
            assert_eq!(head.headers()["content-length"], length);
            assert!(
                head.into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .is_empty()
            );
        }
    }
}
