//! How long a client connection may hold its place: what is seen of one, and
//! the deadline that follows from it.
//!
//! hyper's own header timeout starts with the wait for a request and so cannot
//! be shorter than the time that an idle connection is kept. Here the two are
//! told apart: nothing at all or half a request head is given the header
//! timeout, silence between requests the idle timeout, and so is a client that
//! does not take its answers: it leaves the socket full or, with HTTP/2, opens
//! no window for any of them. Whatever a service does within a request is not
//! limited here.
//!
//! Nothing is done to a timer for a request: a connection looks at what it
//! has seen a few times per header timeout, so that a deadline is late by at
//! most a quarter of that, save the first, which is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::Place;
use super::proxy::Share;

/// The time limits of a client connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the opening, or the first byte of a later request, to the end of
    /// that request's head.
    pub(super) header: Duration,
    /// Between requests, or for a client that takes nothing of an answer.
    pub(super) idle: Duration,
}

/// What is seen of one connection.
///
/// All of it is read and written on the connection's own thread, so that
/// Relaxed suffices throughout; the atomics are what makes it `Send`.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Requests under way; with HTTP/1.1 one at most.
    in_flight: AtomicU32,
    /// Those of them that wait for us or for the service behind; the others
    /// have more to send than the client takes.
    ours: AtomicU32,
    /// Requests begun.
    begun: AtomicU32,
    /// Bytes read from the client.
    read: AtomicU64,
    /// `read` at the end of the last request: what comes after is the head of
    /// the next.
    read_before: AtomicU64,
    /// Bytes that the client's side took.
    written: AtomicU64,
    /// Whether the last write found no room.
    blocked: AtomicBool,
    /// Whether frames may come between requests.
    http2: AtomicBool,
    /// Whether it is HTTP no more.
    tunnel: AtomicBool,
    /// Whether it is ended for what the client sent too much of.
    flooded: AtomicBool,
    /// Given up with the last that watches: the connection, a request of it,
    /// or the tunnel that it has become.
    place: Option<Place>,
}

/// One request under way, up to the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight {
    watch: Arc<Watch>,
    is_ours: bool,
}

/// What a connection is doing; a change begins a new deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No request has come yet.
    Opening,
    /// At work, and not held up by the client.
    Serving,
    /// The client reads nothing. The number is what it took until now.
    Blocked(u64),
    /// Between requests: how many were begun, and what the client took.
    Idle(u32, u64),
    /// In the head of another request, which has this number.
    Head(u32),
}

impl Watch {
    /// Watches a connection just opened, which has its place while this is
    /// shared by anybody.
    pub(super) fn new(place: Place) -> Self {
        Self {
            place: Some(place),
            ..Self::default()
        }
    }

    /// Of the connections to the service behind.
    pub(super) fn share(&self) -> Share {
        let place = self.place.as_ref();
        place.map(Place::share).unwrap_or_default()
    }

    /// Notes that a request has come.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> InFlight {
        self.http2.store(http2, Ordering::Relaxed);
        step(&self.begun, 1);
        step(&self.in_flight, 1);
        let mut in_flight = InFlight {
            watch: Arc::clone(self),
            is_ours: false,
        };
        in_flight.set_ours(true);
        in_flight
    }

    /// Notes that the connection has changed its protocol: it is as one request
    /// that is under way until its end.
    pub(super) fn begin_tunnel(self: &Arc<Self>) -> InFlight {
        self.tunnel.store(true, Ordering::Relaxed);
        self.begin(false)
    }

    /// Whether it has.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// Notes that the connection is ended for a flood.
    pub(super) fn flooded(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(super) fn has_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Notes bytes that came from the client.
    pub(super) fn read(&self, bytes: usize) {
        add(&self.read, bytes);
    }

    /// Notes bytes that the client's side took, `None` where it took none.
    pub(super) fn wrote(&self, bytes: Option<usize>) {
        self.blocked.store(bytes.is_none(), Ordering::Relaxed);
        add(&self.written, bytes.unwrap_or(0));
    }

    /// The number of the request whose head comes next or is coming; `None` while
    /// one is under way, or where frames may come in between.
    pub(super) fn head(&self) -> Option<u32> {
        let is_none =
            self.in_flight.load(Ordering::Relaxed) > 0 || self.http2.load(Ordering::Relaxed);
        (!is_none).then(|| self.begun.load(Ordering::Relaxed))
    }

    fn phase(&self) -> Phase {
        let begun = self.begun.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        if begun == 0 {
            Phase::Opening
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            let none_is_ours = self.ours.load(Ordering::Relaxed) == 0;
            if self.blocked.load(Ordering::Relaxed) || none_is_ours {
                Phase::Blocked(written)
            } else {
                Phase::Serving
            }
        } else if self.read.load(Ordering::Relaxed) != self.read_before.load(Ordering::Relaxed)
            && !self.http2.load(Ordering::Relaxed)
        {
            Phase::Head(begun)
        } else {
            Phase::Idle(begun, written)
        }
    }

    /// Waits until the connection, opened just now, has had its time.
    pub(super) async fn expired(&self, limits: Limits) {
        let tick = limits.header.min(limits.idle) / 4;
        let mut phase = self.phase();
        let mut since = Instant::now();
        loop {
            let now = self.phase();
            if now != phase {
                phase = now;
                since = Instant::now();
            }
            let limit = match phase {
                Phase::Opening | Phase::Head(_) => Some(limits.header),
                Phase::Idle(..) | Phase::Blocked(_) => Some(limits.idle),
                Phase::Serving => None,
            };
            let left = limit.map(|limit| limit.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) {
                return;
            }
            sleep(left.map_or(tick, |left| left.min(tick))).await;
        }
    }
}

