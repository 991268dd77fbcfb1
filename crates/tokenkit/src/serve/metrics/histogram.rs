//! How long something took, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of a histogram's buckets, in nanoseconds, rising. A time
/// equal to a bound is within it.
pub(super) type Bounds = [u64; BUCKETS];

const BUCKETS: usize = 14;

/// For a decision: from 100 ns to 10 ms.
pub(super) const DECISION: Bounds = [
    100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000, 5_000_000,
    10_000_000,
];

/// For the taking over of changes: from 100 µs to 10 s.
pub(super) const PUBLISH: Bounds = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// The counts of one thread, which alone writes them, so that Relaxed loses
/// nothing throughout.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// By bucket, the last being that beyond all bounds.
    counts: [AtomicU64; BUCKETS + 1],
    sum_ns: AtomicU64,
}

/// The counts of some threads at a moment.
pub(super) struct Snapshot {
    bounds: &'static Bounds,
    counts: [u64; BUCKETS + 1],
    sum_ns: u64,
}

impl Histogram {
    /// Counts a time in.
    #[inline]
    pub(super) fn record(&self, bounds: &'static Bounds, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bounds.iter().position(|bound| ns <= *bound);
        add(&self.counts[bucket.unwrap_or(BUCKETS)], 1);
        add(&self.sum_ns, ns);
    }
}

/// Adds to a number that only this thread writes.
fn add(number: &AtomicU64, more: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(more);
    number.store(sum, Ordering::Relaxed);
}

impl Snapshot {
    /// Adds up what some threads have counted by the same bounds.
    pub(super) fn of<'a>(
        bounds: &'static Bounds,
        threads: impl Iterator<Item = &'a Histogram>,
    ) -> Self {
        let mut all = Self {
            bounds,
            counts: [0; BUCKETS + 1],
            sum_ns: 0,
        };
        for thread in threads {
            for (sum, count) in all.counts.iter_mut().zip(&thread.counts) {
                *sum += count.load(Ordering::Relaxed);
            }
            let ns = thread.sum_ns.load(Ordering::Relaxed);
            all.sum_ns = all.sum_ns.wrapping_add(ns);
        }
        all
    }

    /// Each bound in seconds, with how many were within it.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds
            .iter()
            .zip(&self.counts)
            .scan(0, |within, (bound, count)| {
                *within += count;
                Some((seconds(*bound), *within))
            })
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub(super) fn sum_s(&self) -> f64 {
        seconds(self.sum_ns)
    }
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_every_bucket_that_holds_it() {
        let threads = [Histogram::default(), Histogram::default()];
        for (thread, ns) in [(0, 100), (0, 101), (1, 100), (1, 20_000_000)] {
            threads[thread].record(&DECISION, Duration::from_nanos(ns));
        }
        let seen = Snapshot::of(&DECISION, threads.iter());
        let within: Vec<_> = seen.cumulative().collect();
        assert_eq!(within[..3], [(1e-7, 2), (2e-7, 3), (3e-7, 3)]);
        assert_eq!(within[BUCKETS - 1], (0.01, 3));
        assert_eq!((seen.count(), seen.sum_s()), (4, 0.020_000_301));
    }

    #[test]
    fn the_bounds_rise() {
        for bounds in [DECISION, PUBLISH] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
