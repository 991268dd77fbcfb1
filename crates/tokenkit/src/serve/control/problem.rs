//! What the admin address answers where it cannot do as it was asked: problem
//! details (RFC 9457), which say what is wrong with which part of a request.

use axum::body::Body;
use axum::response::IntoResponse;
use engine::wire::PROBLEM_JSON;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde::Serialize;
use store::StoreError;

use crate::error::without_whole_secrets;

/// A problem, with what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// A word for programs.
    reason: &'static str,
    /// A sentence for people.
    detail: String,
    faults: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Where, in the body: a JSON pointer as a URI fragment, `#/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Where, in the query or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Where, among the headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<&'static str>,
    /// What, and what is wanted.
    pub(crate) detail: String,
}

impl Fault {
    /// A fault of a member of the body.
    pub(crate) fn member(name: &str, detail: impl ToString) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: Some(format!("#/{name}")),
            parameter: None,
            header: None,
            detail: detail.to_string(),
        }
    }

    /// A fault of the body as a whole.
    pub(crate) fn body(detail: impl ToString) -> Self {
        Self {
            pointer: Some("#".into()),
            ..Self::member("", detail)
        }
    }

    /// A fault of a parameter.
    pub(crate) fn parameter(name: &str, detail: impl ToString) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            header: None,
            detail: detail.to_string(),
        }
    }

    /// A fault of a header.
    pub(crate) fn header(name: &'static str, detail: impl ToString) -> Self {
        Self {
            pointer: None,
            parameter: None,
            header: Some(name),
            detail: detail.to_string(),
        }
    }
}

impl Problem {
    /// A problem with a sentence for people, in which what could be a whole
    /// secret is hidden: it may name what was asked for.
    pub(crate) fn new(status: StatusCode, reason: &'static str, detail: impl AsRef<str>) -> Self {
        Self {
            status,
            reason,
            detail: without_whole_secrets(detail.as_ref()),
            faults: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 400: what cannot be read at all.
    pub(crate) fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 422: parts that cannot be taken, each named.
    pub(crate) fn invalid(faults: Vec<Fault>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "Some of the values given cannot be taken; errors names each.",
        );
        problem.faults = faults;
        problem
    }

    /// 401, with the challenge.
    pub(crate) fn unauthorized(reason: &'static str, detail: impl AsRef<str>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, reason, detail);
        problem.headers.push((
            WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="tokenkit admin""#),
        ));
        problem
    }

    /// 403.
    pub(crate) fn forbidden(reason: &'static str, detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, detail)
    }

    /// 404.
    pub(crate) fn not_found(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409.
    pub(crate) fn conflict(reason: &'static str, detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::CONFLICT, reason, detail)
    }

    /// 412: the state is another than the request goes by.
    pub(crate) fn changed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "changed",
            "It was changed since you looked: look again, and decide by what is there now.",
        )
    }

    /// 429, with the wait.
    pub(crate) fn too_many(detail: impl AsRef<str>, wait_s: u32) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "ip_blocked", detail);
        problem.headers.push((RETRY_AFTER, wait_s.into()));
        problem
    }

    /// 503, to be tried again in a moment.
    pub(crate) fn unavailable(reason: &'static str, detail: impl AsRef<str>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail);
        problem.headers.push((RETRY_AFTER, HeaderValue::from(1)));
        problem
    }

    /// 405 with what is allowed, where that is known.
    pub(crate) fn method_not_allowed(allow: Option<HeaderValue>) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This cannot be asked for by this method; Allow names those that work.",
        );
        problem.headers.extend(allow.map(|allow| (ALLOW, allow)));
        problem
    }

    /// A problem of the server's own, logged with its cause, which the answer
    /// does not tell.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request to the admin address could not be answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server could not do it; its log says why.",
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The word for programs.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    /// The sentence for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The headers that belong to the answer.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// One of these headers.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let mut headers = self.headers.iter();
        headers
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// What is wrong with which part.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

/// The body, as RFC 9457 has it; `reason` and `errors` are extensions.
#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let details = Details {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            reason: self.reason,
            errors: &self.faults,
        };
        // Texts and numbers always make JSON.
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers.iter().cloned());
        // Whoever reads pages is shown one in its place.
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoKey(id) => Self::not_found(format!("There is no key {id}.")),
            StoreError::NoSession => Self::not_found("There is no such session."),
            StoreError::NoProject(name) => Self::not_found(format!("There is no project {name}.")),
            StoreError::NoToken(id) => Self::not_found(format!("There is no admin token {id}.")),
            StoreError::NoExempt(_) => Self::not_found("This block was not exempted."),
            StoreError::Revoked(id) => Self::conflict(
                "revoked",
                format!("Key {id} is revoked, and stays so: make another."),
            ),
            StoreError::Unusable { id, why } => Self::conflict(
                why,
                format!("Key {id} is {why}: only a key that works can be replaced."),
            ),
            StoreError::ProjectExists(name) => {
                Self::conflict("exists", format!("The project {name} is there already."))
            }
            StoreError::TooManyTokens => Self::conflict(
                "full",
                "As many admin tokens are in use, or were made within a day, as there may be: revoke \
                 those that nobody needs, or wait.",
            ),
            StoreError::Changed { .. } => Self::changed(),
            StoreError::OtherCursor => {
                Self::invalid(vec![Fault::parameter("cursor", error.to_string())])
            }
            StoreError::Locked(_) => Self::unavailable(
                "store_busy",
                "The store is being written by others, and nothing was changed: try again in a moment.",
            ),
            StoreError::Replaced(_) => {
                tracing::error!(%error, "the store cannot be used");
                Self::unavailable(
                    "store_replaced",
                    "The store's file was moved, deleted or replaced while the server has it open, and \
                     nothing was changed: put it back, or restart the server to use what is there now.",
                )
            }
            StoreError::Full(_) | StoreError::Disk { .. } | StoreError::ReadOnly(_) => {
                tracing::error!(%error, "the store cannot be written");
                Self::unavailable(
                    "store_not_writable",
                    "The store cannot be written: its disk is full, fails, or may not be written. The \
                     server's log says more. Look before you make the change again.",
                )
            }
            error => Self::internal(error),
        }
    }
}
