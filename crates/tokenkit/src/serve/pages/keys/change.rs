//! Changing a key.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use engine::KeyState;
use http::StatusCode;
use maud::{Markup, html};
use store::{Actor, StoredKey};

use super::{id, name, policy, project_list, project_names, seen};
use crate::serve::control::{Control, Form, Problem, SignedIn, Visit};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields;
use crate::serve::pages::parts;
use crate::serve::pages::shell::{Place, page_with};

pub(super) async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    let key = super::key(&control, id(&text)?).await?;
    if key.record.policy.state == KeyState::Revoked {
        return Err(store::StoreError::Revoked(key.record.id).into());
    }
    form(
        &control,
        &visit,
        StatusCode::OK,
        &key,
        &policy::of_key(&key),
        &html! {},
    )
    .await
}

pub(super) async fn change(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let id = id(&text)?;
    let mut draft = Draft::of(&sent, &policy::FIELDS);
    let before = super::key(&control, id).await?;
    let expires_at = before.record.policy.expires_at;
    let Some(wanted) = policy::read(&mut draft, control.now(), expires_at) else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        // What it was when they began stays what they go by.
        let key = StoredKey {
            revision: fields::revision(&sent)?,
            ..before
        };
        return form(&control, &visit.0, status, &key, &draft, &html! {}).await;
    };
    let seen = seen(&sent)?;
    let changed = control.change_key(Actor::page(admin.id), id, seen, wanted.into_change());
    match changed.await {
        Ok(_) => Ok(Redirect::to(&format!("/keys/{id}?did=changed")).into_response()),
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let now = super::key(&control, id).await?;
            let both = both(&draft, &policy::of_key(&now));
            form(
                &control,
                &visit.0,
                StatusCode::CONFLICT,
                &now,
                &draft,
                &both,
            )
            .await
        }
        Err(problem) => Err(problem),
    }
}

/// What somebody wants beside what somebody else has made of it meanwhile.
fn both(wanted: &Draft, now: &Draft) -> Markup {
    let others = policy::FIELDS
        .into_iter()
        .filter(|name| wanted.value(name) != now.value(name));
    let cell = |text: &str| match text {
        "" => html! { span.quiet { "empty" } },
        text => html! { span.lines { (text) } },
    };
    let rows: Vec<Vec<Markup>> = others
        .map(|name| {
            vec![
                html! { (policy::label(name)) },
                cell(wanted.value(name)),
                cell(now.value(name)),
            ]
        })
        .collect();
    html! {
        div.note.warn role="alert" tabindex="-1" autofocus id="changed" {
            h2 { "Somebody else has changed this key meanwhile" }
            p { "Nothing of yours is stored yet. Your values are still in the form: storing them replaces what is there now." }
            @if rows.is_empty() { p { "Both versions say the same." } }
            @else { (parts::table("Both versions", &["Field", "Yours", "There now"], &rows)) }
        }
    }
}

async fn form(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    key: &StoredKey,
    draft: &Draft,
    above: &Markup,
) -> Result<Response, Problem> {
    let projects = project_names(control).await?;
    let at = format!("/keys/{}", key.record.id);
    let body = html! {
        p.way { a href=(at) { (name(key)) } }
        h1 { "Change key" }
        (above)
        (fields::summary(draft))
        form.sheet method="post" action={ (at) "/change" } {
            (fields::csrf(visit))
            input type="hidden" name="revision" value=(key.revision);
            (policy::form(draft))
            (project_list(&projects))
            div.actions {
                button.main type="submit" { "Store changes" }
                a href=(at) { "Cancel" }
            }
        }
    };
    Ok(page_with(status, visit, Place::Keys, "Change key", &body))
}
