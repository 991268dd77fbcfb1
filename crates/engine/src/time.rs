//! Time as the engine sees it: whole unix seconds, handed in as an argument
//! or read from the one [`Clock`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds in an hour.
pub(crate) const HOUR_S: u64 = 3600;

/// An hour since the unix epoch: `floor(unix_seconds / 3600)`, up to the last
/// one that a counter can name, 2^28 - 1.
///
/// That one begins in the year 32,592 (at 966,367,638,000 unix seconds) and
/// never ends: every later time counts as it. So a key's budget of that hour
/// is its last, and is never refilled, although a decision still says that the
/// next hour is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hour(u32);

/// An expiry that never comes, and sorts behind all others.
pub(crate) const NEVER: u64 = u64::MAX;

impl Hour {
    /// Bits of an hour's number wherever one is kept.
    pub(crate) const BITS: u32 = 28;
    const MAX: u64 = (1 << Self::BITS) - 1;

    /// The hour of a time in unix seconds.
    #[must_use]
    pub fn of(unix_s: u64) -> Self {
        Self((unix_s / HOUR_S).min(Self::MAX) as u32)
    }

    /// An hour by its number, of which the lowest bits count.
    pub(crate) fn of_number(number: u32) -> Self {
        Self(number & Self::MAX as u32)
    }

    /// The hour after it; the last has none, and is that itself.
    pub(crate) fn next(self) -> Self {
        Self((self.0 + 1).min(Self::MAX as u32))
    }

    /// The hour's number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Seconds from `unix_s` to the next hour, 1 to 3600.
pub(crate) fn until_next_hour(unix_s: u64) -> u32 {
    (HOUR_S - unix_s % HOUR_S) as u32
}

/// Where [`Engine::decide`](crate::Engine::decide) reads the time.
#[derive(Clone, Default)]
pub enum Clock {
    /// The system's real-time clock. On Linux its coarse form, which trails
    /// the true time by at most one timer tick (1 to 10 ms) and is read in a
    /// third of the time.
    #[default]
    System,
    /// A clock that stands until it is set; clones share it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `unix_s` until [`Clock::set`] moves it.
    #[must_use]
    pub fn manual(unix_s: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(unix_s)))
    }

    /// Sets a manual clock, forward or back; the system's is left alone.
    pub fn set(&self, unix_s: u64) {
        if let Self::Manual(time) = self {
            // Relaxed: the time publishes nothing but itself.
            time.store(unix_s, Ordering::Relaxed);
        }
    }

    /// The time in whole unix seconds; 0 before 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self {
            Self::System => system_unix_s(),
            // Relaxed: see `set`.
            Self::Manual(time) => time.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Manual(_) => write!(f, "Manual({})", self.now()),
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn system_unix_s() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    u64::try_from(time.tv_sec).unwrap_or(0)
}

#[cfg(not(all(target_os = "linux", not(miri))))]
#[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn system_unix_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn hours_and_what_is_left_of_them() {
        assert_eq!(Hour::of(0).number(), 0);
        assert_eq!(Hour::of(3599).number(), 0);
        assert_eq!(Hour::of(3600).number(), 1);
        assert_eq!(Hour::of(u64::MAX).number(), (1 << 28) - 1);
        assert_eq!(until_next_hour(1_790_000_000), 2800);
        assert_eq!(until_next_hour(3599), 1);
        assert_eq!(until_next_hour(3600), 3600);
        assert!((1..=3600).contains(&until_next_hour(u64::MAX)));
    }

    #[test]
    fn a_manual_clock_is_shared_by_its_clones() {
        let clock = Clock::manual(5);
        let other = clock.clone();
        clock.set(3);
        assert_eq!(other.now(), 3);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the clock is compared with it")]
    fn the_system_clock_tells_the_time() {
        let wide = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert!(Clock::System.now().abs_diff(wide) <= 1);
    }
}
