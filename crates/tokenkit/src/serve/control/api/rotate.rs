//! `POST /v1/keys/{id}/rotate`: a key in the place of another.

use axum::body::Body;
use axum::extract::State;
use engine::KeyId;
use http::Response;
use serde_json::Value;

use super::answer::view;
use super::creation::IdempotencyKey;
use super::etag::IfMatch;
use super::keys::made;
use super::members::{JsonOrNothing, nullable, number, time};
use super::path::Named;
use super::query::Query;
use super::views::KeyView;
use crate::serve::control::work::{MAX_OVERLAP_S, Rotation};
use crate::serve::control::{Admin, Control, Problem};

/// How long both keys work, where nobody says: a day.
const OVERLAP_S: u64 = 86_400;

pub(super) async fn rotate(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
    IfMatch(seen): IfMatch,
    idempotency: IdempotencyKey,
    JsonOrNothing(body): JsonOrNothing,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id: KeyId = id.parse()?;
    let bytes = body.bytes.clone();
    let mut members = body.members();
    let overlap_s = members.optional("overlap_s", overlap);
    let expires_at = members.optional("expires_at", nullable(time));
    let rotation = members.finish(|| {
        Some(Rotation {
            overlap_s: overlap_s.unwrap_or(OVERLAP_S),
            expires_at,
        })
    })?;
    control
        .create(
            &admin,
            idempotency,
            &bytes,
            move |control, writer, maker| {
                let (key, stored, old) =
                    control.rotate_key_in(writer, maker, id, &seen, rotation)?;
                let mut made = made(&stored)?;
                if let Value::Object(body) = &mut made.body {
                    body.insert("replaced".into(), view(&KeyView::of(&old))?);
                }
                Ok((made, Some(key.expose().into())))
            },
        )
        .await
}

fn overlap(value: &Value) -> Result<u64, String> {
    let seconds = number(value)?;
    if seconds <= MAX_OVERLAP_S {
        return Ok(seconds);
    }
    Err(format!(
        "at most {MAX_OVERLAP_S} seconds, a year, are taken"
    ))
}
