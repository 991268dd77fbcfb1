//! The way of one request through the server: the server's own paths, the
//! decision, and what becomes of the admitted.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use engine::ClientAddr;
use engine::wire::API_KEY_HEADER;
use engine_hyper::{RequestFacts, Verdict, mark_sensitive};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::access_log::Entry;
use super::answer::{self, Problem};
use super::answering::Answering;
use super::authorize::{self, Asker, OWN_PATHS};
use super::body::AnswerBody;
use super::live::Live;
use super::metrics::Counters;
use super::proxy::{ForwardError, Peer, Proxy, Sent};
use super::spans::{Place, Spans};
use super::watch::{InFlight, Watch};

/// What one thread answers requests with. Shared by its connections, and with
/// no other thread but for the settings, which are only read.
pub(super) struct Door {
    pub(super) live: Arc<ArcSwap<Live>>,
    /// The service behind, if there is one.
    pub(super) proxy: Option<Proxy>,
    pub(super) counters: Arc<Counters>,
    /// Where spans go, if they do.
    pub(super) spans: Option<Arc<Spans>>,
}

/// A request that went upstream. Dropped before its answer came, as where the
/// client has gone, it is logged all the same: it was decided about, and charged.
struct Awaited {
    door: Arc<Door>,
    log: Option<Entry>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(entry) = self.log.take() {
            entry.finish(gone(), self.door.spans.as_deref());
        }
    }
}

/// The status of a request whose client has gone before the answer, by nginx's
/// example: no client is ever told so.
fn gone() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// What a request's first look comes to.
enum Step {
    /// It is answered.
    Answer(Response<AnswerBody>),
    /// It went upstream; the verdict's headers join the answer.
    Forward(Sent, Verdict),
}

