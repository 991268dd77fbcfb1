//! `/v1/sessions`.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::{Response, StatusCode};
use serde_json::json as value;
use store::{Cursor, SessionId, SessionQuery};

use super::answer::{json, listed, view};
use super::creation::{IdempotencyKey, Made, Secret};
use super::members::{Json, nullable, parsed, time};
use super::path::Named;
use super::query::{self, MAX_PAGE, Query};
use super::views::SessionView;
use crate::serve::control::work::NewSession;
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let now = control.now();
    let (limit, cursor): (usize, Option<Cursor>) = query.page(MAX_PAGE);
    let project = query.optional("project", query::parsed);
    let user = query.optional("user", query::parsed);
    let active = query.optional("active", query::flag).unwrap_or_default();
    query.end()?;
    let page = control
        .read(move |store| {
            Ok(store.session_page(&SessionQuery {
                project,
                user,
                live_at: active.then_some(now),
                after: cursor.as_ref(),
                limit,
            })?)
        })
        .await?;
    let sessions = page.sessions.iter();
    let sessions: Vec<_> = sessions.map(|one| SessionView::of(one, now)).collect();
    let next = page.next.map(|next| next.to_string());
    listed("sessions", &sessions, next)
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
    let project = members.required("project", parsed);
    let user = members.required("user", parsed);
    let expires_at = members.optional("expires_at", nullable(time));
    let new = members.finish(|| {
        Some(NewSession {
            project: project?,
            user: user?,
            expires_at: expires_at.flatten(),
        })
    })?;
    control
        .create(&admin, idempotency, &bytes, |control, writer, maker| {
            let now = control.now();
            let (token, stored) = control.create_session_in(writer, maker, new)?;
            let made = Made {
                body: view(&SessionView::of(&stored, now))?,
                location: format!("/v1/sessions/{}", stored.id),
                revision: None,
                secret: Secret::SessionToken,
            };
            Ok((made, Some(token.expose().into())))
        })
        .await
}

pub(super) async fn end(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id: SessionId = id.parse()?;
    control.end_session(admin.actor(), id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn end_all(
    State(control): State<Control>,
    admin: Admin,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let project = query.required("project", query::parsed);
    let user = query.required("user", query::parsed);
    let (project, user) = query.finish(|| project.zip(user))?;
    let ended = control
        .end_sessions_of(admin.actor(), project, user)
        .await?;
    json(StatusCode::OK, &value!({ "ended": ended }))
}
