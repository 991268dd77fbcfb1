//! Making a key.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use store::Actor;

use super::{PATH, minted, policy, project_list, project_names};
use crate::serve::control::{Control, Form, Maker, Problem, SignedIn, Visit};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields;
use crate::serve::pages::once::{self, Id, Once, Outcome};
use crate::serve::pages::shell::{Place, page_with};

pub(super) async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    form(&control, &visit, StatusCode::OK, &policy::blank(), None).await
}

pub(super) async fn create(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let mut draft = Draft::of(&sent, &policy::FIELDS);
    let number = sent.field("once");
    let Some(wanted) = policy::read(&mut draft, control.now(), None) else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return form(&control, &visit.0, status, &draft, Some(number)).await;
    };
    let once = Once::of(&control, admin, number)?;
    let maker = control.clone();
    let made = once.make(&control, Actor::page(admin.id), move |writer| {
        let (key, stored) = maker.create_key_in(writer, &Maker::Random, wanted.into_new())?;
        Ok((Id::Key(stored.record.id), (key, stored)))
    });
    Ok(match made.await? {
        Outcome::Made((key, stored), notice) => {
            minted::page(&control, &visit.0, &key, &stored, &notice)
        }
        Outcome::Before(id) => minted::sent_before(&visit.0, &id),
    })
}

async fn form(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    once: Option<&str>,
) -> Result<Response, Problem> {
    let projects = project_names(control).await?;
    let body = html! {
        p.way { a href=(PATH) { "API keys" } }
        h1 { "Generate key" }
        (fields::summary(draft))
        form.sheet method="post" action=(PATH) {
            (fields::csrf(visit))
            (once::field(once)?)
            (policy::form(draft))
            (project_list(&projects))
            div.actions {
                button.main type="submit" { "Generate key" }
                a href=(PATH) { "Cancel" }
            }
        }
    };
    Ok(page_with(status, visit, Place::Keys, "Generate key", &body))
}
