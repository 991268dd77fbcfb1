//! What the threads that serve requests count.
//!
//! Every thread counts on cache lines of its own; whoever scrapes adds them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use engine::{Decision, Reason};

use super::histogram::{DECISION, Histogram, Snapshot};
use crate::serve::refusals::Refusals;

/// The counters of one thread. Only that thread writes, so that Relaxed loses
/// nothing throughout; a scrape sees each number at some moment of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(in crate::serve) struct Counters {
    /// By the number of the reason.
    decisions: [AtomicU64; Reason::ALL.len() + 1],
    /// Of the allowed, those that a refusal in shadow would have been.
    shadowed: [AtomicU64; Reason::ALL.len() + 1],
    /// Decisions begun.
    begun: AtomicU64,
    decided_in: Histogram,
    /// Which keys were refused: for people alone, never a label.
    refusals: Refusals,
    preflights: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    turned_away: AtomicU64,
    /// By the hundreds of the status.
    responses: [AtomicU64; 6],
    upstream: [AtomicU64; UpstreamError::ALL.len()],
}

/// One in so many decisions has its time taken, the first among them: to read the
/// clock twice takes some 70 ns, a twentieth of all that the gate adds to a
/// request. A prime, lest requests that alternate be timed on one side alone.
const TIMED: u64 = 17;

/// How an upstream can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum UpstreamError {
    /// No connection was made.
    Connect,
    /// No answer came in time.
    Timeout,
    /// It broke off, or spoke no HTTP.
    Broken,
    /// Every connection to it that there may be was in use, or every one that
    /// the client's address may have.
    Busy,
}

impl UpstreamError {
    pub(super) const ALL: [Self; 4] = [Self::Connect, Self::Timeout, Self::Broken, Self::Busy];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Busy => "busy",
        }
    }
}

impl Counters {
    /// Runs what decides, and takes the time of one in [`TIMED`].
    #[inline]
    pub(in crate::serve) fn deciding<T>(&self, decide: impl FnOnce() -> T) -> T {
        let number = self.begun.load(Ordering::Relaxed);
        count(&self.begun);
        if !number.is_multiple_of(TIMED) {
            return decide();
        }
        let begun = Instant::now();
        let decided = decide();
        self.decided_in.record(&DECISION, begun.elapsed());
        decided
    }

    pub(in crate::serve) fn decided(&self, reason: Reason, shadowed: Option<Reason>) {
        count(&self.decisions[reason as usize]);
        if let Some(shadowed) = shadowed {
            count(&self.shadowed[shadowed as usize]);
        }
    }

    /// Notes which key was refused, where one was.
    pub(in crate::serve) fn noted(&self, decision: &Decision) {
        let reason = decision.reason();
        if let Some(key) = decision.key()
            && reason != Reason::Allowed
        {
            self.refusals.count(key, reason);
        }
    }

    /// Which keys were refused.
    pub(in crate::serve) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(in crate::serve) fn preflight(&self) {
        count(&self.preflights);
    }

    pub(in crate::serve) fn accepted(&self) {
        count(&self.accepted);
    }

    pub(in crate::serve) fn closed(&self) {
        count(&self.closed);
    }

    /// A connection that its address could not have.
    pub(in crate::serve) fn turned_away(&self) {
        count(&self.turned_away);
    }

    pub(in crate::serve) fn answered(&self, status: http::StatusCode) {
        // Of other hundreds there is none that HTTP knows.
        if let Some(counter) = self.responses.get(usize::from(status.as_u16() / 100)) {
            count(counter);
        }
    }

    pub(in crate::serve) fn upstream_failed(&self, how: UpstreamError) {
        count(&self.upstream[how as usize]);
    }
}

/// Adds one to a counter that only this thread writes.
fn count(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// The counters of all threads, to be added up.
#[derive(Clone, Copy)]
pub(super) struct All<'a>(pub(super) &'a [Arc<Counters>]);

impl All<'_> {
    fn sum(self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let read = |thread: &Arc<Counters>| counter(thread).load(Ordering::Relaxed);
        self.0.iter().map(read).sum()
    }

    pub(super) fn decisions(self, reason: Reason) -> u64 {
        self.sum(|thread| &thread.decisions[reason as usize])
    }

    pub(super) fn shadowed(self, reason: Reason) -> u64 {
        self.sum(|thread| &thread.shadowed[reason as usize])
    }

    pub(super) fn decided_in(self) -> Snapshot {
        Snapshot::of(&DECISION, self.0.iter().map(|thread| &thread.decided_in))
    }

    pub(super) fn preflights(self) -> u64 {
        self.sum(|thread| &thread.preflights)
    }

    /// Connections accepted, and those of them that are open.
    pub(super) fn connections(self) -> (u64, u64) {
        // `closed` first: read in the other order a connection that came and
        // went in between would count as minus one.
        let closed = self.sum(|thread| &thread.closed);
        let accepted = self.sum(|thread| &thread.accepted);
        (accepted, accepted.saturating_sub(closed))
    }

    /// Connections ended at once, for their address had its share.
    pub(super) fn turned_away(self) -> u64 {
        self.sum(|thread| &thread.turned_away)
    }

    pub(super) fn responses(self, hundreds: usize) -> u64 {
        self.sum(|thread| &thread.responses[hundreds])
    }

    pub(super) fn upstream_errors(self, how: UpstreamError) -> u64 {
        self.sum(|thread| &thread.upstream[how as usize])
    }
}
