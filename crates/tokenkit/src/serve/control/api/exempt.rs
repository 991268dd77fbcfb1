//! `/v1/exempt`: addresses that are never counted nor blocked.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{Response, StatusCode};
use serde_json::json as value;
use store::Label;

use super::answer::{json, segment, view};
use super::creation::{IdempotencyKey, Made, Secret};
use super::members::{Json, parsed};
use super::path::Named;
use super::query::Query;
use super::views::ExemptView;
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let exempt = control.exempt().await?;
    let exempt: Vec<_> = exempt.iter().map(ExemptView::of).collect();
    json(StatusCode::OK, &value!({ "exempt": exempt }))
}

pub(super) async fn add(
    State(control): State<Control>,
    admin: Admin,
    query: Query,
    idempotency: IdempotencyKey,
    body: Json,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let bytes = body.bytes.clone();
    let mut members = body.members();
    let addresses = members.required("addresses", parsed);
    let note = members.optional("note", parsed::<Label>);
    let (addresses, note) = members.finish(|| Some((addresses?, note.unwrap_or_default())))?;
    control
        .create(&admin, idempotency, &bytes, move |control, writer, _| {
            let exempt = control.add_exempt_in(writer, addresses, note)?;
            let made = Made {
                body: view(&ExemptView::added(&exempt))?,
                location: format!("/v1/exempt/{}", segment(&addresses.to_string())),
                revision: None,
                secret: Secret::None,
            };
            Ok((made, None))
        })
        .await
}

pub(super) async fn remove(
    State(control): State<Control>,
    admin: Admin,
    addresses: Named,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    control
        .remove_exempt(admin.actor(), addresses.parse()?)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
