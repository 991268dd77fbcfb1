//! `/v1/openapi.json`: the API's description.

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::query::Query;
use crate::serve::control::Problem;

/// As it is committed; `cargo xtask openapi` holds the server to it.
pub(super) const DOCUMENT: &str = include_str!("../../../../../../docs/openapi.json");

pub(super) async fn show(query: Query) -> Result<Response<Body>, Problem> {
    query.end()?;
    let mut answer = DOCUMENT.into_response();
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    Ok(answer)
}
