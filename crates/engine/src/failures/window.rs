//! The sliding window: 12 equal buckets, checked settings.

/// Buckets in a window. Under loom as few as can be told apart from the one before
/// and the one after: each is a step of every failure.
pub(crate) const BUCKETS: u64 = if cfg!(loom) { 3 } else { 12 };

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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_twelve() {
        let window = Window::new(3, 300, 60);
        let at = |now| window.current(now);
        assert_eq!(at(0), Bucket { at: 0, lap: 0 });
        assert_eq!(at(299), Bucket { at: 11, lap: 0 });
        assert_eq!(at(300), Bucket { at: 0, lap: 1 });
        assert_eq!(at(u64::MAX).lap, u64::MAX / 300);
    }
}
