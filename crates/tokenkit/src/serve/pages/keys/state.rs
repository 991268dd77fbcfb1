//! Disabling, enabling and revoking a key.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use engine::KeyState;
use http::StatusCode;
use maud::html;
use store::{Actor, Label, StoredKey};

use super::{id, name, seen};
use crate::serve::control::{Control, Form, Problem, SignedIn, Visit};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields::{self, Field, Line};
use crate::serve::pages::shell::{Place, page_with};

pub(super) async fn disable(
    control: State<Control>,
    visit: SignedIn,
    path: Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    set(control, visit, path, sent, KeyState::Disabled, "disabled").await
}

pub(super) async fn enable(
    control: State<Control>,
    visit: SignedIn,
    path: Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    set(control, visit, path, sent, KeyState::Active, "enabled").await
}

async fn set(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
    state: KeyState,
    did: &str,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let (id, seen) = (id(&text)?, seen(&sent)?);
    control
        .set_key_state(Actor::page(admin.id), id, seen, state)
        .await?;
    Ok(Redirect::to(&format!("/keys/{id}?did={did}")).into_response())
}

pub(super) async fn ask_revoke(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    let key = super::key(&control, id(&text)?).await?;
    Ok(form(&visit, StatusCode::OK, &key, &Draft::default()))
}

pub(super) async fn revoke(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let (id, seen) = (id(&text)?, seen(&sent)?);
    let mut draft = Draft::of(&sent, &["reason"]);
    let Some(reason) = draft.read("reason", |text| {
        text.parse::<Label>()
            .map_err(|_| "Reason: at most 200 bytes, without control characters.")
    }) else {
        let key = super::key_again(&control, id, &sent).await?;
        return Ok(form(
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &key,
            &draft,
        ));
    };
    control
        .revoke_key(Actor::page(admin.id), id, seen, Some(reason))
        .await?;
    Ok(Redirect::to(&format!("/keys/{id}?did=revoked")).into_response())
}

fn form(visit: &Visit, status: StatusCode, key: &StoredKey, draft: &Draft) -> Response {
    let at = format!("/keys/{}", key.record.id);
    let body = html! {
        p.way { a href=(at) { (name(key)) } }
        h1 { "Revoke key" }
        div.note.warn {
            p {
                "From now on every request with " strong { (name(key)) } " of project "
                strong { (key.record.policy.project) } " is refused. " strong { "This cannot be undone." }
            }
            p { "To stop it for a while, disable it; to move programs to a new value first, rotate it." }
        }
        (fields::summary(draft))
        form.sheet method="post" action={ (at) "/revoke" } {
            (fields::csrf(visit))
            input type="hidden" name="revision" value=(key.revision);
            (fields::line(draft, Field {
                name: "reason", label: "Reason",
                hint: "For the audit log, such as where it leaked. It may be empty.",
            }, Line::default()))
            div.actions {
                button.danger type="submit" { "Revoke for ever" }
                a href=(at) { "Cancel" }
            }
        }
    };
    page_with(status, visit, Place::Keys, "Revoke key", &body)
}
