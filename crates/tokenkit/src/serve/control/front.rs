//! The way of a request to the admin address: who it may come from, whom it may
//! ask, and what every answer carries.
//!
//! ```text
//! /healthz, /readyz ──────────────────────────────> status
//! everything else ─> guard ─┬─ /metrics ──────────> status
//!                           ├─ /v1/… ─> door ─────> api
//!                           └─ everything else ───> pages
//! ```
//!
//! Before the keys are loaded only the first three are there.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use engine_hyper::{PeerAddr, mark_sensitive};
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, Entry, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::listen::Ends;
use super::problem::Problem;
use super::status::Status;
use super::{Control, api, guard};
use crate::serve::pages;
use crate::settings;

/// How long an answer may take, a change of the store included.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands before everything that the admin address serves.
pub(crate) struct Front {
    status: Arc<Status>,
    settings: settings::Admin,
    /// Once all is loaded.
    behind: OnceLock<Behind>,
}

/// What there is once all is loaded.
struct Behind {
    control: Control,
    router: Router,
}

impl Front {
    pub(crate) fn new(status: Arc<Status>, settings: settings::Admin) -> Self {
        Self {
            status,
            settings,
            behind: OnceLock::new(),
        }
    }

    /// All is loaded: from now on the API and the pages are there.
    pub(crate) fn open(&self, control: Control) {
        let router = api::router()
            .merge(pages::router())
            .fallback(async || Problem::not_found("Nothing is served under this path."))
            .with_state(control.clone());
        // It is opened once.
        let _ = self.behind.set(Behind { control, router });
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Incoming>,
        ends: Ends,
    ) -> Response<Body> {
        hide_secrets(request.headers_mut());
        let is_api = is_api(request.uri().path());
        let wants_page = !is_api && wants_page(request.headers());
        let answer = match tokio::time::timeout(PATIENCE, self.route(request, ends)).await {
            Ok(answer) => answer,
            Err(_) => Problem::unavailable(
                "timeout",
                "It took too long. Whether a change was made by it shows where you look again.",
            )
            .into_response(),
        };
        finished(answer, is_api, wants_page)
    }

    async fn route(&self, mut request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let method = request.method();
        match request.uri().path() {
            "/healthz" => return Status::health(method).map(Body::new),
            "/readyz" => return self.status.readiness(method).map(Body::new),
            _ => {}
        }
        if let Err(problem) = guard::check(&request, ends, &self.settings.hosts) {
            return problem.into_response();
        }
        let is_metrics = request.uri().path() == "/metrics";
        if is_metrics && !self.settings.metrics_token {
            return self.status.metrics(method).map(Body::new);
        }
        let Some(Behind { control, router }) = self.behind.get() else {
            return Problem::unavailable("starting", "The server is loading its keys.")
                .into_response();
        };
        if is_metrics || is_api(request.uri().path()) {
            let client = control.client(ends.peer, request.headers());
            let admin = match control.door().admit(client, request.headers()) {
                Ok(admin) => admin,
                Err(problem) => return problem.into_response(),
            };
            if is_metrics {
                return self.status.metrics(method).map(Body::new);
            }
            let only_looks = method == Method::GET || method == Method::HEAD;
            if !only_looks && let Err(problem) = admin.may_write() {
                return problem.into_response();
            }
            request.extensions_mut().insert(admin);
        }
        request.extensions_mut().insert(ends);
        request.extensions_mut().insert(PeerAddr(ends.peer));
        // It never fails.
        match router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

/// Marks admin tokens, and the cookie of whoever is signed in, as sensitive: see
/// [`mark_sensitive`].
fn hide_secrets(headers: &mut HeaderMap) {
    mark_sensitive(headers);
    if let Entry::Occupied(mut cookies) = headers.entry(COOKIE) {
        cookies.iter_mut().for_each(|line| line.set_sensitive(true));
    }
}

/// Whether a path is the API's.
fn is_api(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Whether a browser asks for something to show.
fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter();
    accepted.any(|types| types.as_bytes().windows(9).any(|part| part == b"text/html"))
}

/// What an answer carries besides what it says.
fn finished(mut answer: Response<Body>, is_api: bool, wants_page: bool) -> Response<Body> {
    // The router's own refusal of a method has no body.
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED
        && !answer.headers().contains_key(CONTENT_TYPE)
    {
        answer = Problem::method_not_allowed(answer.headers_mut().remove(ALLOW)).into_response();
    }
    if let Some(problem) = answer.extensions_mut().remove::<Problem>()
        && wants_page
    {
        answer = pages::trouble_page(&problem);
    }
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    );
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(REFERRER_POLICY, "no-referrer");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if is_api {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_token_nor_a_cookie_is_shown() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer one"),
            ("cookie", "tokenkit_admin=two"),
            ("cookie", "tokenkit_admin=three"),
            ("accept", "four"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        hide_secrets(&mut headers);
        let shown = format!("{headers:?}");
        for secret in ["one", "two", "three"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("four"), "{shown}");
    }
}
