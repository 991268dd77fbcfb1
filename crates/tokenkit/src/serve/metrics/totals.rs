//! What is counted once for the whole process, by threads that serve no
//! requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::Clock;

use super::histogram::{Histogram, PUBLISH, Snapshot};
use super::span_counts::SpanCounts;

/// The numbers. Relaxed throughout: they are for people and guard nothing.
#[derive(Debug)]
pub(in crate::serve) struct Totals {
    /// When the process began, in unix seconds.
    started_s: u64,
    published: Histogram,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    log_lines_dropped: AtomicU64,
    spans: SpanCounts,
}

impl Default for Totals {
    /// Of a process that begins now.
    fn default() -> Self {
        Self {
            started_s: Clock::System.now(),
            published: Histogram::default(),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
            log_lines_dropped: AtomicU64::new(0),
            spans: SpanCounts::default(),
        }
    }
}

impl Totals {
    /// Changes of the store are in force so long after they were found. For the
    /// thread that follows the store.
    pub(in crate::serve) fn published(&self, took: Duration) {
        self.published.record(&PUBLISH, took);
    }

    /// The settings were read again, with or without success.
    pub(in crate::serve) fn reloaded(&self, well: bool) {
        let counter = if well {
            &self.reloads
        } else {
            &self.failed_reloads
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// So many lines of the log could not be written.
    pub(in crate::serve) fn log_lines_dropped(&self, lines: u64) {
        self.log_lines_dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// All lines of the log that could not be written.
    pub(in crate::serve) fn all_log_lines_dropped(&self) -> u64 {
        self.log_lines_dropped.load(Ordering::Relaxed)
    }

    /// What became of spans.
    pub(in crate::serve) fn spans(&self) -> &SpanCounts {
        &self.spans
    }

    /// When the process began, in unix seconds.
    pub(super) fn started_s(&self) -> u64 {
        self.started_s
    }

    pub(super) fn published_in(&self) -> Snapshot {
        Snapshot::of(&PUBLISH, std::iter::once(&self.published))
    }

    /// Reloads that went well, and those that did not.
    pub(super) fn reloads(&self) -> (u64, u64) {
        (
            self.reloads.load(Ordering::Relaxed),
            self.failed_reloads.load(Ordering::Relaxed),
        )
    }
}
