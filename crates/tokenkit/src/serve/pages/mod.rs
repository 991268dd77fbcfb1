//! The pages for people, served beside the API at the admin address.
//!
//! All of it is HTML that works without scripts; what the one script adds is a
//! convenience. Nothing is fetched from anywhere else.
//!
//! | file | what |
//! |---|---|
//! | `shell` | what every page has around it, and the headers of its answer |
//! | `assets` | the style sheet and the script |
//! | `parts`, `fields` | what pages are made of; what forms are |
//! | `chart`, `recent` | what is drawn; what the overview draws |
//! | `draft` | what somebody typed, and what is wrong with it |
//! | `once` | forms that make something once, however often they are sent |
//! | `trouble` | pages for what could not be done |
//! | the others | a page each, or a few about one thing |
//!
//! What the frame has done before a handler is reached: wrong hosts and other
//! origins are refused, the time of an answer is bounded. A handler takes
//! [`SignedIn`](super::control::SignedIn), which sends anybody else to
//! [`sign_in`], and for a `POST` a [`Form`](super::control::Form), whose `csrf`
//! goes to `SignedIn::may_change` first.

mod assets;
mod audit;
mod blocked;
mod chart;
mod draft;
mod fields;
mod keys;
mod once;
mod overview;
mod parts;
mod projects;
mod reasons;
mod recent;
mod sessions;
mod shell;
mod sign_in;
mod tokens;
mod trouble;

use axum::Router;

use super::control::Control;

pub(crate) use self::recent::{Recent, keep as keep_recent};
pub(crate) use self::sign_in::to_sign_in;
pub(crate) use self::trouble::page as trouble_page;

/// All pages.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .merge(assets::router())
        .merge(sign_in::router())
        .merge(overview::router())
        .merge(blocked::router())
        .merge(keys::router())
        .merge(projects::router())
        .merge(sessions::router())
        .merge(tokens::router())
        .merge(audit::router())
}
