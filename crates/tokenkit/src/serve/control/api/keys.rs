//! `/v1/keys`: making, listing, showing and changing keys.

use axum::body::Body;
use axum::extract::State;
use engine::{CidrList, KeyId, KeyState, Limit, OriginList};
use http::Response;
use store::{Cursor, KeyQuery, Label, StateFilter, StoredKey};

use super::answer::{listed, shown, view};
use super::creation::{IdempotencyKey, Made, Secret};
use super::etag::{IfMatch, IfNoneMatch};
use super::members::{
    Json, JsonOrNothing, Nothing, flag, hidden, nullable, number, parsed, texts, time,
};
use super::path::Named;
use super::query::{self, MAX_PAGE, Query};
use super::views::{KeyView, ListedKeyView};
use crate::serve::control::work::{KeyChange, NewKey};
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let now = control.now();
    let (limit, cursor): (usize, Option<Cursor>) = query.page(MAX_PAGE);
    let project = query.optional("project", query::parsed);
    let state = query.optional("state", |text| match text {
        "active" => Ok(StateFilter::Active),
        "disabled" => Ok(StateFilter::Disabled),
        "revoked" => Ok(StateFilter::Revoked),
        "expired" => Ok(StateFilter::Expired { now }),
        _ => Err("active, disabled, revoked or expired is wanted".into()),
    });
    let search = query.optional("search", query::words);
    query.end()?;
    let page = control
        .read(move |store| {
            Ok(store.key_page(&KeyQuery {
                project,
                state,
                search: search.as_deref(),
                after: cursor.as_ref(),
                limit,
            })?)
        })
        .await?;
    let keys: Vec<_> = page.keys.iter().map(ListedKeyView::of).collect();
    let next = page.next.map(|next| next.to_string());
    listed("keys", &keys, next)
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
    let name = members.optional("name", parsed::<Label>);
    let hourly_limit = members.optional("hourly_limit", nullable(limit));
    let expires_at = members.optional("expires_at", nullable(time));
    let origins = members.optional("origins", origins);
    let require_origin = members.optional("require_origin", flag);
    let ips = members.optional("ips", ips);
    let prefix = members.optional("prefix", parsed);
    let new = members.finish(|| {
        Some(NewKey {
            project: project?,
            name: name.unwrap_or_default(),
            hourly_limit: hourly_limit.flatten(),
            expires_at: expires_at.flatten(),
            origins: origins.unwrap_or_default(),
            require_origin: require_origin.unwrap_or_default(),
            ips: ips.unwrap_or_default(),
            prefix,
        })
    })?;
    control
        .create(&admin, idempotency, &bytes, |control, writer, maker| {
            let (key, stored) = control.create_key_in(writer, maker, new)?;
            Ok((made(&stored)?, Some(key.expose().into())))
        })
        .await
}

/// What is said of a key that was made.
pub(super) fn made(stored: &StoredKey) -> Result<Made, Problem> {
    Ok(Made {
        body: view(&KeyView::of(stored))?,
        location: format!("/v1/keys/{}", stored.record.id),
        revision: Some(stored.revision),
        secret: Secret::Key(stored.prefix.to_string()),
    })
}

pub(super) async fn show(
    State(control): State<Control>,
    id: Named,
    query: Query,
    seen: IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id: KeyId = id.parse()?;
    let key = control.read(move |store| Ok(store.key(id)?)).await?;
    shown(&KeyView::of(&key), key.revision, &seen)
}

pub(super) async fn change(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
    IfMatch(seen): IfMatch,
    body: Json,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id = id.parse()?;
    let mut members = body.members();
    let change = KeyChange {
        project: members.optional("project", parsed),
        name: members.optional("name", parsed::<Label>),
        hourly_limit: members.optional("hourly_limit", nullable(limit)),
        expires_at: members.optional("expires_at", nullable(time)),
        origins: members.optional("origins", origins),
        require_origin: members.optional("require_origin", flag),
        ips: members.optional("ips", ips),
    };
    let change = members.finish(|| Some(change))?;
    let key = control.change_key(admin.actor(), id, seen, change).await?;
    changed(&key)
}

pub(super) async fn disable(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
    seen: IfMatch,
    _: Nothing,
) -> Result<Response<Body>, Problem> {
    set_state(control, admin, id, query, seen, KeyState::Disabled).await
}

pub(super) async fn enable(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
    seen: IfMatch,
    _: Nothing,
) -> Result<Response<Body>, Problem> {
    set_state(control, admin, id, query, seen, KeyState::Active).await
}

async fn set_state(
    control: Control,
    admin: Admin,
    id: Named,
    query: Query,
    IfMatch(seen): IfMatch,
    state: KeyState,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let key = control
        .set_key_state(admin.actor(), id.parse()?, seen, state)
        .await?;
    changed(&key)
}

pub(super) async fn revoke(
    State(control): State<Control>,
    admin: Admin,
    id: Named,
    query: Query,
    IfMatch(seen): IfMatch,
    JsonOrNothing(body): JsonOrNothing,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let id = id.parse()?;
    let mut members = body.members();
    let reason = members.optional("reason", parsed::<Label>);
    let reason = members.finish(|| Some(reason))?;
    let key = control.revoke_key(admin.actor(), id, seen, reason).await?;
    changed(&key)
}

/// A key as a change has left it.
fn changed(key: &StoredKey) -> Result<Response<Body>, Problem> {
    shown(&KeyView::of(key), key.revision, &IfNoneMatch::default())
}

fn limit(value: &serde_json::Value) -> Result<Limit, String> {
    Limit::try_from(number(value)?).map_err(|error| error.to_string())
}

fn origins(value: &serde_json::Value) -> Result<OriginList, String> {
    OriginList::parse(texts(value)?).map_err(hidden)
}

fn ips(value: &serde_json::Value) -> Result<CidrList, String> {
    CidrList::parse(texts(value)?).map_err(hidden)
}
