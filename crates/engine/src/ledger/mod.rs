//! The ledger: every counter of the engine in one flat region of cache lines.
//!
//! First comes an hours line for each key slot, then the failures table. There
//! is no pointer in it, each word is valid by itself, and all zeroes is the
//! valid empty ledger; so the region may as well lie in memory that several
//! processes share.

mod region;

use std::io;

use region::Region;
pub(crate) use region::{Line, word_of};

use crate::failures::{Failures, LINES_PER_SET};
use crate::hours::Ring;

/// The region, and how it is divided.
pub(crate) struct Ledger {
    region: Region,
    key_slots: usize,
    failure_sets: usize,
}

impl Ledger {
    /// An empty ledger in memory of its own. Pages are taken from the system
    /// as they are first written.
    pub(crate) fn in_memory(key_slots: u32, failure_sets: u32) -> io::Result<Self> {
        let (key_slots, failure_sets) = (key_slots as usize, failure_sets as usize);
        let lines = key_slots + failure_sets * LINES_PER_SET;
        Ok(Self {
            region: Region::anonymous(lines)?,
            key_slots,
            failure_sets,
        })
    }

    /// How many keys can have counters.
    pub(crate) fn key_slots(&self) -> u32 {
        // It was made from a `u32`.
        self.key_slots as u32
    }

    /// The hours of a key slot; `None` for a slot that does not exist.
    pub(crate) fn ring(&self, slot: u32) -> Option<Ring<'_>> {
        self.region.lines()[..self.key_slots]
            .get(slot as usize)
            .map(Ring)
    }

    /// The failures table.
    pub(crate) fn failures(&self) -> Failures<'_> {
        Failures::new(&self.region.lines()[self.key_slots..], self.failure_sets)
    }
}