impl Door {
    /// Whether a peer is a proxy that is trusted.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.live.load().trusts(peer)
    }

    /// Answers a request.
    #[cfg(not(bare))]
    pub(super) fn answer(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        peer: &Peer,
        watch: &Arc<Watch>,
    ) -> Answering {
        // Before anything could show them.
        mark_sensitive(request.headers_mut());
        let in_flight = watch.begin(request.version() == Version::HTTP_2);
        let live = self.live.load();
        let trusted = live.trusts(peer.ip());
        let place = self.spans.as_ref();
        let place = place.map(|spans| spans.place(request.headers(), trusted));
        let mut log = Entry::begin(&request, peer.ip(), live.access_log, place);
        let method = request.method().clone();
        let (sent, verdict) = match self.decide(&live, request, peer, place, &mut log) {
            Step::Answer(answer) => return Answering::now(self.finished(answer, log, in_flight)),
            Step::Forward(sent, verdict) => (sent, verdict),
        };
        let watch = Arc::clone(watch);
        let patience = live.upstream_timeout;
        let mut awaited = Awaited {
            door: Arc::clone(self),
            log,
        };
        Answering::later(async move {
            let answer = sent.answer(patience, watch).await;
            let door = &awaited.door;
            let answer = answer.unwrap_or_else(|error| door.failed(error, &method));
            let answer = door.dress(answer, &verdict);
            let log = awaited.log.take();
            awaited.door.finished(answer, log, in_flight)
        })
    }

    /// Everything up to the upstream. Nothing here waits, so that a request
    /// sees one state of the settings.
    fn decide(
        &self,
        live: &Live,
        request: Request<Incoming>,
        peer: &Peer,
        place: Option<Place>,
        log: &mut Option<Entry>,
    ) -> Step {
        let gate = &live.gate;
        let method = request.method();
        let path = request.uri().path();
        let headers = request.headers();
        if let Some(problem) = misdirected(&request) {
            return Step::Answer(problem.answer(method));
        }
        if path.starts_with(OWN_PATHS) {
            return Step::Answer(match Asker::of(path) {
                Some(asker) => self.authorize(live, asker, &request, peer, log),
                None => Problem::NO_SUCH_ENDPOINT.answer(method),
            });
        }
        if let Some(answer) = gate.preflight(method, headers) {
            self.counters.preflight();
            return Step::Answer(answer.map(AnswerBody::text));
        }
        let client = gate.client(peer.ip(), headers);
        let verdict = self.judge(live, method, path, headers, client, log);
        if let Some(refusal) = gate.refusal(&verdict, method) {
            return Step::Answer(refusal.map(AnswerBody::text));
        }
        let Some(proxy) = &self.proxy else {
            let mut answer = answer::allowed(gate.engine(), verdict.decision(), method, path);
            gate.render(&verdict, answer.headers_mut());
            return Step::Answer(answer);
        };
        let behalf = live.behalf(peer.ip(), client);
        let sent = proxy.send(request, peer, behalf, |headers| {
            gate.cleanse(headers);
            gate.identify(&verdict, headers);
            if let Some(place) = place {
                place.tell(headers);
            }
        });
        Step::Forward(sent, verdict)
    }

    /// Answers another proxy's question.
    fn authorize(
        &self,
        live: &Live,
        asker: Asker,
        request: &Request<Incoming>,
        peer: &Peer,
        log: &mut Option<Entry>,
    ) -> Response<AnswerBody> {
        let (gate, method, headers) = (&live.gate, request.method(), request.headers());
        let path = request.uri().path();
        let trusted = live.trusts(peer.ip());
        let original = match authorize::original(asker, method, path, headers, peer.ip(), trusted) {
            Ok(original) => original,
            Err(problem) => return problem.answer(method),
        };
        if let Some(entry) = log {
            entry.about(&original.method, &original.path);
        }
        if let Some(answer) = gate.preflight(&original.method, headers) {
            self.counters.preflight();
            return authorize::preflight_answer(asker, answer, method);
        }
        let client = gate.client(peer.ip(), headers);
        let verdict = self.judge(live, &original.method, &original.path, headers, client, log);
        authorize::answer(gate, asker, &verdict, method)
    }

    /// Decides, counts the decision, and notes it for the log.
    fn judge(
        &self,
        live: &Live,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        client: ClientAddr,
        log: &mut Option<Entry>,
    ) -> Verdict {
        debug_assert!(
            is_hidden(headers, API_KEY_HEADER) && is_hidden(headers, AUTHORIZATION.as_str()),
            "what is secret was marked so at first"
        );
        let facts = RequestFacts {
            method,
            path: path.as_bytes(),
            headers,
            client,
        };
        let verdict = self.counters.deciding(|| live.gate.decide(&facts));
        let decision = verdict.decision();
        self.counters
            .decided(decision.reason(), decision.shadowed());
        self.counters.noted(decision);
        if let Some(entry) = log {
            entry.decided(client.ip(), &live.gate, &verdict);
        }
        verdict
    }

    /// An answer on its way: counted, logged, and under way until it has been
    /// sent.
    pub(super) fn finished(
        &self,
        answer: Response<AnswerBody>,
        log: Option<Entry>,
        in_flight: InFlight,
    ) -> Response<AnswerBody> {
        self.counters.answered(answer.status());
        if let Some(entry) = log {
            entry.finish(answer.status(), self.spans.as_deref());
        }
        answer.map(|body| body.holding(in_flight))
    }

    /// The answer where the service behind gave none.
    pub(super) fn failed(&self, error: ForwardError, method: &Method) -> Response<AnswerBody> {
        if let ForwardError::Upstream(how, _) = error {
            self.counters.upstream_failed(how);
        }
        error.problem().answer(method)
    }

    /// Puts the verdict's headers into the answer to an admitted request. One
    /// that changes the protocol stays as it is but for them.
    fn dress(&self, mut answer: Response<AnswerBody>, verdict: &Verdict) -> Response<AnswerBody> {
        self.live.load().gate.render(verdict, answer.headers_mut());
        answer
    }
}

/// What is wrong with where a request is to go, if anything is: such a request
/// is refused whatever its key.
pub(super) fn misdirected<B>(request: &Request<B>) -> Option<Problem> {
    if request.method() == Method::CONNECT {
        Some(Problem::NO_CONNECT)
    } else if has_bad_host(request) {
        Some(Problem::BAD_HOST)
    } else if names_a_user(request.uri()) {
        Some(Problem::BAD_TARGET)
    } else if is_coded(request.headers()) {
        Some(Problem::CODED)
    } else {
        None
    }
}

/// Whether the values of a header were marked as sensitive, as those that a
/// secret stands in are before a door is asked.
pub(super) fn is_hidden(headers: &HeaderMap, name: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.all(HeaderValue::is_sensitive)
}

/// Whether a target has user information, which RFC 9110, section 4.2.4, would
/// have treated as an error: it is there to have a host mistaken.
fn names_a_user(target: &Uri) -> bool {
    target
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
}

/// Whether a body comes in another transfer coding than `chunked`, which we would
/// take off and not the other: RFC 9112, section 6.1, has such answered 501.
fn is_coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = codings.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether it is unclear which host an HTTP/1 request is for: RFC 9112,
/// section 3.2, has such answered 400.
fn has_bad_host<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    match request.version() {
        Version::HTTP_11 => hosts != 1,
        _ => hosts > 1,
    }
}
