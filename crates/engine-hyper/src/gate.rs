//! All that lies between HTTP messages and the engine: what is read from a
//! request, what the answer carries, what the service behind gets to see. The
//! tower service is thin over it, and so is a forward-auth endpoint.
//!
//! Fails closed: a request whose client address is not known is answered 500,
//! never admitted.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use engine::wire::{self, PROBLEM_JSON, Wire};
use engine::{ClientAddr, Decision, Engine, KeyId, Reason};
use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::{Extensions, Method, Request, Response, StatusCode};

use crate::answer_headers::{Alike, Constants, Writer};
use crate::client_addr::TrustedProxies;
use crate::request_headers::{API_KEY, KEY, PROJECT, Sent, USER, mark_sensitive, remove_forged};
use crate::routes::{RouteNeeds, RoutePolicy};

/// Decides about HTTP requests and renders the answers. Made by
/// [`AuthLayer::builder`](crate::AuthLayer::builder).
pub struct Gate {
    pub(crate) engine: Arc<Engine>,
    pub(crate) wire: Wire,
    pub(crate) constants: Constants,
    pub(crate) routes: RoutePolicy,
    pub(crate) proxies: TrustedProxies,
    pub(crate) peer: fn(&Extensions) -> Option<IpAddr>,
    pub(crate) forward_key: bool,
    pub(crate) preflight_max_age_s: u32,
}

/// The facts of a request that a decision rests on.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The method, by which a route is chosen.
    pub method: &'a Method,
    /// The path as the service behind gets it, without the query.
    pub path: &'a [u8],
    /// The headers; the key, the bearer token and the origin are read.
    pub headers: &'a HeaderMap,
    /// Who asks: see [`Gate::client`].
    pub client: ClientAddr,
}

/// A decision, and what its rendering needs beside it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verdict {
    decision: Decision,
    unix_s: u64,
    cost: u64,
    /// The origin to echo.
    origin: Option<HeaderValue>,
}

impl Verdict {
    /// What was decided.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The units that the request costs: charged if it was admitted. 1 where the
    /// key is missing, for which the route is not looked for.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// When, in unix seconds.
    #[must_use]
    pub fn unix_s(&self) -> u64 {
        self.unix_s
    }
}

/// What becomes of a request.
#[must_use]
pub enum Checked {
    /// It goes on to the service behind, to whose answer [`Gate::render`] adds
    /// the headers of the verdict.
    Admitted(Verdict),
    /// It is answered with this.
    Answered(Response<Bytes>),
}

