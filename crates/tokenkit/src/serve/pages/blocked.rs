//! Blocked addresses, and those that are exempt.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use engine::Cidr;
use http::StatusCode;
use maud::{Markup, html};
use store::{Actor, Label, Scope};

use super::draft::Draft;
use super::fields::{self, Field, Line};
use super::parts;
use super::shell::{Place, page_with};
use crate::serve::control::{BlockedAddress, Control, ExemptBlock, Form, Problem, SignedIn, Visit};

const PATH: &str = "/blocked";
/// Blocked addresses that are shown at a time.
const MOST: usize = 200;

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(show))
        .route("/blocked/unblock", post(unblock))
        .route("/blocked/exempt", post(exempt))
        .route("/blocked/exempt/end", post(end_exemption))
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut draft = parts::query(query.as_deref(), &["address", "did"]);
    let only = draft.read("address", |text| match text {
        "" => Ok(None),
        text => ip(text).map(Some),
    });
    list(&control, &visit, StatusCode::OK, &draft, only.flatten()).await
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!("Address: {text:?} is none; one such as 203.0.113.7 or 2001:db8::1 is wanted.")
    })
}

async fn list(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    only: Option<IpAddr>,
) -> Result<Response, Problem> {
    let asked = (!draft.value("address").is_empty() && only.is_none()).then_some(());
    let (blocked, total) = match asked {
        Some(()) => (Vec::new(), 0),
        None => control.blocked(only),
    };
    let exempt = control.exempt().await?;
    let may_write = visit.admin.scope >= Scope::Write;
    let body = html! {
        div.head { h1 { "Blocked addresses" } }
        p {
            "An address is blocked for a while after too many attempts with keys that never were. "
            "An IPv6 address counts with all of its /64."
        }
        (said(draft.value("did")))
        (fields::summary(draft))
        form.filter.two method="get" action=(PATH) role="search" aria-label="Blocked addresses" {
            (fields::line(draft, Field { name: "address", label: "Look up an address", hint: "" }, Line::default()))
            button type="submit" { "Look up" }
        }
        (found(&blocked, total, only, visit))
        section aria-labelledby="exempt-head" {
            h2 id="exempt-head" { "Exempt addresses" }
            p.hint { "Their attempts are never counted, and they are never blocked." }
            (exempt_table(&exempt, visit))
            @if may_write { (exempt_form(draft, visit)) }
        }
    };
    Ok(page_with(
        status,
        visit,
        Place::Blocked,
        "Blocked addresses",
        &body,
    ))
}

fn said(word: &str) -> Markup {
    let text = match word {
        "unblocked" => "The address is no longer blocked; its count begins anew.",
        "exempted" => "The addresses are exempt, as of now.",
        "ended" => "The exemption has ended, as of now.",
        _ => return html! {},
    };
    parts::note("good", &html! { p { (text) } })
}

fn found(blocked: &[BlockedAddress], total: usize, only: Option<IpAddr>, visit: &Visit) -> Markup {
    let rows: Vec<Vec<Markup>> = blocked
        .iter()
        .take(MOST)
        .map(|one| row(one, visit))
        .collect();
    let shown = rows.len();
    html! {
        @match (only, rows.is_empty()) {
            (Some(ip), true) => p.empty { code { (ip) } " is not blocked. " a href=(PATH) { "Show all" } },
            (None, true) => p.empty { "No address is blocked." },
            _ => {
                (parts::table("Blocked addresses, those blocked for longest first", &["Address", "Until (UTC)", "Unblock"], &rows))
                @if only.is_some() { p { a href=(PATH) { "Show all" } } }
                @else if total > shown {
                    p.quiet { (parts::number(total as u64)) " are blocked in all; the " (shown) " shown here are those that were met with lately. Any other can be looked up." }
                }
            }
        }
    }
}

fn row(one: &BlockedAddress, visit: &Visit) -> Vec<Markup> {
    vec![
        html! { code { (one.addresses) } },
        parts::time(one.until),
        html! {
            @if visit.admin.scope >= Scope::Write {
                form.one method="post" action="/blocked/unblock" {
                    (fields::csrf(visit))
                    input type="hidden" name="address" value=(one.address);
                    button.small type="submit" { "Unblock" span.unseen { " " (one.addresses) } }
                }
            } @else { span.quiet { "–" } }
        },
    ]
}

fn exempt_table(exempt: &[ExemptBlock], visit: &Visit) -> Markup {
    let rows: Vec<Vec<Markup>> = exempt
        .iter()
        .map(|block| {
            let (note, since, end) = match &block.added {
                None => (
                    html! { span.quiet { "by the settings (failures.exempt)" } },
                    html! { span.quiet { "–" } },
                    html! { span.quiet { "–" } },
                ),
                Some(added) => (
                    html! { (added.note) },
                    parts::time(added.created_at),
                    end_button(block, visit),
                ),
            };
            vec![html! { code { (block.addresses) } }, note, since, end]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "None is exempt." } }
        @else { (parts::table("Exempt addresses", &["Addresses", "Note", "Since", "End"], &rows)) }
    }
}

fn end_button(block: &ExemptBlock, visit: &Visit) -> Markup {
    html! {
        @if visit.admin.scope >= Scope::Write {
            form.one method="post" action="/blocked/exempt/end" {
                (fields::csrf(visit))
                input type="hidden" name="addresses" value=(block.addresses);
                button.small type="submit" { "End" span.unseen { " exemption of " (block.addresses) } }
            }
        } @else { span.quiet { "–" } }
    }
}

fn exempt_form(draft: &Draft, visit: &Visit) -> Markup {
    html! {
        form.sheet method="post" action="/blocked/exempt" {
            (fields::csrf(visit))
            (fields::line(draft, Field { name: "addresses", label: "Exempt more", hint: "An address or a block, such as 192.0.2.0/24: an office, a monitor." }, Line { is_required: true, ..Line::default() }))
            (fields::line(draft, Field { name: "note", label: "Note", hint: "Whose they are. It may be empty." }, Line::default()))
            div.actions { button type="submit" { "Exempt" } }
        }
    }
}

async fn unblock(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let ip = ip(sent.field("address")).map_err(Problem::bad_request)?;
    match control.unblock(Actor::page(admin.id), ip).await {
        // Over meanwhile: that is what was wanted.
        Err(problem) if problem.status() != StatusCode::NOT_FOUND => Err(problem),
        _ => Ok(done("unblocked")),
    }
}

async fn exempt(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let mut draft = Draft::of(&sent, &["addresses", "note"]);
    let addresses = draft.read("addresses", |text| match text {
        "" => Err("Exempt more: name an address or a block.".to_owned()),
        text => text
            .parse::<Cidr>()
            .map_err(|error| format!("Exempt more: {error}.")),
    });
    let note = draft.read("note", |text| {
        text.parse::<Label>()
            .map_err(|_| "Note: at most 200 bytes, without control characters.")
    });
    let (Some(addresses), Some(note)) = (addresses, note) else {
        return list(
            &control,
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &draft,
            None,
        )
        .await;
    };
    let maker = control.clone();
    let made = control.change(Actor::page(admin.id), move |writer| {
        maker.add_exempt_in(writer, addresses, note)
    });
    made.await?;
    Ok(done("exempted"))
}

async fn end_exemption(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let addresses: Cidr = sent
        .field("addresses")
        .parse()
        .map_err(|_| fields::not_whole())?;
    control
        .remove_exempt(Actor::page(admin.id), addresses)
        .await?;
    Ok(done("ended"))
}

fn done(did: &str) -> Response {
    Redirect::to(&parts::address(PATH, &[("did", did)])).into_response()
}
