//! `/v1/overview`: the server at a glance.

use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};
use serde_json::{Map, json as value};

use super::answer::json;
use super::members::shown_time;
use super::query::Query;
use crate::serve::control::{Control, Problem};

pub(super) async fn show(
    State(control): State<Control>,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let overview = control.overview();
    let decisions: Map<_, _> = overview
        .decisions
        .iter()
        .map(|(reason, count)| (reason.as_str().to_owned(), (*count).into()))
        .collect();
    json(
        StatusCode::OK,
        &value!({
            "at": shown_time(overview.at),
            "decisions": decisions,
            "keys": {
                "active": overview.active_keys(),
                "disabled": overview.stats.disabled_keys,
                "revoked": overview.stats.revoked_keys,
            },
            "sessions": overview.stats.sessions,
            "blocked_addresses": overview.stats.blocked_addresses,
        }),
    )
}
