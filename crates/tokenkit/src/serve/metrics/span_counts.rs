//! What became of the spans for OpenTelemetry.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers. Relaxed throughout: they are for people and guard nothing.
#[derive(Debug, Default)]
pub(in crate::serve) struct SpanCounts {
    sent: AtomicU64,
    not_queued: AtomicU64,
    not_taken: AtomicU64,
}

impl SpanCounts {
    /// The collector took so many.
    pub(in crate::serve) fn sent(&self, spans: u64) {
        self.sent.fetch_add(spans, Ordering::Relaxed);
    }

    /// One found the queue full.
    pub(in crate::serve) fn not_queued(&self) {
        self.not_queued.fetch_add(1, Ordering::Relaxed);
    }

    /// The collector did not take so many.
    pub(in crate::serve) fn not_taken(&self, spans: u64) {
        self.not_taken.fetch_add(spans, Ordering::Relaxed);
    }

    /// Those that were sent.
    pub(super) fn all_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Those that were dropped, by why.
    pub(super) fn dropped(&self) -> [(&'static str, u64); 2] {
        [
            ("queue_full", self.not_queued.load(Ordering::Relaxed)),
            ("not_taken", self.not_taken.load(Ordering::Relaxed)),
        ]
    }
}
