//! The page that shows a key's value, once.
//!
//! It is the answer to the form itself: there is no address under which it
//! could be shown again, no cache keeps it, and the form makes no second key.

use std::net::SocketAddr;

use axum::response::Response;
use engine::SecretKey;
use http::StatusCode;
use maud::{Markup, html};
use store::StoredKey;

use super::name;
use crate::reach::reachable;
use crate::serve::control::{Control, Visit};
use crate::serve::pages::parts;
use crate::serve::pages::shell::{self, Place};

/// A key that was made.
pub(super) fn page(
    control: &Control,
    visit: &Visit,
    key: &SecretKey,
    stored: &StoredKey,
    notice: &Markup,
) -> Response {
    shown(control, visit, key, stored, notice)
}

/// A key that was made in the place of another.
pub(super) fn rotated(
    control: &Control,
    visit: &Visit,
    key: &SecretKey,
    stored: &StoredKey,
    old: &StoredKey,
    notice: &Markup,
) -> Response {
    let id = old.record.id;
    let until = old.record.policy.expires_at;
    let about = html! {
        (notice)
        p {
            "The old key, " a href={ "/keys/" (id) } { (id) } ", "
            @match until {
                Some(until) if until > control.now() => { "works until " (parts::time(until)) " UTC." }
                _ => "works no longer.",
            }
            @if let Some(end) = stored.record.policy.expires_at {
                " This one expires at " (parts::time(end)) " UTC."
            }
        }
    };
    shown(control, visit, key, stored, &about)
}

fn shown(
    control: &Control,
    visit: &Visit,
    key: &SecretKey,
    stored: &StoredKey,
    about: &Markup,
) -> Response {
    let id = stored.record.id;
    let body = html! {
        p.way { a href="/keys" { "API keys" } }
        h1 { "Your new key" }
        p {
            "Copy it now, to where it is safe: " strong { "it is not shown again" }
            ", and nobody can look it up."
        }
        (about)
        div.secret {
            label for="value" { "Key " (name(stored)) " of project " (stored.record.policy.project) }
            input type="text" id="value" readonly autofocus value=(key.expose()) spellcheck="false" autocomplete="off";
            button type="button" data-copy="value" hidden { "Copy" }
        }
        h2 { "Try it" }
        (curl(control.listen(), key.expose()))
        p.actions { a.button href={ "/keys/" (id) } { "To the key's page" } }
    };
    shell::page(visit, Place::Keys, "Your new key", &body)
}

/// A command to try a key by.
fn curl(listen: SocketAddr, key: &str) -> Markup {
    let at = reachable(listen);
    html! {
        div.secret {
            pre id="curl" tabindex="0" aria-label="Command" { "curl -H 'api-key: " (key) "' http://" (at) "/" }
            button type="button" data-copy="curl" hidden { "Copy" }
        }
        p.quiet { "From this machine; elsewhere put your service's address in the place of " code { (at) } "." }
    }
}

/// What is said where a form comes a second time.
pub(super) fn sent_before(visit: &Visit, id: &str) -> Response {
    let body = html! {
        h1 { "This key is there already" }
        p {
            "This form was sent before, and made a key then, whose value was shown once. "
            "It makes no second one."
        }
        p {
            "If nobody has kept the value, rotate " a href={ "/keys/" (id) } { "key " (id) }
            " to get another, or revoke it."
        }
        p.actions { a.button href="/keys" { "To the list of keys" } }
    };
    shell::page_with(
        StatusCode::CONFLICT,
        visit,
        Place::Keys,
        "There already",
        &body,
    )
}
