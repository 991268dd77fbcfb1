//! What is known of the reading out of the hours, for billing: one line.
//!
//! | word | what |
//! |---|---|
//! | 0, 1 | the identity that was taken over with another ledger's hours, else zero |
//! | 2 | the first hour of which not all is known to be saved |
//! | 3 | units that were overwritten before they were known to be saved |
//!
//! A word of a ring is written over when its key is charged eight hours later.
//! Whoever reads the hours out and saves them says afterwards up to which hour
//! that was done. What is written over of a later hour is counted, so that a
//! loss is never silent: perhaps a part of it was saved, never more was lost.
//!
//! Hours are billed by who counted them. So a ledger's identity is not given here,
//! where it might be lost when the machine stops, and the same hours be another's
//! then: it follows from the seeds, which are on the disk before anything is
//! counted.

use super::Line;
use crate::failures::Seeds;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Hour;

/// The line.
#[derive(Clone, Copy)]
pub(crate) struct UsageLine<'a>(pub(crate) &'a Line);

impl<'a> UsageLine<'a> {
    fn word(self, at: usize) -> &'a AtomicU64 {
        &self.0.0[at]
    }

    /// Who counted the hours that lie here, in a ledger of such seeds.
    pub(crate) fn source(self, seeds: Seeds) -> [u8; 16] {
        let [low, high] = self.identity(seeds);
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }

    /// The same, as the line's first words have it.
    fn identity(self, seeds: Seeds) -> [u64; 2] {
        // Relaxed: they are written before anybody else knows the ledger.
        match [0, 1].map(|at| self.word(at).load(Ordering::Relaxed)) {
            [0, 0] => of_seeds(seeds),
            taken_over => taken_over,
        }
    }

    /// The number of the first hour of which not all is known to be saved.
    pub(crate) fn unsaved_from(self) -> u64 {
        // Acquire pairs with the Release in `set_unsaved_from`: whoever sees
        // the hour as saved swaps its word after it was read to be saved.
        self.word(2).load(Ordering::Acquire)
    }

    /// The same, as an hour.
    pub(crate) fn unsaved_hour(self) -> Hour {
        let number = self.unsaved_from().min(u64::from(u32::MAX));
        Hour::of_number(number as u32)
    }

    /// Says that all hours before one are saved, and takes back what was said of
    /// later ones: by a clock that was ahead, and they may be charged yet.
    pub(crate) fn set_unsaved_from(self, hour: u64) {
        // Release: see `unsaved_from`.
        self.word(2).store(hour, Ordering::Release);
    }

    /// Counts units that were written over unsaved.
    pub(crate) fn lose(self, units: u64) {
        // Relaxed: a number to be shown, that guards nothing.
        self.word(3).fetch_add(units, Ordering::Relaxed);
    }

    /// Units that were written over unsaved.
    pub(crate) fn overwritten(self) -> u64 {
        // Relaxed: as above.
        self.word(3).load(Ordering::Relaxed)
    }

    /// Takes over what another line says, of a ledger of such seeds; nobody uses
    /// either meanwhile.
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    pub(super) fn copy(self, other: UsageLine<'_>, seeds: Seeds) {
        let [low, high] = other.identity(seeds);
        // Relaxed: neither is anybody's meanwhile.
        let [saved, lost] = [2, 3].map(|at| other.word(at).load(Ordering::Relaxed));
        for (at, word) in [low, high, saved, lost].into_iter().enumerate() {
            // Relaxed: as above.
            self.word(at).store(word, Ordering::Relaxed);
        }
    }
}

/// The identity of a ledger that counted its own hours. It is shown to who reads
/// the bills, so it tells nothing of the seeds.
fn of_seeds(Seeds(seeds): Seeds) -> [u64; 2] {
    let context = "tokenkit 2026-11-28 ledger identity v1";
    let derived = blake3::derive_key(context, seeds.map(u64::to_le_bytes).as_flattened());
    let (words, _) = derived.as_chunks();
    [words[0], words[1]].map(u64::from_le_bytes)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_identity_follows_from_the_seeds_unless_it_was_taken_over() {
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        let (one, two) = (line(), line());
        let source = |line: &Line, seeds| UsageLine(line).source(Seeds(seeds));
        let first = source(&one, [1, 2]);
        assert_eq!(source(&two, [1, 2]), first);
        assert_ne!(source(&two, [1, 3]), first);
        assert_ne!(source(&two, [2, 1]), first);
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            UsageLine(&two).copy(UsageLine(&one), Seeds([1, 2]));
            assert_eq!(source(&two, [8, 9]), first);
            UsageLine(&one).copy(UsageLine(&two), Seeds([8, 9]));
            assert_eq!(source(&one, [5, 6]), first);
        }
    }

    #[test]
    fn what_was_said_last_holds() {
        let line = Line(std::array::from_fn(|_| AtomicU64::new(0)));
        let usage = UsageLine(&line);
        assert_eq!(usage.unsaved_from(), 0);
        for hour in [7, 5, 6] {
            usage.set_unsaved_from(hour);
            assert_eq!(usage.unsaved_from(), hour);
        }
        usage.lose(3);
        usage.lose(4);
        assert_eq!(usage.overwritten(), 7);
    }
}
