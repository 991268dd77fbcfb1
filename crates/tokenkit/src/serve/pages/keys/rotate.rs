//! Putting a new key in the place of an old one.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use store::{Actor, StoredKey};

use super::{id, minted, name, policy, seen};
use crate::serve::control::{Control, Form, Maker, Problem, Rotation, SignedIn, Visit};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields::{self, Field, Line};
use crate::serve::pages::once::{self, Id, Once, Outcome};
use crate::serve::pages::parts;
use crate::serve::pages::shell::{Place, page_with};

/// How long both may work: seconds, and what they are called.
const OVERLAPS: [(&str, &str); 6] = [
    ("0", "Not at all: the old one stops now"),
    ("3600", "1 hour"),
    ("86400", "1 day"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    ("7776000", "90 days"),
];
const OFFERED: &str = "86400";

pub(super) async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    let key = super::key(&control, id(&text)?).await?;
    let draft = Draft::default().with("overlap", OFFERED);
    let before = replaced_before(&control, &key).await?;
    form(&visit, StatusCode::OK, &key, &before, &draft, None)
}

pub(super) async fn rotate(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let id = id(&text)?;
    let seen = seen(&sent)?;
    let mut draft = Draft::of(&sent, &["overlap", "expires"]);
    let overlap = draft.read("overlap", |text| {
        let choice = OVERLAPS.iter().find(|(value, _)| *value == text);
        choice
            .and_then(|(value, _)| value.parse().ok())
            .ok_or("Overlap: choose one of the list.")
    });
    let expires_at = draft.read("expires", |text| match text {
        "" => Ok(None),
        text => policy::expiry(text, control.now(), None).map(Some),
    });
    let (Some(overlap_s), Some(expires_at)) = (overlap, expires_at) else {
        let key = super::key_again(&control, id, &sent).await?;
        let number = Some(sent.field("once"));
        let before = replaced_before(&control, &key).await?;
        return form(
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &key,
            &before,
            &draft,
            number,
        );
    };
    let rotation = Rotation {
        overlap_s,
        expires_at,
    };
    let once = Once::of(&control, admin, sent.field("once"))?;
    let maker = control.clone();
    let made = once.make(&control, Actor::page(admin.id), move |writer| {
        let (key, new, old) = maker.rotate_key_in(writer, &Maker::Random, id, &seen, rotation)?;
        Ok((Id::Key(new.record.id), (key, new, old)))
    });
    Ok(match made.await? {
        Outcome::Made((key, new, old), notice) => {
            minted::rotated(&control, &visit.0, &key, &new, &old, &notice)
        }
        Outcome::Before(id) => minted::sent_before(&visit.0, &id),
    })
}

/// Says of a key that was replaced before that it ends, and that a second
/// successor would end with it: who lost the value of the first looks for another.
async fn replaced_before(control: &Control, key: &StoredKey) -> Result<Markup, Problem> {
    let id = key.record.id;
    let by = control
        .keeper()
        .read(move |store| Ok(store.replaced_by(id)?));
    let (Some(by), Some(end)) = (by.await?, key.record.policy.expires_at) else {
        return Ok(html! {});
    };
    Ok(parts::note(
        "warn",
        &html! {
            p {
                strong { "It was replaced before, by " a href={ "/keys/" (by) } { (by) } "." }
                " It ends at " (parts::time(end)) " UTC, and so would a key that is made now, unless you say "
                "below when that expires. If the value of " (by) " is lost, rotate that one."
            }
        },
    ))
}

fn form(
    visit: &Visit,
    status: StatusCode,
    key: &StoredKey,
    before: &Markup,
    draft: &Draft,
    once: Option<&str>,
) -> Result<Response, Problem> {
    let at = format!("/keys/{}", key.record.id);
    let body = html! {
        p.way { a href=(at) { (name(key)) } }
        h1 { "Rotate key" }
        p {
            "A new key is made with the same project, limit and lists, and its value is shown once. "
            "The old one works on for as long as you say, so that programs can be moved, and never past its own expiry."
        }
        (before)
        (fields::summary(draft))
        form.sheet method="post" action={ (at) "/rotate" } {
            (fields::csrf(visit))
            (once::field(once)?)
            input type="hidden" name="revision" value=(key.revision);
            (fields::choice(draft, Field { name: "overlap", label: "Both work for", hint: "" }, &OVERLAPS))
            (fields::line(draft, Field {
                name: "expires", label: "The new key expires",
                hint: "Such as 90d or never. Empty is as the old one would have.",
            }, Line { is_short: true, ..Line::default() }))
            div.actions {
                button.main type="submit" { "Rotate key" }
                a href=(at) { "Cancel" }
            }
        }
    };
    Ok(page_with(status, visit, Place::Keys, "Rotate key", &body))
}
