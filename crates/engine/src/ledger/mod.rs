//! The ledger: every counter of the engine in one flat region of cache lines.
//!
//! The failures table, and behind it an hours line for each key slot. There is
//! no pointer in it and each word is valid by itself; so the region may as well
//! lie in a file that several processes share, whatever ends one of them, and
//! when. All zeroes is the valid empty ledger.
//!
//! In memory of the engine's own the slots are counted through, and whose they
//! are is kept beside. In a file that is told by a [`directory`] in the file
//! itself, and the hours lie among its nodes in an area that grows.

#[cfg(any(test, all(target_os = "linux", not(any(loom, miri)))))]
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
mod directory;
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
mod error;
mod fault;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod file;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod guard;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod header;
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
#[cfg(any(test, all(target_os = "linux", not(any(loom, miri)))))]
mod node;
mod own_slots;
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
mod place;
#[cfg(any(test, all(target_os = "linux", not(any(loom, miri)))))]
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
mod recover;
mod region;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod reset;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod shared;
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
mod slots;
#[cfg_attr(any(loom, miri), allow(dead_code, reason = "used by the file alone"))]
#[cfg(any(test, all(target_os = "linux", not(any(loom, miri)))))]
mod spares;
mod usage;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod view;

use std::io;
use std::sync::PoisonError;

pub use error::LedgerError;
pub use fault::LedgerFault;
use own_slots::OwnSlots;
use region::Region;
pub(crate) use region::{Line, word_of};
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub use reset::reset_ledger;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use shared::Plan;
pub(crate) use slots::{SlotsAt, SlotsError};
pub(crate) use usage::UsageLine;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub use view::{LedgerKey, LedgerReport, LedgerView};

use crate::failures::{Failures, LINES_PER_SET, Seeds};
use crate::hours::Ring;
use crate::key::KeyId;
use crate::sync::Mutex;
use crate::time::Hour;

/// The region, and how it is divided.
pub(crate) struct Ledger {
    region: Region,
    failures_at: usize,
    failure_sets: usize,
    /// Where the line lies that tells of the hours' reading out.
    usage_at: usize,
    /// Where slot 0 lies; the slots go on to the end.
    hours_at: usize,
    seeds: Seeds,
    slots: Slots,
}

/// Who says which slot is whose.
enum Slots {
    Own(Mutex<OwnSlots>),
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    Shared(shared::Keys),
}

impl Ledger {
    /// An empty ledger in memory of its own. Pages are taken from the system
    /// as they are first written.
    pub(crate) fn in_memory(key_slots: u32, failure_sets: u32, seeds: Seeds) -> io::Result<Self> {
        let failure_sets = failure_sets as usize;
        let usage_at = failure_sets * LINES_PER_SET;
        let hours_at = usage_at + 1;
        Ok(Self {
            region: Region::anonymous(hours_at + key_slots as usize)?,
            failures_at: 0,
            failure_sets,
            usage_at,
            hours_at,
            seeds,
            slots: Slots::Own(Mutex::new(OwnSlots::new(key_slots))),
        })
    }

    /// The seeds by which addresses are placed in the failures table.
    pub(crate) fn seeds(&self) -> Seeds {
        self.seeds
    }

    /// The hours of a key slot; `None` for a slot that does not exist.
    #[inline]
    pub(crate) fn ring(&self, slot: u32) -> Option<Ring<'_>> {
        self.region
            .lines()
            .get(self.hours_at + slot as usize)
            .map(Ring)
    }

    /// What is known of the hours' reading out.
    #[inline]
    pub(crate) fn usage(&self) -> UsageLine<'_> {
        UsageLine(&self.region.lines()[self.usage_at])
    }

    /// Who counted what [`each_hour`](Self::each_hour) shows.
    pub(crate) fn usage_source(&self) -> [u8; 16] {
        self.usage().source(self.seeds)
    }

    /// Shows which keys have which slots: those that the ledger knows by itself.
    /// All of them, in a file; else those that were removed, whose counts rest.
    pub(crate) fn each_slot(&self, show: &mut impl FnMut(KeyId, u32)) {
        match &self.slots {
            Slots::Own(slots) => {
                let slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
                slots.each_resting(show);
            }
            #[cfg(all(target_os = "linux", not(any(loom, miri))))]
            Slots::Shared(shared) => shared.each_slot(&self.region, show),
        }
    }

    /// Shows what a key has used by hour, which has this slot.
    pub(crate) fn each_hour(&self, id: KeyId, slot: u32, show: &mut impl FnMut(KeyId, Hour, u64)) {
        if let Some(ring) = self.ring(slot) {
            ring.each(|hour, used| show(id, hour, used));
        }
    }

    /// Whether the ledger knows all keys by itself.
    pub(crate) fn knows_its_keys(&self) -> bool {
        !matches!(self.slots, Slots::Own(_))
    }

    /// The failures table.
    #[inline]
    pub(crate) fn failures(&self) -> Failures<'_> {
        let lines = &self.region.lines()[self.failures_at..];
        Failures::new(lines, self.failure_sets)
    }

    /// The slots, as they are given out and taken back at an hour.
    pub(crate) fn slots(&self, now: Hour) -> SlotsAt<'_> {
        SlotsAt::new(self, now)
    }

    /// What is wrong with the ledger's file by now; nothing, where it has none.
    pub(crate) fn fault(&self) -> Option<LedgerFault> {
        #[cfg(all(target_os = "linux", not(any(loom, miri))))]
        return self.region.file()?.fault();
        #[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
        None
    }
}

#[cfg(test)]
mod plain;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
