//! Spans for OpenTelemetry: one for each request, where `otel.endpoint` names a
//! collector. Without one nothing of this is there.
//!
//! A span is put into a queue of a fixed length and sent by a task of the control
//! runtime ([`export`]). Where the queue is full the span is dropped and
//! counted: a collector that is slow or gone never holds up a request.
//!
//! The exporter is our own since the SDK's tells nobody how many spans it
//! dropped while it runs, and brings two dozen crates for one kind of message.

mod export;
mod otlp;
mod traceparent;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use http::header::HeaderMap;

use super::metrics::Totals;
use crate::settings::{Otel, Ratio};

pub(super) use self::otlp::Span;
pub(super) use self::traceparent::{Place, TraceId};

/// Spans that may wait to be sent.
const QUEUE: usize = 4096;
/// How long the last spans are waited for at the end.
const LAST: Duration = Duration::from_secs(3);

/// Where spans go.
pub(super) struct Spans {
    queue: Sender<Span>,
    ratio: Ratio,
    totals: Arc<Totals>,
}

/// The task that sends them.
pub(super) struct Exporting(JoinHandle<()>);

/// Starts sending spans on the current runtime, if a collector is named.
pub(super) fn start(otel: &Otel, totals: &Arc<Totals>) -> Option<(Arc<Spans>, Exporting)> {
    let collector = otel.endpoint.as_ref()?;
    let (queue, waiting) = mpsc::channel(QUEUE);
    let exporter = export::Exporter::new(collector, &otel.service_name, Arc::clone(totals));
    let spans = Spans {
        queue,
        ratio: otel.sample_ratio,
        totals: Arc::clone(totals),
    };
    let task = tokio::spawn(exporter.run(waiting));
    Some((Arc::new(spans), Exporting(task)))
}

impl Exporting {
    /// Waits until the last spans were sent, for some seconds at most. To be
    /// called when no [`Spans`] is left.
    pub(super) async fn finish(self) {
        if timeout(LAST, self.0).await.is_err() {
            tracing::warn!("the last spans could not be sent in time");
        }
    }
}

impl Spans {
    /// The place of a request in its trace: below the caller's span, if it says
    /// one. Whether it is sampled, a trusted proxy says; of others the ratio of
    /// the settings is taken, lest any client fill the queue: so not by a number
    /// that the client chose.
    pub(super) fn place(&self, headers: &HeaderMap, trusted: bool) -> Place {
        Place::of(headers, |trace, caller| match caller {
            Some(sampled) if trusted => sampled,
            Some(_) => self.ratio.takes(fastrand::u64(..) >> 1),
            None => self.ratio.takes(trace.low_bits()),
        })
    }

    /// Hands a span over to be sent. Never waits.
    pub(super) fn send(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.totals.spans().not_queued();
        }
    }
}
