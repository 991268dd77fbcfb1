//! The slots of the keys' hours, given out and taken back.

use std::sync::PoisonError;

use super::own_slots::AllTaken;
use super::{Ledger, LedgerFault, Slots};
use crate::hours::Ring;
use crate::key::KeyId;
use crate::time::Hour;

/// The slots at an hour.
#[derive(Clone, Copy)]
pub(crate) struct SlotsAt<'l> {
    ledger: &'l Ledger,
    now: Hour,
}

/// Why there are no slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotsError {
    /// All are taken.
    Full,
    /// The ledger's file does not give them.
    Fault(LedgerFault),
}

/// Slots that were taken, each for its key.
pub(crate) struct Taken<'l>(Source<'l>);

enum Source<'l> {
    Own {
        ledger: &'l Ledger,
        taken: AllTaken,
    },
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    Shared(std::vec::IntoIter<u32>),
}

impl Iterator for Taken<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match &mut self.0 {
            Source::Own { ledger, taken } => {
                let taken = taken.next()?;
                if taken.anothers
                    && let Some(ring) = ledger.ring(taken.slot)
                {
                    ring.clear(ledger.usage());
                }
                Some(taken.slot)
            }
            #[cfg(all(target_os = "linux", not(any(loom, miri))))]
            Source::Shared(slots) => slots.next(),
        }
    }
}

impl<'l> SlotsAt<'l> {
    pub(super) fn new(ledger: &'l Ledger, now: Hour) -> Self {
        Self { ledger, now }
    }

    /// Takes a slot for each of some keys that have none here, in their order.
    /// No key stands twice. `keys` is asked only if it matters which they are.
    ///
    /// Where it fails, none is taken in memory of our own. In a file some keys
    /// may have got theirs: it waits for them, should they come again.
    pub(crate) fn take(
        self,
        count: usize,
        keys: impl FnOnce() -> Vec<KeyId>,
    ) -> Result<Taken<'l>, SlotsError> {
        let ledger = self.ledger;
        match &ledger.slots {
            Slots::Own(slots) => {
                let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = slots.take(count, keys, self.now, |slot| self.newest(slot));
                let taken = taken.ok_or(SlotsError::Full)?;
                Ok(Taken(Source::Own { ledger, taken }))
            }
            #[cfg(all(target_os = "linux", not(any(loom, miri))))]
            Slots::Shared(shared) => {
                let slots = if count == 0 {
                    Vec::new()
                } else {
                    let claimed = shared.claim(&ledger.region, &keys(), self.now);
                    claimed.map_err(SlotsError::Fault)?
                };
                Ok(Taken(Source::Shared(slots.into_iter())))
            }
        }
    }

    /// Gives the slot of a key back that is held here no more.
    pub(crate) fn give_back(self, key: KeyId, slot: u32) {
        match &self.ledger.slots {
            Slots::Own(slots) => {
                let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
                slots.give_back(key, slot, self.now, |slot| self.newest(slot));
            }
            #[cfg(all(target_os = "linux", not(any(loom, miri))))]
            Slots::Shared(shared) => {
                // A damaged ledger keeps the slot, which harms nobody.
                let _ = shared.give_back(&self.ledger.region, key, self.now);
            }
        }
    }

    /// The latest hour that a slot's ring holds.
    fn newest(self, slot: u32) -> Hour {
        let ring = self.ledger.ring(slot);
        ring.map_or(Hour::of(0), Ring::newest)
    }
}
