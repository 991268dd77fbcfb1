//! The thread that records what was used: when the server starts, so that what
//! one before left unrecorded is there; each `usage.interval_s`; and when it
//! stops, after the last request.
//!
//! Where the store cannot be written it is tried again, each second or as often
//! as is set. Nothing is lost by that for eight hours. What is not recorded yet
//! shows in `tokenkit_usage_unsaved_units` and `tokenkit_usage_lag_seconds`, and
//! what was written over before it was in
//! `tokenkit_usage_overwritten_units_total`; an error is logged as well, again
//! each minute.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::Engine;
use store::Store;

use super::metrics::UsageGauges;
use crate::error::OperatorError;
use crate::usage::Collector;

/// How soon it is tried again where it failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often a trouble that lasts is logged.
const REPEAT: Duration = Duration::from_secs(60);

/// How the recording goes, for metrics. Each number is a moment's picture of
/// its own.
#[derive(Debug)]
pub(super) struct UsageHealth {
    begun: Instant,
    /// Milliseconds from `begun` to the last reading that was recorded.
    recorded_ms: AtomicU64,
    unsaved: AtomicU64,
    overwritten: AtomicU64,
}

impl UsageHealth {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            recorded_ms: AtomicU64::new(0),
            unsaved: AtomicU64::new(0),
            overwritten: AtomicU64::new(0),
        }
    }

    /// How it goes now.
    pub(super) fn gauges(&self) -> UsageGauges {
        // Relaxed, here and below: these are for people and guard nothing.
        let recorded = Duration::from_millis(self.recorded_ms.load(Ordering::Relaxed));
        UsageGauges {
            lag_s: self.begun.elapsed().saturating_sub(recorded).as_secs_f64(),
            unsaved: self.unsaved.load(Ordering::Relaxed),
            overwritten: self.overwritten.load(Ordering::Relaxed),
        }
    }

    fn told(&self, recorded: Option<Instant>, unsaved: u64, overwritten: u64) {
        if let Some(at) = recorded {
            let ms = at.saturating_duration_since(self.begun).as_millis();
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            self.recorded_ms.store(ms, Ordering::Relaxed);
        }
        self.unsaved.store(unsaved, Ordering::Relaxed);
        self.overwritten.store(overwritten, Ordering::Relaxed);
    }
}

/// What records, before it has a thread.
pub(super) struct Recorder {
    engine: Arc<Engine>,
    store: Store,
    collector: Collector,
    health: Arc<UsageHealth>,
    /// Whether what is not recorded when the server ends is kept by a file.
    keeps: bool,
    trouble: Option<Instant>,
    overwritten: u64,
}

/// The thread, at work; ended by [`Recording::finish`].
pub(super) struct Recording {
    thread: JoinHandle<()>,
    stop: SyncSender<()>,
    health: Arc<UsageHealth>,
}

impl Recorder {
    /// Takes a connection of its own to the store. `keeps` says whether the
    /// counters lie in a file.
    pub(super) fn new(engine: Arc<Engine>, store: Store, keeps: bool) -> Self {
        Self {
            collector: Collector::new(engine.usage_source()),
            overwritten: engine.usage_overwritten(),
            engine,
            store,
            health: Arc::new(UsageHealth::new()),
            keeps,
            trouble: None,
        }
    }

    /// Records once; whether that went well. What went wrong is logged.
    pub(super) fn record(&mut self) -> bool {
        let begun = Instant::now();
        let now = self.engine.clock().now();
        let outcome = self.collector.collect(&*self.engine, &mut self.store, now);
        let overwritten = self.collector.overwritten(&*self.engine);
        let unsaved = self.collector.unsaved();
        self.health
            .told(outcome.is_ok().then_some(begun), unsaved, overwritten);
        if overwritten > self.overwritten {
            tracing::error!(
                units = overwritten - self.overwritten,
                "units were used that could not be recorded within eight hours: they are lost for \
                 billing"
            );
            self.overwritten = overwritten;
        }
        match outcome {
            Ok(rows) => {
                if self.trouble.take().is_some() {
                    tracing::info!("what was used is recorded again");
                }
                tracing::debug!(rows, took = ?begun.elapsed(), "recorded what was used");
                true
            }
            Err(error) => {
                if self.trouble.is_none_or(|told| told.elapsed() >= REPEAT) {
                    self.trouble = Some(Instant::now());
                    tracing::error!(
                        %error,
                        unsaved_units = unsaved,
                        "cannot record what was used; it is tried again, and nothing is lost for \
                         eight hours"
                    );
                }
                false
            }
        }
    }

    /// Goes on on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives none.
    pub(super) fn start(mut self, interval: Duration) -> Result<Recording, OperatorError> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let health = Arc::clone(&self.health);
        let thread = thread::Builder::new()
            .name("usage".into())
            .spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    let mut went_well = true;
                    loop {
                        let pause = if went_well {
                            interval
                        } else {
                            RETRY.min(interval)
                        };
                        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                            break;
                        }
                        went_well = self.record();
                    }
                    self.finish();
                }));
                if ran.is_err() {
                    tracing::error!(
                        "the thread that records what was used has failed: restart the server \
                         within eight hours"
                    );
                }
            })
            .map_err(|error| {
                OperatorError::wrap("cannot start the thread that records what was used", error)
            })?;
        Ok(Recording {
            thread,
            stop,
            health,
        })
    }

    /// Records the last.
    fn finish(mut self) {
        if self.record() {
            if !self.keeps
                && let Err(error) = self.collector.end(&mut self.store)
            {
                tracing::warn!(%error, "hours of this run will be final a day later");
            }
            return;
        }
        let unsaved_units = self.collector.unsaved();
        if self.keeps {
            tracing::warn!(
                unsaved_units,
                "what was used last is not recorded; the ledger keeps it for the next start, or \
                 for `tokenkit usage`"
            );
        } else {
            tracing::error!(
                unsaved_units,
                "what was used last could not be recorded and is lost: it was counted in memory"
            );
        }
    }
}

impl Recording {
    /// How it goes.
    pub(super) fn health(&self) -> &Arc<UsageHealth> {
        &self.health
    }

    /// Records the last, and ends.
    pub(super) fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that records what was used had ended in a panic");
        }
    }
}