impl InFlight {
    /// Says whose turn it is: ours or that of the service behind, or the
    /// client's, to take what there is.
    pub(super) fn set_ours(&mut self, is_ours: bool) {
        match (self.is_ours, is_ours) {
            (false, true) => step(&self.watch.ours, 1),
            (true, false) => step(&self.watch.ours, -1),
            _ => return,
        }
        self.is_ours = is_ours;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.set_ours(false);
        let watch = &self.watch;
        watch
            .read_before
            .store(watch.read.load(Ordering::Relaxed), Ordering::Relaxed);
        step(&watch.in_flight, -1);
    }
}

/// Moves a counter that only this thread writes, without the lock on its line
/// that a step between threads would take.
fn step(counter: &AtomicU32, by: i32) {
    let moved = counter.load(Ordering::Relaxed).wrapping_add_signed(by);
    counter.store(moved, Ordering::Relaxed);
}

/// Adds to a counter that only this thread writes.
fn add(counter: &AtomicU64, more: usize) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(more as u64);
    counter.store(sum, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        header: Duration::from_secs(8),
        idle: Duration::from_secs(60),
    };

    /// Seconds until a connection expires, while `script` happens to it;
    /// `None` if it has not after an hour.
    async fn lifetime(script: impl AsyncFnOnce(&Arc<Watch>)) -> Option<u64> {
        let watch = Arc::new(Watch::default());
        let begin = Instant::now();
        let other = Arc::clone(&watch);
        let expired = tokio::spawn(async move { other.expired(LIMITS).await });
        script(&watch).await;
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour, expired)
            .await
            .ok()
            .map(|_| begin.elapsed().as_secs())
    }

    async fn pause(seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_gets_the_header_timeout() {
        assert_eq!(lifetime(async |_| {}).await, Some(8));
        // Single bytes buy no time.
        let dripping = async |watch: &Arc<Watch>| {
            for _ in 0..7 {
                pause(1).await;
                watch.read(1);
            }
        };
        assert_eq!(lifetime(dripping).await, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_the_idle_timeout() {
        let one = async |watch: &Arc<Watch>| {
            watch.read(100);
            drop(watch.begin(false));
        };
        let lived = lifetime(one).await.unwrap();
        assert!((60..=62).contains(&lived), "{lived}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_gets_the_header_timeout() {
        let half = async |watch: &Arc<Watch>| {
            watch.read(100);
            drop(watch.begin(false));
            pause(20).await;
            for _ in 0..30 {
                watch.read(1);
                pause(1).await;
            }
        };
        let lived = lifetime(half).await.unwrap();
        assert!(lived <= 51, "{lived}");
        let watch = Arc::new(Watch::default());
        watch.read(1);
        assert_eq!(watch.head(), Some(0));
        let under_way = watch.begin(false);
        assert_eq!(watch.head(), None);
        drop(under_way);
        watch.read(1);
        assert_eq!(watch.phase(), Phase::Head(1));
        assert_eq!(watch.head(), Some(1));
        // Frames of HTTP/2 are no head.
        drop(watch.begin(true));
        watch.read(1);
        assert_eq!(watch.phase(), Phase::Idle(2, 0));
        assert_eq!(watch.head(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_its_time_unless_the_client_stops_reading() {
        let mut held = None;
        let slow = async |watch: &Arc<Watch>| held = Some(watch.begin(false));
        assert_eq!(lifetime(slow).await, None);
        let stuck = async |watch: &Arc<Watch>| {
            held = Some(watch.begin(false));
            watch.wrote(Some(10));
            watch.wrote(None);
        };
        let lived = lifetime(stuck).await.unwrap();
        assert!((60..=62).contains(&lived), "{lived}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_opens_no_window_is_given_up() {
        let mut held = Vec::new();
        let stuck = async |watch: &Arc<Watch>| {
            for _ in 0..3 {
                let mut in_flight = watch.begin(true);
                in_flight.set_ours(false);
                held.push(in_flight);
            }
            pause(30).await;
            watch.wrote(Some(10));
        };
        let lived = lifetime(stuck).await.unwrap();
        assert!((90..=92).contains(&lived), "{lived}");
        // One that waits for us is reason enough to go on.
        let working = async |watch: &Arc<Watch>| {
            held.push(watch.begin(true));
            let mut in_flight = watch.begin(true);
            in_flight.set_ours(false);
            held.push(in_flight);
        };
        assert_eq!(lifetime(working).await, None);
    }
}
