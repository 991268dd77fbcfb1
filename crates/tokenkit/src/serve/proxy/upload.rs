//! A request's body on its way to the upstream, and the patience with it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use engine::wire::is_reserved_header;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::forwarded;
use super::slots::Slot;

/// When a body last moved, and who holds it up.
///
/// All of it is read and written on the connection's own thread, so that
/// Relaxed suffices throughout.
#[derive(Debug)]
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds from `begun` to the last piece of the body.
    last_ms: AtomicU64,
    /// Whether the upstream would take more than the client has sent.
    wants_more: AtomicBool,
    /// Whether the client broke off, or its body is none.
    broken: AtomicBool,
    /// That of the connection upstream, which an answer that came before the end
    /// of the body does not end.
    slot: OnceLock<Arc<Slot>>,
}

/// Who was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// The client, with the rest of its body.
    Client,
    /// The upstream, with its answer.
    Upstream,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            wants_more: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            slot: OnceLock::new(),
        })
    }

    /// Notes that there is a connection, whose slot is kept until the body has
    /// gone up.
    pub(super) fn begin(&self, slot: &Arc<Slot>) {
        let _ = self.slot.set(Arc::clone(slot));
        self.moved();
    }

    /// Notes that the body moves.
    fn moved(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Whether the body could not be read to its end.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Waits for an answer as long as the body moves, and then for `patience`
    /// more.
    pub(super) async fn outlast<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, Late> {
        let mut answer = std::pin::pin!(answer);
        let mut deadline = self.begun + patience;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = sleep_until(deadline) => {}
            }
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let extended = self.begun + last + patience;
            if extended <= deadline {
                return Err(if self.wants_more.load(Ordering::Relaxed) {
                    Late::Client
                } else {
                    Late::Upstream
                });
            }
            deadline = extended;
        }
    }
}

/// A body that is passed on as it comes.
pub(super) struct Upload {
    body: Incoming,
    pulse: Arc<Pulse>,
}

impl Upload {
    pub(super) fn new(body: Incoming, pulse: Arc<Pulse>) -> Self {
        Self { body, pulse }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let frame = frame.map_ok(cleansed);
        let pulse = &self.pulse;
        pulse
            .wants_more
            .store(frame.is_pending(), Ordering::Relaxed);
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            pulse.broken.store(true, Ordering::Relaxed);
        }
        if frame.is_ready() {
            pulse.moved();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of a body, without what a client must not tell the service behind:
/// some take what comes after a body for headers.
fn cleansed(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            super::remove_all(&mut trailers, is_forged);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// Whether a trailer is a header that we set or take out, in any spelling, or
/// that says who asks and whom.
fn is_forged(name: &HeaderName) -> bool {
    is_reserved_header(name.as_str().as_bytes())
        || forwarded::tells(name).is_some()
        || [AUTHORIZATION, COOKIE, HOST].contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn patience_starts_anew_with_every_piece() {
        let pulse = Pulse::new();
        let other = Arc::clone(&pulse);
        let moving = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                let ms = other.begun.elapsed().as_millis() as u64;
                other.last_ms.store(ms, Ordering::Relaxed);
            }
        });
        let never = std::future::pending::<()>();
        assert_eq!(pulse.outlast(PATIENCE, never).await, Err(Late::Upstream));
        assert_eq!(pulse.begun.elapsed().as_secs(), 50);
        moving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_who_holds_it_up_is_named() {
        let pulse = Pulse::new();
        pulse.wants_more.store(true, Ordering::Relaxed);
        let never = std::future::pending::<()>();
        assert_eq!(pulse.outlast(PATIENCE, never).await, Err(Late::Client));
        assert_eq!(pulse.begun.elapsed().as_secs(), 10);
        assert_eq!(Pulse::new().outlast(PATIENCE, async { 1 }).await, Ok(1));
    }
}
