//! `/v1/tokens`: admin tokens.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use engine::KeyId;
use http::{Response, StatusCode};
use serde_json::json as value;

use super::answer::{json, view};
use super::creation::{IdempotencyKey, Made, Secret};
use super::members::{Json, nullable, parsed, time};
use super::path::Named;
use super::query::Query;
use super::views::TokenView;
use crate::admin_token::PREFIX;
use crate::serve::control::work::NewToken;
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let now = control.now();
    let tokens = control.read(|store| Ok(store.tokens()?)).await?;
    let tokens: Vec<_> = tokens.iter().map(|one| TokenView::of(one, now)).collect();
    json(StatusCode::OK, &value!({ "tokens": tokens }))
}

pub(super) async fn create(
    State(control): State<Control>,
    admin: Admin,
    query: Query,
    idempotency: IdempotencyKey,
    body: Json,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let bytes = body.bytes.clone();
    let mut members = body.members();
    let name = members.required("name", parsed);
    let scope = members.required("scope", parsed);
    let expires_at = members.optional("expires_at", nullable(time));
    let new = members.finish(|| {
        Some(NewToken {
            name: name?,
            scope: scope?,
            expires_at: expires_at.flatten(),
        })
    })?;
    control
        .create(&admin, idempotency, &bytes, |control, writer, maker| {
            let now = control.now();
            let (token, stored) = control.create_token_in(writer, maker, new)?;
            let made = Made {
                body: view(&TokenView::of(&stored, now))?,
                location: format!("/v1/tokens/{}", stored.id),
                revision: None,
                secret: Secret::AdminToken(PREFIX.into()),
            };
            Ok((made, Some(token.expose().into())))
        })
        .await
}

pub(super) async fn revoke(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id: KeyId = id.parse()?;
    control.revoke_token(admin.actor(), id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
