//! How the following of a store goes, for metrics and for whoever asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no change may have arrived before what is known counts as stale:
/// longer than it takes to take over millions of keys that come at once.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// How a [`Following`](crate::Following) goes. Each number is a moment's
/// picture of its own; any thread may ask at any time.
#[derive(Debug)]
pub struct Health {
    begun: Instant,
    /// Milliseconds from `begun` to the last look that succeeded.
    last_ms: AtomicU64,
    /// The same of the last by which all arrived that fits.
    arrived_ms: AtomicU64,
    errors: AtomicU64,
    /// Whether nobody follows any more.
    ended: AtomicBool,
    /// What the last look failed by; locked for moments, and never by a look
    /// that succeeds after another.
    trouble: Mutex<Option<String>>,
}

impl Health {
    /// Of a following that begins now, all having just been loaded.
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            arrived_ms: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }
    }

    /// Whether changes still arrive, if only late. False once the following was
    /// stopped, or its thread has failed.
    #[must_use]
    pub fn follows(&self) -> bool {
        // Relaxed here and below: these are for people and guard nothing.
        !self.ended.load(Ordering::Relaxed)
    }

    /// Time since the store was last looked at with success, to milliseconds.
    /// It is some dozen milliseconds while all is well.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.since(&self.last_ms)
    }

    /// Whether changes arrive: somebody follows, and within the last 60 s all was
    /// taken over that the store holds, but for keys that there is no room for and
    /// rows that are damaged.
    /// Where not, what is known stays in force all the same; but a revocation may
    /// be missing.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.follows() && self.since(&self.arrived_ms) <= STALE_AFTER
    }

    fn since(&self, ms: &AtomicU64) -> Duration {
        let then = Duration::from_millis(ms.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(then)
    }

    /// Looks that failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// What the last look failed by; nothing where it succeeded. One or more
    /// sentences that say what to do; never a secret.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble_now().clone()
    }

    /// A look succeeded.
    pub(crate) fn looked(&self, after_trouble: bool) {
        self.last_ms.store(self.arrived(), Ordering::Relaxed);
        if after_trouble {
            *self.trouble_now() = None;
        }
    }

    /// All arrived that fits; when, in milliseconds from the beginning.
    pub(crate) fn arrived(&self) -> u64 {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.arrived_ms.store(ms, Ordering::Relaxed);
        ms
    }

    /// A look failed.
    pub(crate) fn failed(&self, text: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.trouble_now();
        if trouble.as_deref() != Some(text) {
            *trouble = Some(text.to_owned());
        }
    }

    /// Nobody follows any more.
    pub(crate) fn ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn trouble_now(&self) -> MutexGuard<'_, Option<String>> {
        // What lies there is whole at every moment, also where a thread
        // panicked that held it.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_until_it_is_over() {
        let health = Health::new();
        assert!(health.follows());
        assert_eq!((health.errors(), health.trouble()), (0, None));
        health.failed("gone");
        health.failed("gone");
        assert_eq!(
            (health.errors(), health.trouble()),
            (2, Some("gone".into()))
        );
        health.failed("full");
        assert_eq!(health.trouble().as_deref(), Some("full"));
        health.looked(true);
        assert_eq!((health.errors(), health.trouble()), (3, None));
        assert!(health.is_current());
        health.ended();
        assert!(!health.follows() && !health.is_current());
    }

    #[test]
    fn what_was_not_looked_at_for_a_minute_is_stale() {
        let begun_before = |seconds| Health {
            begun: Instant::now() - Duration::from_secs(seconds),
            ..Health::new()
        };
        assert!(begun_before(50).is_current());
        let health = begun_before(61);
        health.failed("gone");
        assert!(health.follows() && !health.is_current());
        // A key too many holds nothing else back.
        health.arrived();
        assert!(health.is_current() && health.lag() >= STALE_AFTER);
        let health = begun_before(61);
        health.looked(true);
        assert!(health.lag() < STALE_AFTER);
        assert!(health.is_current());
    }
}
