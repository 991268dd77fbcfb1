//! The task that sends spans to a collector: OTLP over HTTP, in JSON.
//!
//! What the collector does not take at once is tried again twice, as the
//! protocol has it for 429, 502, 503, 504 and a broken connection; then it is
//! dropped and counted. Meanwhile the queue fills, and what no longer fits is
//! counted too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::otlp::{self, Span};
use crate::serve::metrics::Totals;
use crate::settings::Collector;

/// Spans in one message.
const BATCH: usize = 512;
/// How long the first span of a message waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long the collector may take for a message.
const PATIENCE: Duration = Duration::from_secs(10);
/// The waits before a message is tried again.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// How often a collector that takes nothing is told of.
const REPEAT: Duration = Duration::from_secs(60);
/// The most that is read of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// A collector and the way to it.
pub(super) struct Exporter {
    client: Client<HttpConnector, Full<Bytes>>,
    target: Uri,
    service_name: String,
    totals: Arc<Totals>,
    /// When it was last logged that the collector takes nothing.
    told: Option<Instant>,
}

/// Why a message was not taken.
enum Refused {
    /// It may be later.
    Now(String),
    /// It never will be.
    Ever(String),
}

impl Exporter {
    pub(super) fn new(collector: &Collector, service_name: &str, totals: Arc<Totals>) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .build_http(),
            target: collector.traces(),
            service_name: service_name.to_owned(),
            totals,
            told: None,
        }
    }

    /// Sends what comes, until nothing can come any more.
    pub(super) async fn run(mut self, mut queue: Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = queue.recv().await {
            batch.push(first);
            let fill = async {
                while batch.len() < BATCH {
                    match queue.recv().await {
                        Some(span) => batch.push(span),
                        None => return,
                    }
                }
            };
            // Full or not, it goes now.
            let _ = timeout(LINGER, fill).await;
            self.export(&batch).await;
            batch.clear();
        }
    }

    async fn export(&mut self, batch: &[Span]) {
        let message = Bytes::from(otlp::message(&self.service_name, batch).to_string());
        let count = batch.len() as u64;
        let mut pauses = AGAIN.iter();
        let why = loop {
            match self.post(message.clone()).await {
                Ok(refused) => {
                    self.totals.spans().sent(count.saturating_sub(refused));
                    self.totals.spans().not_taken(refused.min(count));
                    if self.told.take().is_some() {
                        tracing::info!("the collector takes spans again");
                    }
                    return;
                }
                Err(Refused::Ever(why)) => break why,
                Err(Refused::Now(why)) => match pauses.next() {
                    Some(pause) => sleep(*pause).await,
                    None => break why,
                },
            }
        };
        self.totals.spans().not_taken(count);
        if self.told.is_none_or(|told| told.elapsed() >= REPEAT) {
            self.told = Some(Instant::now());
            tracing::warn!(
                collector = %self.target,
                error = why,
                "spans were dropped: the collector does not take them"
            );
        }
    }

    /// Sends one message; how many of its spans the collector refused.
    async fn post(&self, message: Bytes) -> Result<u64, Refused> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.target.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(message))
            .map_err(|error| Refused::Ever(error.to_string()))?;
        let exchange = async {
            let broken = |error: &dyn std::fmt::Display| Refused::Now(error.to_string());
            let sent = self.client.request(request).await;
            let answer = sent.map_err(|error| broken(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| broken(&error))?.to_bytes();
            Ok((status, body))
        };
        let late = || Refused::Now("it did not answer in time".into());
        let (status, body) = timeout(PATIENCE, exchange).await.map_err(|_| late())??;
        match status {
            status if status.is_success() => Ok(refused_of(&body)),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Refused::Now(format!("it answered {status}"))),
            status => Err(Refused::Ever(format!("it answered {status}"))),
        }
    }
}

/// How many spans an answer says were refused: a number, or the text of one.
fn refused_of(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let refused = &answer["partialSuccess"]["rejectedSpans"];
    let text = refused.as_str().and_then(|text| text.parse().ok());
    refused.as_u64().or(text).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_many_spans_were_refused() {
        for (answer, refused) in [
            ("", 0),
            ("{}", 0),
            (r#"{"partialSuccess":{"rejectedSpans":"7"}}"#, 7),
            (r#"{"partialSuccess":{"rejectedSpans":8}}"#, 8),
        ] {
            assert_eq!(refused_of(answer.as_bytes()), refused, "{answer}");
        }
    }
}
