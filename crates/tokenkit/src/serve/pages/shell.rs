//! What every page has around it, and the headers of its answer.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
};
use maud::{DOCTYPE, Markup, html};
use store::Scope;

use super::assets;
use crate::serve::control::Visit;

/// Nothing but what this address itself serves; no style or script within a
/// page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The parts of the site, as the menu names them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Blocked,
    Keys,
    Projects,
    Sessions,
    Tokens,
    Audit,
}

impl Place {
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Blocked => "/blocked",
            Self::Keys => "/keys",
            Self::Projects => "/projects",
            Self::Sessions => "/sessions",
            Self::Tokens => "/tokens",
            Self::Audit => "/audit",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Blocked => "Blocked addresses",
            Self::Keys => "API keys",
            Self::Projects => "Projects",
            Self::Sessions => "Sessions",
            Self::Tokens => "Admin tokens",
            Self::Audit => "Audit log",
        }
    }
}

/// The menu: its groups and what is in them.
const MENU: [(&str, &[Place]); 2] = [
    ("Live", &[Place::Overview, Place::Blocked]),
    (
        "Settings",
        &[
            Place::Keys,
            Place::Projects,
            Place::Sessions,
            Place::Tokens,
            Place::Audit,
        ],
    ),
];

/// A page for who is signed in.
pub(super) fn page(visit: &Visit, place: Place, title: &str, body: &Markup) -> Response {
    page_with(StatusCode::OK, visit, place, title, body)
}

/// The same, with another status.
pub(super) fn page_with(
    status: StatusCode,
    visit: &Visit,
    place: Place,
    title: &str,
    body: &Markup,
) -> Response {
    let admin = &visit.admin;
    let who = match admin.name.as_str() {
        "" => admin.id.to_string(),
        name => name.to_owned(),
    };
    let shell = html! {
        header.top {
            a.brand href="/" { (mark()) "tokenkit" }
            nav aria-label="Main" {
                @for (group, places) in MENU {
                    div.group {
                        p.group-name id={ "menu-" (group.to_lowercase()) } { (group) }
                        ul aria-labelledby={ "menu-" (group.to_lowercase()) } {
                            @for item in places {
                                li { a href=(item.path()) aria-current=[(*item == place).then_some("page")] { (item.name()) } }
                            }
                        }
                    }
                }
            }
            div.who {
                p {
                    span.quiet { "Signed in as " }
                    strong { (who) }
                    @if admin.scope < Scope::Write { " " span.badge { "read only" } }
                }
                form method="post" action="/sign-out" {
                    input type="hidden" name="csrf" value=(visit.csrf());
                    button.plain type="submit" { "Sign out" }
                }
            }
        }
        main id="main" tabindex="-1" { (body) }
    };
    answer(status, title, "site", &shell)
}

/// A page for anybody: nothing around it.
pub(super) fn bare(status: StatusCode, title: &str, body: &Markup) -> Response {
    let shell = html! {
        main.alone id="main" tabindex="-1" {
            p.brand { (mark()) "tokenkit" }
            (body)
        }
    };
    answer(status, title, "alone", &shell)
}

/// A part of a page, to be put in the place of an older one.
pub(super) fn fragment(body: Markup) -> Response {
    finished(StatusCode::OK, body)
}

fn answer(status: StatusCode, title: &str, class: &str, shell: &Markup) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · tokenkit" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                link rel="icon" href=(assets::icon()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body class=(class) {
                a.skip href="#main" { "Skip to content" }
                (shell)
            }
        }
    };
    finished(status, document)
}

/// What is shown is somebody's alone, and old by the next moment.
fn finished(status: StatusCode, document: Markup) -> Response {
    let mut answer = Response::new(Body::from(document.into_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Where nothing is told at all, a browser names no origin with our own
    // forms either, and the guard refuses them.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// The mark beside the name.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false" {
            circle cx="8" cy="12" r="5" {}
            path d="M13 12h9M18 12v4M22 12v3" {}
        }
    }
}
