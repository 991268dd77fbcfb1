//! Answers as they are written: JSON, lists in pages, what has a revision.

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json as value};

use super::etag::{IfNoneMatch, etag};
use crate::serve::control::Problem;

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Body>, Problem> {
    let body = serde_json::to_vec(body).map_err(Problem::internal)?;
    let mut answer = (status, body).into_response();
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// A page of a list: its entries under their name, and where the next begins.
pub(super) fn listed(
    name: &str,
    entries: &impl Serialize,
    next: Option<String>,
) -> Result<Response<Body>, Problem> {
    json(
        StatusCode::OK,
        &value!({ name: entries, "next_cursor": next }),
    )
}

/// A view as a value.
pub(super) fn view(view: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(view).map_err(Problem::internal)
}

/// A part of a path, as it stands in a URL.
pub(super) fn segment(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                shown.push(char::from(byte));
            }
            byte => shown.push_str(&format!("%{byte:02X}")),
        }
    }
    shown
}

/// What has a revision; nothing but that, where the client has it already.
pub(super) fn shown(
    view: &impl Serialize,
    revision: i64,
    seen: &IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    let mut answer = if seen.has(revision) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json(StatusCode::OK, view)?
    };
    answer.headers_mut().insert(ETAG, etag(revision));
    Ok(answer)
}