impl Gate {
    /// The engine behind the gate.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Who asks: the peer, or whom it names if it is a trusted proxy. Linear in
    /// the header that is read.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        self.proxies.client(peer, headers)
    }

    /// The whole way of a request: its secrets are marked as sensitive; a
    /// preflight or a refusal is answered; an admitted request loses what its
    /// client must not say, gets the identity headers, and carries its
    /// [`Decision`] in its extensions.
    pub fn check<B>(&self, request: &mut Request<B>) -> Checked {
        mark_sensitive(request.headers_mut());
        if let Some(answer) = self.preflight(request.method(), request.headers()) {
            return Checked::Answered(answer);
        }
        let Some(peer) = (self.peer)(request.extensions()) else {
            return Checked::Answered(nobody(request.method()));
        };
        let verdict = self.decide(&RequestFacts {
            method: request.method(),
            path: request.uri().path().as_bytes(),
            headers: request.headers(),
            client: self.client(peer, request.headers()),
        });
        if let Some(answer) = self.refusal(&verdict, request.method()) {
            return Checked::Answered(answer);
        }
        self.cleanse(request.headers_mut());
        self.identify(&verdict, request.headers_mut());
        request.extensions_mut().insert(verdict.decision);
        Checked::Admitted(verdict)
    }

    /// The answer to a preflight (`OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`), which carries no key and is never
    /// charged, counted or forwarded; `None` for any other request.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Bytes>> {
        if method != Method::OPTIONS {
            return None;
        }
        let origin = Sent::of(headers).origin?;
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let asked: Vec<&[u8]> = headers
            .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let now = self.engine.clock().now();
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let mut writer = Writer::new(answer.headers_mut(), &self.constants, Some(origin));
        self.wire.preflight(
            self.engine.lists_origin(origin.as_bytes(), now),
            origin.as_bytes(),
            wanted.as_bytes(),
            Some(&asked.join(&b',')),
            self.preflight_max_age_s,
            |name, value| writer.put(name, value),
        );
        Some(answer)
    }

    /// Decides at the engine's time, and charges if it admits. The route of a
    /// request without a key is looked for only where such a request is let
    /// through in shadow.
    pub fn decide(&self, facts: &RequestFacts<'_>) -> Verdict {
        let sent = Sent::of(facts.headers);
        let mut request = engine::Request::new(facts.client)
            .api_key_header(sent.api_key)
            .bearer_header(sent.bearer);
        if let Some(origin) = sent.origin {
            request = request.origin(origin.as_bytes());
        }
        let unix_s = self.engine.clock().now();
        let decide = |needs: RouteNeeds| {
            let request = request.needs_user(needs.needs_user).cost(needs.cost);
            self.engine.decide_at(&request, unix_s)
        };
        // Row 1 is the same on every route, and to ask for it changes nothing:
        // without a key nothing is counted or charged.
        let is_keyless = !self.routes.is_empty() && sent.is_keyless();
        let refused = is_keyless
            .then(|| decide(UNKNOWN))
            .filter(|decision| decision.reason() == Reason::MissingKey);
        let (needs, decision) = match refused {
            Some(decision) => (UNKNOWN, decision),
            None => {
                let needs = self.routes.needs(facts.method, facts.path);
                (needs, decide(needs))
            }
        };
        Verdict {
            decision,
            unix_s,
            cost: needs.cost.into(),
            origin: sent.origin.filter(|_| decision.allow_origin()).cloned(),
        }
    }

    /// Puts the headers of a verdict into an answer, the gate's own or that of
    /// the service behind: all but `Content-Type` and `Content-Length`.
    pub fn render(&self, verdict: &Verdict, headers: &mut HeaderMap) {
        // Where there is no room, the first header that finds none says so.
        let _ = headers.try_reserve(RENDERED);
        let origin = verdict.origin.as_ref();
        let mut writer = Writer::new(headers, &self.constants, origin);
        let origin = origin.map(HeaderValue::as_bytes);
        self.wire
            .headers(&verdict.decision, origin, verdict.unix_s, |name, value| {
                writer.put(name, value);
            });
    }

    /// The whole answer to a refused request, with its problem body, which is
    /// left out for `HEAD`, and the [`Decision`] in its extensions; `None` if
    /// it was admitted.
    #[must_use]
    pub fn refusal(&self, verdict: &Verdict, method: &Method) -> Option<Response<Bytes>> {
        let body = wire::problem(verdict.decision.reason())?;
        let status = match verdict.decision.status() {
            401 => StatusCode::UNAUTHORIZED,
            403 => StatusCode::FORBIDDEN,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        let mut answer = problem(status, body, method);
        self.render(verdict, answer.headers_mut());
        answer.extensions_mut().insert(verdict.decision);
        Some(answer)
    }

    /// Removes from a request what its client must not tell the service
    /// behind: identity headers in every spelling, and the key unless it is to
    /// be forwarded.
    pub fn cleanse(&self, headers: &mut HeaderMap) {
        remove_forged(headers, self.forward_key);
        if let Some(key) = self.forward_key.then(|| headers.get_mut(API_KEY)).flatten() {
            // Whoever goes without `check` may not have marked it: no `Debug` is
            // to show it, nor HTTP/2 to put it into a table.
            key.set_sensitive(true);
        }
    }

    /// Sets the identity headers of an admitted request: the key's id, its
    /// project and, where there is one, the user.
    ///
    /// A proxy takes hop-by-hop headers, those that `Connection` names
    /// included, out of a request *before* this, lest a client have the
    /// identity removed by naming it there.
    pub fn identify(&self, verdict: &Verdict, headers: &mut HeaderMap) {
        self.each_identity(verdict, |name, value| {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        });
    }

    /// Sets all identity headers of an admitted request, and empty those of
    /// which there is none: whoever takes over what they say overwrites whatever
    /// a client sent.
    pub fn identify_wholly(&self, verdict: &Verdict, headers: &mut HeaderMap) {
        self.each_identity(verdict, |name, value| {
            let none = || HeaderValue::from_static("");
            headers.insert(name, value.unwrap_or_else(none));
        });
    }

    /// Hands out the identity headers, with their values where there are some.
    fn each_identity(
        &self,
        verdict: &Verdict,
        mut set: impl FnMut(HeaderName, Option<HeaderValue>),
    ) {
        let decision = &verdict.decision;
        if !decision.is_allowed() {
            return;
        }
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
        let key = decision.key().map(KeyId::to_chars);
        set(KEY, key.and_then(|key| value(&key)));
        let project = decision.project().map(|id| self.engine.project(id));
        set(
            PROJECT,
            project.and_then(|project| Alike::Project.value(project.as_bytes())),
        );
        let user = decision.user().map(engine::Name::as_str);
        set(USER, user.and_then(|user| value(user.as_bytes())));
    }
}

/// The needs of a route that was not looked for: those that refuse most.
const UNKNOWN: RouteNeeds = RouteNeeds {
    needs_user: true,
    cost: 1,
};

/// The headers that most verdicts have: `Vary` and five of the budget.
const RENDERED: usize = 6;

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("wire", &self.wire)
            .field("routes", &self.routes)
            .field("proxies", &self.proxies)
            .field("forward_key", &self.forward_key)
            .field("preflight_max_age_s", &self.preflight_max_age_s)
            .finish_non_exhaustive()
    }
}

/// The answer where the server did not say whose request it is.
fn nobody(method: &Method) -> Response<Bytes> {
    const BODY: &str = concat!(
        r#"{"type":"about:blank","title":"Internal Server Error","status":500,"#,
        r#""detail":"The server does not know this client's address.","#,
        r#""reason":"no_client_address"}"#
    );
    let mut answer = problem(StatusCode::INTERNAL_SERVER_ERROR, BODY, method);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer with a problem body. To a `HEAD` it says the length alone, which
/// elsewhere the server tells by the body.
fn problem(status: StatusCode, body: &'static str, method: &Method) -> Response<Bytes> {
    let head = method == Method::HEAD;
    let sent = if head { "" } else { body };
    let mut answer = Response::new(Bytes::from_static(sent.as_bytes()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    answer
}

#[cfg(test)]
mod tests;
