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
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::serve::control::api::ROUTES;

    #[test]
    fn the_document_and_the_router_name_the_same() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let methods = ["get", "post", "patch", "delete", "put", "head", "options"];
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let item = item.as_object().unwrap();
            for method in item.keys().filter(|key| methods.contains(&key.as_str())) {
                described.insert(format!("{method} {path}"));
            }
        }
        let served: BTreeSet<String> = ROUTES
            .iter()
            .flat_map(|(path, methods)| {
                methods.iter().map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(described, served);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
