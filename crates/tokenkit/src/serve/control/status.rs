//! Health, readiness and metrics: alive while requests are not yet or no longer
//! taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use engine::{Engine, Reason};
use http::{Method, Response, StatusCode};
use store::Health;

use crate::serve::answer::{self, Problem};
use crate::serve::body::AnswerBody;
use crate::serve::metrics::{self, Counters, Gauges, Totals};
use crate::serve::refusals::{self, Refused};
use crate::serve::usage::UsageHealth;

/// The media type of Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What the admin address tells about.
#[derive(Default)]
pub(crate) struct Status {
    /// Whether requests should be sent here.
    ready: AtomicBool,
    /// What there is to count, once the keys are loaded.
    parts: OnceLock<Parts>,
    /// What is counted from the start on.
    totals: Arc<Totals>,
}

/// What is told about once it is there.
pub(crate) struct Parts {
    pub(crate) engine: Arc<Engine>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) store: Arc<Health>,
    pub(crate) usage: Arc<UsageHealth>,
}

impl Status {
    /// All is loaded and started.
    pub(crate) fn started(&self, parts: Parts) {
        if self.parts.set(parts).is_ok() {
            self.set_ready(true);
        }
    }

    /// What is counted once for the whole process.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Says whether requests should be sent here.
    pub(crate) fn set_ready(&self, ready: bool) {
        // Relaxed, here and below: the flag publishes nothing but itself.
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether requests should be sent here: not before all is loaded, not while
    /// stopping, and not where revocations do not arrive.
    fn is_ready(&self) -> bool {
        let store = self.parts.get().map(|parts| &parts.store);
        store.is_some_and(|store| store.is_current()) && self.ready.load(Ordering::Relaxed)
    }

    fn exposition(&self) -> String {
        let Some(parts) = self.parts.get() else {
            return metrics::exposition(&[], &self.totals, Gauges::default());
        };
        let gauges = Gauges {
            engine: Some(parts.engine.stats(parts.engine.clock().now())),
            store_lag_s: Some(parts.store.lag().as_secs_f64()),
            store_errors: parts.store.errors(),
            lets_anybody_in: parts.engine.shadow().lets_anybody_in(),
            ledger_fault: parts.engine.ledger_fault().is_some(),
            usage: Some(parts.usage.gauges()),
        };
        metrics::exposition(&parts.counters, &self.totals, gauges)
    }

    /// Decisions so far, by their reason.
    pub(crate) fn decisions(&self) -> Vec<(Reason, u64)> {
        let counters = self.parts.get().map(|parts| &parts.counters[..]);
        metrics::decided(counters.unwrap_or_default())
    }

    /// Which keys were refused in an hour, and about how often.
    pub(crate) fn refused(&self, hour: u32) -> Vec<Refused> {
        let counters = self.parts.get().map(|parts| &parts.counters[..]);
        let threads = counters.unwrap_or_default().iter();
        refusals::all(threads.map(|thread| thread.refusals()), hour)
    }

    /// Whether the server lives.
    pub(crate) fn health(method: &Method) -> Response<AnswerBody> {
        read_only(method, || (StatusCode::OK, TEXT, "ok\n".into()))
    }

    /// Whether requests should be sent here.
    pub(crate) fn readiness(&self, method: &Method) -> Response<AnswerBody> {
        read_only(method, || match self.is_ready() {
            true => (StatusCode::OK, TEXT, "ready\n".into()),
            false => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n".into()),
        })
    }

    /// What is counted.
    pub(crate) fn metrics(&self, method: &Method) -> Response<AnswerBody> {
        read_only(method, || (StatusCode::OK, EXPOSITION, self.exposition()))
    }
}

/// What can be read, by `GET` and `HEAD` alone.
fn read_only(
    method: &Method,
    text: impl FnOnce() -> (StatusCode, &'static str, String),
) -> Response<AnswerBody> {
    if method != Method::GET && method != Method::HEAD {
        return Problem::READ_ONLY.answer(method);
    }
    let (status, media_type, text) = text();
    answer::text(status, media_type, text, method)
}
