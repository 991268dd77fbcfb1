//! The failures of an address, as the peer keeps them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::subject::{BLOCK_S, WINDOW_S};

/// The failures of an address. Whether it is blocked is read without the lock.
#[derive(Default)]
pub struct Failures {
    blocked_until: AtomicU64,
    window: Mutex<Window>,
}

/// Counts for each twelfth of the window, the newest at the newest bucket.
#[derive(Default)]
struct Window {
    newest: u32,
    counts: [u16; 12],
}

impl Failures {
    /// The second until which the address is blocked.
    #[inline]
    pub(super) fn blocked_until(&self) -> u64 {
        // Relaxed: it tells nothing but itself.
        self.blocked_until.load(Ordering::Relaxed)
    }

    /// Counts a failure, and blocks at the threshold.
    pub(super) fn count(&self, now: u64, threshold: u32) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.count((now / u64::from(WINDOW_S / 12)) as u32) >= threshold {
            window.counts = [0; 12];
            // Relaxed: see above.
            self.blocked_until
                .store(now + u64::from(BLOCK_S), Ordering::Relaxed);
        }
    }
}

impl Window {
    fn count(&mut self, bucket: u32) -> u32 {
        // Buckets that went by without a failure hold old counts.
        let passed = bucket.saturating_sub(self.newest).min(12);
        for back in 0..passed {
            self.counts[((bucket - back) % 12) as usize] = 0;
        }
        self.newest = self.newest.max(bucket);
        let count = &mut self.counts[(bucket % 12) as usize];
        *count = count.saturating_add(1);
        self.counts.iter().map(|&count| u32::from(count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_window_add_up() {
        let mut window = Window::default();
        assert_eq!(window.count(100), 1);
        assert_eq!(window.count(100), 2);
        assert_eq!(window.count(111), 3);
        // Bucket 100 is 12 back, and so out of the window.
        assert_eq!(window.count(112), 2);
        assert_eq!(window.count(500), 1);
    }

    #[test]
    fn the_threshold_blocks() {
        let failures = Failures::default();
        failures.count(1000, 2);
        assert_eq!(failures.blocked_until(), 0);
        failures.count(1000, 2);
        assert_eq!(failures.blocked_until(), 1000 + u64::from(BLOCK_S));
    }
}
