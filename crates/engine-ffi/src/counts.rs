//! How many decisions an engine has made, by their reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Reasons that can be counted: their numbers, and 0 for what could not be
/// decided about.
pub(crate) const COUNTED: usize = 32;

/// Counters in lines of one thread each, and of all further ones together:
/// whoever reads adds them up.
#[derive(Debug)]
pub(crate) struct Counts([Shard; OWN + 1]);

/// Two lines, which are fetched together, twice.
#[derive(Debug)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNTED]);

/// Threads that have a shard of their own.
const OWN: usize = 64;

impl Counts {
    pub(crate) fn new() -> Self {
        Self([const { Shard([const { AtomicU64::new(0) }; COUNTED]) }; OWN + 1])
    }

    /// Counts a decision for a reason's number, by a thread of a number that no
    /// other has meanwhile.
    #[inline(always)]
    pub(crate) fn add(&self, thread: usize, reason: u8) {
        let reason = usize::from(reason) % COUNTED;
        // Relaxed, here and below: numbers for people, which guard nothing.
        match self.0[..OWN].get(thread) {
            // Only one thread writes here, so that to read and write loses
            // nothing, and costs a tenth of doing both at once. What the thread
            // before it wrote came with the number.
            Some(Shard(own)) => {
                let count = own[reason].load(Ordering::Relaxed);
                own[reason].store(count.wrapping_add(1), Ordering::Relaxed);
            }
            None => {
                self.0[OWN].0[reason].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// All of them, each at a moment of its own.
    pub(crate) fn sums(&self) -> [u64; COUNTED] {
        let mut sums = [0u64; COUNTED];
        for shard in &self.0 {
            for (sum, count) in sums.iter_mut().zip(&shard.0) {
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_no_count() {
        let counts = Counts::new();
        std::thread::scope(|scope| {
            let counts = &counts;
            for thread in [0, 63, 64, 65] {
                scope.spawn(move || (0..100).for_each(|_| counts.add(thread, 5)));
            }
        });
        let mut expected = [0; COUNTED];
        expected[5] = 400;
        assert_eq!(counts.sums(), expected);
    }
}
