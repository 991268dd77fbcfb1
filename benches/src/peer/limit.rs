//! How the peer limits a key, in two ways.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::middleware::StateInformationMiddleware;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// What limits a key.
pub trait Limit: Send + Sync {
    /// What it is made of.
    const NAME: &'static str;

    /// One that admits so many units an hour.
    fn new(units: u32) -> Self;

    /// Takes a unit; what is left, or `None` where nothing was.
    fn take(&self, unix_s: u64) -> Option<u32>;
}

/// governor's limiter, of the kind that says what it leaves. It lies in the
/// key's record: limits differ by key, and a keyed limiter would be one more
/// map to look into.
pub struct Governor(DefaultDirectRateLimiter<StateInformationMiddleware>);

impl Limit for Governor {
    const NAME: &'static str = "governor";

    fn new(units: u32) -> Self {
        let quota = Quota::per_hour(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN));
        Self(RateLimiter::direct(quota).with_middleware())
    }

    fn take(&self, _unix_s: u64) -> Option<u32> {
        let state = self.0.check().ok()?;
        Some(state.remaining_burst_capacity())
    }
}

/// A word that holds an hour and the units used in it.
pub struct Counter {
    word: AtomicU64,
    units: u32,
}

impl Limit for Counter {
    const NAME: &'static str = "atomic counter";

    fn new(units: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            units,
        }
    }

    fn take(&self, unix_s: u64) -> Option<u32> {
        let hour = unix_s / 3600;
        // Relaxed: the word is all there is, and publishes nothing else.
        let taken = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let used = if word >> 32 == hour { word as u32 } else { 0 };
                (used < self.units).then_some(hour << 32 | u64::from(used + 1))
            });
        let before = taken.ok()?;
        let used = if before >> 32 == hour {
            before as u32
        } else {
            0
        };
        Some(self.units - used - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes_two<L: Limit>() {
        let limit = L::new(2);
        let now = 1_790_000_000;
        assert_eq!(limit.take(now), Some(1));
        assert_eq!(limit.take(now), Some(0));
        assert_eq!(limit.take(now), None);
    }

    #[test]
    fn units_run_out() {
        takes_two::<Governor>();
        takes_two::<Counter>();
    }

    #[test]
    fn an_hour_later_they_are_back() {
        let limit = Counter::new(1);
        assert_eq!(limit.take(3599), Some(0));
        assert_eq!(limit.take(3599), None);
        assert_eq!(limit.take(3600), Some(0));
    }
}
