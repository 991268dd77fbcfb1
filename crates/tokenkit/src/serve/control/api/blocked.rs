//! `/v1/blocked`: addresses that have guessed too often.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{Response, StatusCode};
use serde_json::json as value;

use super::answer::json;
use super::members::Nothing;
use super::path::Named;
use super::query::{Query, parsed};
use super::views::BlockedView;
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let only: Option<IpAddr> = query.optional("address", parsed);
    query.end()?;
    let (blocked, total) = control.blocked(only);
    let blocked: Vec<_> = blocked.iter().map(BlockedView::of).collect();
    json(
        StatusCode::OK,
        &value!({ "blocked": blocked, "total": total }),
    )
}

pub(super) async fn unblock(
    State(control): State<Control>,
    admin: Admin,
    address: Named,
    query: Query,
    _: Nothing,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    control.unblock(admin.actor(), address.parse()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
