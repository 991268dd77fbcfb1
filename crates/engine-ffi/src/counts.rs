//! How many decisions an engine has made, by their reason.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Reasons that can be counted: their numbers, and 0 for what could not be
/// decided about.
pub(crate) const COUNTED: usize = 32;

/// Counters in lines that few threads share: whoever reads adds them up.
#[derive(Debug)]
pub(crate) struct Counts([Shard; SHARDS]);

/// Two lines, which are fetched together, four times.
#[derive(Debug)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNTED]);

/// As many as threads of one gateway commonly decide at the same time.
const SHARDS: usize = 16;

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The shard of the calling thread: threads take turns.
#[inline]
fn mine() -> usize {
    // A thread at its end has no place to remember one.
    match MINE.try_with(Cell::get) {
        Ok(mine) if mine < SHARDS => mine,
        Ok(_) => first(),
        Err(_) => 0,
    }
}

#[cold]
fn first() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: any spread will do.
    let mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    let _ = MINE.try_with(|cell| cell.set(mine));
    mine
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self([const { Shard([const { AtomicU64::new(0) }; COUNTED]) }; SHARDS])
    }

    /// Counts a decision for a reason's number.
    #[inline]
    pub(crate) fn add(&self, reason: u8) {
        let shard = &self.0[mine() % SHARDS].0;
        // Relaxed, here and below: numbers for people, which guard nothing.
        shard[usize::from(reason) % COUNTED].fetch_add(1, Ordering::Relaxed);
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
            for _ in 0..3 {
                scope.spawn(|| (0..100).for_each(|_| counts.add(5)));
            }
        });
        let mut expected = [0; COUNTED];
        expected[5] = 300;
        assert_eq!(counts.sums(), expected);
    }
}
