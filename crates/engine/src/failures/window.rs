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
}

impl Bucket {
    /// The 11 buckets before it, oldest first.
    pub(crate) fn older(self) -> impl Iterator<Item = Bucket> {
        let Self { at, lap } = self;
        let last_lap = lap.checked_sub(1).into_iter().flat_map(move |lap| {
            let after = at + 1..BUCKETS as usize;
            after.map(move |at| Bucket { at, lap })
        });
        last_lap.chain((0..at).map(move |at| Bucket { at, lap }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn eleven_older_buckets_oldest_first() {
        let window = Window::new(3, 300, 60);
        let older: Vec<_> = window.current(1_790_000_024).older().collect();
        assert_eq!(older.len(), 11);
        for (bucket, before) in older.iter().zip((1..=11).rev()) {
            assert_eq!(*bucket, window.current(1_790_000_024 - 25 * before));
        }
    }

    #[test]
    fn the_first_window_is_shorter() {
        let window = Window::new(3, 12, 60);
        assert_eq!(window.current(0).older().count(), 0);
        assert_eq!(window.current(10).older().count(), 10);
        assert_eq!(window.current(11).older().count(), 11);
        assert_eq!(window.current(u64::MAX).older().count(), 11);
    }
}
