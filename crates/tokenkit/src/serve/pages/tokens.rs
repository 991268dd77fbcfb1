//! Admin tokens.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use engine::{KeyId, SecretKey};
use http::StatusCode;
use maud::{Markup, html};
use store::{Actor, Label, Scope, StoredToken};

use super::draft::Draft;
use super::fields::{self, Field, Line};
use super::once::{self, Id, Once, Outcome};
use super::shell::{Place, page, page_with};
use super::{keys, parts};
use crate::admin_token;
use crate::serve::control::{Control, Form, Maker, NewToken, Problem, SignedIn, Visit};

const PATH: &str = "/tokens";

const SCOPES: [(&str, &str); 2] = [
    ("read", "Read: look at all, change nothing"),
    ("write", "Write: look and change"),
];

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(show).post(create))
        .route("/tokens/{id}/revoke", get(ask_revoke).post(revoke))
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
) -> Result<Response, Problem> {
    let draft = Draft::default()
        .with("scope", "read")
        .with("expires", "90d");
    list(&control, &visit, StatusCode::OK, &draft, None).await
}

async fn create(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let mut draft = Draft::of(&sent, &["name", "scope", "expires"]);
    let number = sent.field("once");
    let Some(new) = read(&mut draft, control.now()) else {
        return list(
            &control,
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &draft,
            Some(number),
        )
        .await;
    };
    let once = Once::of(&control, admin, number)?;
    let maker = control.clone();
    let made = once.make(&control, Actor::page(admin.id), move |writer| {
        let (token, stored) = maker.create_token_in(writer, &Maker::Random, new)?;
        Ok((Id::Token(stored.id), (token, stored)))
    });
    Ok(match made.await? {
        Outcome::Made((token, stored), notice) => shown(&visit.0, &token, &stored, &notice),
        Outcome::Before(id) => sent_before(&visit.0, &id),
    })
}

fn read(draft: &mut Draft, now: u64) -> Option<NewToken> {
    let name = draft.read("name", |text| match text {
        "" => Err("Name: say who or what uses it."),
        text => text
            .parse::<Label>()
            .map_err(|_| "Name: at most 200 bytes, without control characters."),
    });
    let scope = draft.read("scope", |text| {
        text.parse::<Scope>()
            .map_err(|_| "Scope: choose read or write.")
    });
    let expires_at = draft.read("expires", |text| keys::expiry(text, now, None));
    Some(NewToken {
        name: name?,
        scope: scope?,
        expires_at: expires_at?,
    })
}

async fn list(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    once: Option<&str>,
) -> Result<Response, Problem> {
    let tokens = control.keeper().read(|store| Ok(store.tokens()?)).await?;
    let may_write = visit.admin.scope >= Scope::Write;
    let now = control.now();
    let rows: Vec<Vec<Markup>> = tokens.iter().map(|token| row(token, visit, now)).collect();
    let body = html! {
        div.head { h1 { "Admin tokens" } }
        p { "Whoever has one signs in here with it, and programs send it to the API." }
        @if may_write {
            (fields::summary(draft))
            section aria-labelledby="make" {
                h2 id="make" { "New token" }
                form.sheet method="post" action=(PATH) {
                    (fields::csrf(visit))
                    (once::field(once)?)
                    (fields::line(draft, Field { name: "name", label: "Name", hint: "Who or what uses it." }, Line { is_required: true, ..Line::default() }))
                    (fields::choice(draft, Field { name: "scope", label: "Scope", hint: "" }, &SCOPES))
                    (fields::line(draft, Field { name: "expires", label: "Expires", hint: "Such as 90d, 2027-01-31T00:00:00Z or never." }, Line { is_short: true, ..Line::default() }))
                    div.actions { button.main type="submit" { "Make token" } }
                }
            }
        }
        section aria-labelledby="all" {
            h2 id="all" { "All tokens" }
            (parts::table("Admin tokens, newest first", &["Name", "Scope", "State", "Created", "Expires", "Revoke"], &rows))
        }
    };
    Ok(page_with(
        status,
        visit,
        Place::Tokens,
        "Admin tokens",
        &body,
    ))
}

fn row(token: &StoredToken, visit: &Visit, now: u64) -> Vec<Markup> {
    let state = admin_token::state(token, now);
    let class = match state {
        "revoked" => "bad",
        "expired" => "warn",
        _ => "good",
    };
    let may_revoke = visit.admin.scope >= Scope::Write && state != "revoked";
    vec![
        html! {
            strong { (token.name) } br; code.quiet { (token.id) }
            @if token.id == visit.admin.id { " " span.badge { "yours" } }
        },
        html! { (token.scope) },
        html! { span class={ "badge " (class) } { (state) } },
        parts::time(token.created_at),
        parts::time_or(token.expires_at, "never"),
        html! {
            @if may_revoke {
                a.button.small.danger href={ (PATH) "/" (token.id) "/revoke" } { "Revoke" span.unseen { " " (token.name) } }
            } @else { span.quiet { "–" } }
        },
    ]
}

fn shown(visit: &Visit, token: &SecretKey, stored: &StoredToken, notice: &Markup) -> Response {
    let body = html! {
        p.way { a href=(PATH) { "Admin tokens" } }
        h1 { "Your new admin token" }
        (notice)
        p { "Copy it now, to where it is safe: " strong { "it is not shown again" } "." }
        div.secret {
            label for="value" { "Token " (stored.name) " of scope " (stored.scope) }
            input type="text" id="value" readonly autofocus value=(token.expose()) spellcheck="false" autocomplete="off";
            button type="button" data-copy="value" hidden { "Copy" }
        }
        p.actions { a.button href=(PATH) { "To the list of tokens" } }
    };
    page(visit, Place::Tokens, "Your new admin token", &body)
}

fn sent_before(visit: &Visit, id: &str) -> Response {
    let body = html! {
        h1 { "This token is there already" }
        p { "This form was sent before, and made token " code { (id) } " then, whose value was shown once. It makes no second one." }
        p { "If nobody has kept the value, revoke that token and make another." }
        p.actions { a.button href=(PATH) { "To the list of tokens" } }
    };
    page_with(
        StatusCode::CONFLICT,
        visit,
        Place::Tokens,
        "There already",
        &body,
    )
}

fn id(text: &str) -> Result<KeyId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("There is no such token."))
}

async fn ask_revoke(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    let id = id(&text)?;
    let tokens = control.keeper().read(|store| Ok(store.tokens()?)).await?;
    let found = tokens.into_iter().find(|token| token.id == id);
    let token = found.ok_or_else(|| Problem::not_found("There is no such token."))?;
    let body = html! {
        p.way { a href=(PATH) { "Admin tokens" } }
        h1 { "Revoke admin token" }
        div.note.warn {
            p { strong { (token.name) } " opens nothing any more, from now on, and whoever signed in with it is signed out. " strong { "This cannot be undone." } }
            @if id == visit.admin.id { p { "It is the one that you signed in with." } }
        }
        form.sheet method="post" action={ (PATH) "/" (id) "/revoke" } {
            (fields::csrf(&visit))
            div.actions {
                button.danger type="submit" { "Revoke for ever" }
                a href=(PATH) { "Cancel" }
            }
        }
    };
    Ok(page(&visit, Place::Tokens, "Revoke admin token", &body))
}

async fn revoke(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    control
        .revoke_token(Actor::page(admin.id), id(&text)?)
        .await?;
    Ok(Redirect::to(PATH).into_response())
}
