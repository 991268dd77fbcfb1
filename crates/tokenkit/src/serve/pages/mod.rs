//! The pages for people, served beside the API at the admin address.
//!
//! What is here is merged into the router of the admin address
//! ([`Front::open`](super::control)): paths under `/` and `/ui/`, none under
//! `/v1`. What the frame has done before a handler is reached: wrong hosts and
//! other origins are refused, the time of an answer is bounded. What it does
//! after: security headers are set, unless a handler has set its own.
//!
//! A handler takes [`SignedIn`](super::control::SignedIn), which sends anybody
//! else to [`SIGN_IN`], and for a `POST` a [`Form`](super::control::Form), whose
//! `csrf` goes to `SignedIn::may_change` first.

use axum::Router;

use super::control::Control;

/// Where one signs in.
pub(crate) const SIGN_IN: &str = "/sign-in";

/// All pages.
pub(crate) fn router() -> Router<Control> {
    Router::new()
}
