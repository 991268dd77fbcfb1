//! The sliding window: 12 equal buckets, checked settings.

/// Buckets in a window.
pub(crate) const BUCKETS: u64 = 12;

/// Settings of the failures table, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    threshold: u64,
    bucket_s: u64,
    block_s: u64,
}

/// A bucket's place in the ring, and which round of the ring it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) at: usize,
    pub(crate) lap: u64,
}

impl Window {
    /// Takes settings that the builder has checked.
    pub(crate) fn new(threshold: u32, window_s: u32, block_s: u32) -> Self {
        Self {
            threshold: u64::from(threshold),
            bucket_s: u64::from(window_s) / BUCKETS,
            block_s: u64::from(block_s),
        }
    }

    /// Failures that block.
    pub(crate) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// When a block that begins at `now` ends.
    pub(crate) fn block_end(&self, now: u64) -> u64 {
        now.saturating_add(self.block_s)
    }

    /// The bucket of a time.
    pub(crate) fn current(&self, now: u64) -> Bucket {
        let number = now / self.bucket_s;
        Bucket {
            at: (number % BUCKETS) as usize,
            lap: number / BUCKETS,
        }
    }

    /// The current bucket at `now` and the 11 before it, newest first.
    pub(crate) fn buckets(&self, now: u64) -> impl Iterator<Item = Bucket> {
        let Bucket { at, lap } = self.current(now);
        let this_lap = (0..=at).rev().map(move |at| Bucket { at, lap });
        let last_lap = lap.checked_sub(1).into_iter().flat_map(move |lap| {
            (at + 1..BUCKETS as usize)
                .rev()
                .map(move |at| Bucket { at, lap })
        });
        this_lap.chain(last_lap)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn twelve_buckets_newest_first() {
        let window = Window::new(3, 300, 60);
        let buckets: Vec<_> = window.buckets(1_790_000_024).collect();
        assert_eq!(buckets[0], window.current(1_790_000_024));
        assert_eq!(buckets.len(), 12);
        let number = 1_790_000_024 / 25;
        assert_eq!(buckets[0].at as u64, number % 12);
        assert_eq!(buckets[0].lap, number / 12);
        assert_eq!(buckets[11].at as u64, (number - 11) % 12);
    }

    #[test]
    fn the_first_window_is_shorter() {
        let window = Window::new(3, 12, 60);
        assert_eq!(window.buckets(0).count(), 1);
        assert_eq!(window.buckets(10).count(), 11);
        assert_eq!(window.buckets(11).count(), 12);
        assert_eq!(window.buckets(u64::MAX).count(), 12);
    }
}
