//! The way of an admitted request to the service behind, and of its answer
//! back. Bodies stream through both ways; neither is ever held as a whole.
//!
//! HTTP/1.1 is spoken upstream, over connections that each thread keeps for
//! itself. A request is sent once: only where a kept connection had gone away
//! before any of it was sent, another is tried. There are only so many of them:
//! a request that finds none free waits for one, as long as for an answer.

mod cookies;
mod forwarded;
mod hop;
mod slots;
mod tunnel;
mod upload;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub(super) use self::forwarded::{Behalf, Peer};
use self::slots::Slots;
pub(super) use self::slots::{Share, Slot};
use self::upload::{Late, Pulse, Upload};
use super::answer::Problem;
use super::body::AnswerBody;
use super::keep_alive;
use super::metrics::UpstreamError;
use super::watch::Watch;
use crate::settings::Server;

/// How long a connection to the upstream is kept without use. Shorter than the
/// five seconds after which many servers close one, lest a request meet that.
const KEPT: Duration = Duration::from_secs(4);
/// Read and write buffers of a connection to the upstream.
const BUFFER: usize = 64 * 1024;

/// One thread's connections to the service behind.
pub(super) struct Proxy {
    client: Client<HttpConnector, Upload>,
    upstream: Authority,
    slots: Arc<Slots>,
}

/// A request on its way upstream.
pub(super) struct Sent {
    answer: ResponseFuture,
    slots: Arc<Slots>,
    pulse: Arc<Pulse>,
    /// The client's connection, if it offered to change the protocol.
    client: Option<OnUpgrade>,
}

/// Why there is no answer of the upstream's.
#[derive(Clone, Copy, Debug)]
pub(super) enum ForwardError {
    /// The client's own fault.
    Client(Problem),
    /// The upstream's.
    Upstream(UpstreamError, Problem),
}

impl ForwardError {
    /// What the client is told.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Client(problem) | Self::Upstream(_, problem) => problem,
        }
    }
}

impl Proxy {
    /// At most so many connections to an upstream, none of them open yet.
    pub(super) fn new(upstream: Authority, server: &Server, connections: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(server.connect_timeout));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(keep_alive::IDLE));
        connector.set_keepalive_interval(Some(keep_alive::INTERVAL));
        connector.set_keepalive_retries(Some(keep_alive::RETRIES));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .http1_max_buf_size(BUFFER)
            .set_host(false)
            .build(connector);
        Self {
            client,
            upstream,
            slots: Arc::new(Slots::new(connections)),
        }
    }

    /// Sends an admitted request: what is about the client's connection goes,
    /// who the client is comes. `identify` is called last, so that no header of
    /// the client's can take out again what it sets.
    pub(super) fn send(
        &self,
        mut request: Request<Incoming>,
        peer: &Peer,
        behalf: Option<Behalf>,
        identify: impl FnOnce(&mut HeaderMap),
    ) -> Sent {
        let offered =
            hop::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11);
        let client = offered.as_ref().map(|_| hyper::upgrade::on(&mut request));

        let (mut parts, body) = request.into_parts();
        hop::remove(&mut parts.headers);
        cookies::pass_on(&mut parts.headers, parts.version);
        // Our own reading of the body answers the expectation.
        parts.headers.remove(EXPECT);
        if let Some(protocol) = offered {
            hop::set_upgrade(&mut parts.headers, protocol);
        }
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            // Said outright, or what a `GET` carries would be left out.
            let chunked = HeaderValue::from_static("chunked");
            parts.headers.insert(TRANSFER_ENCODING, chunked);
        }
        let host = match parts.uri.authority() {
            // The target counts, not the header beside it (RFC 9112, 3.2.2).
            Some(authority) => Some(authority.as_str()),
            None if parts.headers.contains_key(HOST) => None,
            // HTTP/1.1 wants the header even where a client of HTTP/1.0 sent
            // none.
            None => Some(self.upstream.as_str()),
        };
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            parts.headers.insert(HOST, host);
        }
        forwarded::tell(&mut parts.headers, peer, behalf);
        identify(&mut parts.headers);

        parts.uri = self.target(parts.uri);
        parts.version = Version::HTTP_11;
        let pulse = Pulse::new();
        let request = Request::from_parts(parts, Upload::new(body, Arc::clone(&pulse)));
        Sent {
            answer: self.client.request(request),
            slots: Arc::clone(&self.slots),
            pulse,
            client,
        }
    }

    /// The same path and query at the upstream.
    fn target(&self, uri: Uri) -> Uri {
        let mut parts = uri.into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.upstream.clone());
        let root = || PathAndQuery::from_static("/");
        parts.path_and_query = Some(parts.path_and_query.unwrap_or_else(root));
        // A URI with all three parts is whole.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl Sent {
    /// Waits for the head of the answer. `patience` is the time for that,
    /// counted from when the request's body last moved, and before for a slot.
    pub(super) async fn answer(
        self,
        patience: Duration,
        watch: Arc<Watch>,
    ) -> Result<Response<AnswerBody>, ForwardError> {
        let Self {
            answer,
            slots,
            pulse,
            client,
        } = self;
        let Ok(slot) = timeout(patience, slots.take(watch.share())).await else {
            let how = UpstreamError::Busy;
            return Err(ForwardError::Upstream(how, Problem::UPSTREAM_BUSY));
        };
        let slot = Arc::new(slot);
        pulse.begin(&slot);
        let mut answer = match pulse.outlast(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if pulse.is_broken() => {
                return Err(ForwardError::Client(Problem::BROKEN_UPLOAD));
            }
            Ok(Err(error)) => return Err(failure(&error)),
            Err(Late::Client) => return Err(ForwardError::Client(Problem::UPLOAD_TIMEOUT)),
            Err(Late::Upstream) => return Err(late()),
        };
        *answer.version_mut() = Version::HTTP_11;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            hop::remove(answer.headers_mut());
            return Ok(answer.map(|body| AnswerBody::upstream(body, slot)));
        }
        let (Some(client), Some(protocol)) = (client, hop::upgrade(answer.headers())) else {
            let how = UpstreamError::Broken;
            return Err(ForwardError::Upstream(how, Problem::BAD_UPGRADE));
        };
        hop::remove(answer.headers_mut());
        hop::set_upgrade(answer.headers_mut(), protocol);
        let upstream = hyper::upgrade::on(&mut answer);
        tunnel::open(client, upstream, (watch.begin_tunnel(), slot));
        Ok(answer.map(|_| AnswerBody::empty()))
    }
}

/// Removes the headers whose names are of a kind.
fn remove_all(headers: &mut HeaderMap, are: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| are(name)).cloned().collect();
    for name in &names {
        headers.remove(name);
    }
}

fn late() -> ForwardError {
    ForwardError::Upstream(UpstreamError::Timeout, Problem::UPSTREAM_TIMEOUT)
}

/// Tells a refusal from a time-out and a broken answer.
fn failure(error: &hyper_util::client::legacy::Error) -> ForwardError {
    tracing::warn!(error = %Causes(error), "the upstream failed");
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return late();
        }
        cause = error.source();
    }
    let how = if error.is_connect() {
        UpstreamError::Connect
    } else {
        UpstreamError::Broken
    };
    ForwardError::Upstream(how, Problem::UPSTREAM_FAILED)
}

/// An error with its causes, in one line.
struct Causes<'a>(&'a dyn Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
