//! What is known of the reading out of the hours, for billing: one line.
//!
//! | word | what |
//! |---|---|
//! | 0, 1 | the ledger's identity: random, given once; zero until it is asked for |
//! | 2 | the first hour of which not all is known to be saved |
//! | 3 | units that were overwritten before they were known to be saved |
//!
//! A word of a ring is written over when its key is charged eight hours later.
//! Whoever reads the hours out and saves them says afterwards up to which hour
//! that was done. What is written over of a later hour is counted, so that a
//! loss is never silent: perhaps a part of it was saved, never more was lost.

use super::Line;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Hour;

/// The line.
#[derive(Clone, Copy)]
pub(crate) struct UsageLine<'a>(pub(crate) &'a Line);

impl<'a> UsageLine<'a> {
    fn word(self, at: usize) -> &'a AtomicU64 {
        &self.0.0[at]
    }

    /// The ledger's identity, given now if it has none.
    pub(crate) fn source(self) -> Result<[u8; 16], getrandom::Error> {
        let mut source = [0; 16];
        for (at, bytes) in source.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = given_once(self.word(at))?.to_le_bytes();
        }
        Ok(source)
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

    /// Takes over what another line says; nobody uses either meanwhile.
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    pub(super) fn copy(self, other: UsageLine<'_>) {
        for at in 0..4 {
            // Relaxed: neither is anybody's meanwhile.
            let word = other.word(at).load(Ordering::Relaxed);
            // Relaxed: as above.
            self.word(at).store(word, Ordering::Relaxed);
        }
    }
}

/// A word that is given a random number where it is zero; by whichever process
/// is first.
fn given_once(word: &AtomicU64) -> Result<u64, getrandom::Error> {
    loop {
        // Relaxed, here and below: it changes once, and publishes nothing else.
        let seen = word.load(Ordering::Relaxed);
        if seen != 0 {
            return Ok(seen);
        }
        let random = getrandom::u64()?;
        let _ = word.compare_exchange(0, random, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_given_once() {
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        let (one, two) = (line(), line());
        let first = UsageLine(&one).source().unwrap();
        assert_eq!(UsageLine(&one).source().unwrap(), first);
        assert_ne!(UsageLine(&two).source().unwrap(), first);
        assert_ne!(first, [0; 16]);
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
