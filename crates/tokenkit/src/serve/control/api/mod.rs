//! The admin API: JSON under `/v1`, as `docs/openapi.json` says, and
//! `docs/admin-api.md` in prose.
//!
//! Whoever comes here has passed the door, and its token allows the method.
//! Times are RFC 3339 texts in UTC, spans are whole seconds. A change is in
//! force when it is answered.

mod answer;
mod audit;
mod blocked;
mod creation;
mod document;
mod etag;
mod exempt;
mod form;
mod keys;
mod members;
mod overview;
mod path;
mod projects;
mod query;
mod rotate;
mod sessions;
mod tokens;
mod usage;
mod views;

use axum::Router;
use axum::routing::MethodRouter;

pub(super) use self::creation::UnderWay;
use super::Control;

/// The routes, and the same as a list, which a test compares with the document.
macro_rules! routes {
    ($($path:literal => $($method:ident $handler:path),+;)*) => {
        /// All of the API.
        pub(super) fn router() -> Router<Control> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))*
        }

        #[cfg(test)]
        const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),*];
    };
}

routes! {
    "/v1/projects" => get projects::list, post projects::create;
    "/v1/projects/{name}" => get projects::show, patch projects::change;
    "/v1/keys" => get keys::list, post keys::create;
    "/v1/keys/{id}" => get keys::show, patch keys::change;
    "/v1/keys/{id}/disable" => post keys::disable;
    "/v1/keys/{id}/enable" => post keys::enable;
    "/v1/keys/{id}/revoke" => post keys::revoke;
    "/v1/keys/{id}/rotate" => post rotate::rotate;
    "/v1/keys/{id}/usage" => get usage::of_key;
    "/v1/sessions" => get sessions::list, post sessions::create, delete sessions::end_all;
    "/v1/sessions/{id}" => delete sessions::end;
    "/v1/blocked" => get blocked::list;
    "/v1/blocked/{address}/unblock" => post blocked::unblock;
    "/v1/exempt" => get exempt::list, post exempt::add;
    "/v1/exempt/{addresses}" => delete exempt::remove;
    "/v1/usage" => get usage::list;
    "/v1/audit" => get audit::list;
    "/v1/tokens" => get tokens::list, post tokens::create;
    "/v1/tokens/{id}" => delete tokens::revoke;
    "/v1/overview" => get overview::show;
    "/v1/openapi.json" => get document::show;
}
