//! The admin address: health, readiness and metrics, apart from the requests
//! that clients send, and alive while those are not yet or no longer taken.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::Engine;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use store::Health;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answer::{self, Problem};
use super::body::AnswerBody;
use super::metrics::{self, Counters, Gauges};
use crate::error::OperatorError;

/// The media type of Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Connections open at a time.
const MAX_CONNECTIONS: usize = 64;
/// The life of a connection, whatever it does.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a request's head may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a connection could not be taken.
const BACKOFF: Duration = Duration::from_millis(100);

/// What the admin address tells about.
#[derive(Default)]
pub(super) struct Status {
    /// Whether requests should be sent here.
    ready: AtomicBool,
    /// What there is to count, once the keys are loaded.
    parts: OnceLock<Parts>,
}

/// What is told about once it is there.
pub(super) struct Parts {
    pub(super) engine: Arc<Engine>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) store: Arc<Health>,
}

impl Status {
    /// All is loaded and started.
    pub(super) fn started(&self, parts: Parts) {
        if self.parts.set(parts).is_ok() {
            self.set_ready(true);
        }
    }

    /// Says whether requests should be sent here.
    pub(super) fn set_ready(&self, ready: bool) {
        // Relaxed, here and below: the flag publishes nothing but itself.
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether requests should be sent here: not before all is loaded, not while
    /// stopping, and not where revocations can no longer arrive.
    fn is_ready(&self) -> bool {
        let follows = self.parts.get().is_some_and(|parts| parts.store.follows());
        follows && self.ready.load(Ordering::Relaxed)
    }

    fn exposition(&self) -> String {
        let Some(parts) = self.parts.get() else {
            return metrics::exposition(&[], Gauges::default());
        };
        let gauges = Gauges {
            engine: Some(parts.engine.stats(parts.engine.clock().now())),
            store_lag_s: Some(parts.store.lag().as_secs_f64()),
            store_errors: parts.store.errors(),
            ledger_fault: parts.engine.ledger_fault().is_some(),
        };
        metrics::exposition(&parts.counters, gauges)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<AnswerBody> {
        const TEXT: &str = "text/plain; charset=utf-8";
        let method = request.method();
        if method != Method::GET && method != Method::HEAD {
            return Problem::READ_ONLY.answer(method);
        }
        match request.uri().path() {
            "/healthz" => answer::text(StatusCode::OK, TEXT, "ok\n", method),
            "/readyz" if self.is_ready() => answer::text(StatusCode::OK, TEXT, "ready\n", method),
            "/readyz" => answer::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n", method),
            "/metrics" => answer::text(StatusCode::OK, EXPOSITION, self.exposition(), method),
            _ => Problem::NO_SUCH_ENDPOINT.answer(method),
        }
    }
}

/// Serves the admin address on the current runtime, as long as that runs.
///
/// # Errors
///
/// The runtime does not take the socket.
pub(super) fn start(listener: TcpListener, status: Arc<Status>) -> Result<(), OperatorError> {
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|error| OperatorError::wrap("cannot serve the admin address", error))?;
    tokio::spawn(accept(listener, status));
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, status: Arc<Status>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(BACKOFF).await;
            continue;
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = status.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // However it ends, nobody needs to know.
            let _ = timeout(LIFETIME, connection).await;
            drop(place);
        });
    }
}
