//! One place of a block: empty, or a record that stays what it is.
//!
//! A record in a published block never changes and never goes. But a place
//! that is empty may be filled, once, while others read: the id comes last, and
//! whoever sees it sees the whole record. So a new key costs one line and not a
//! copy of its block.
//!
//! In which order that is done and seen stands here, for memory and for loom's
//! models alike; what a place is made of, in `line` and in `modelled`.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(not(loom))]
mod line;
#[cfg(loom)]
mod modelled;

use super::record::Record;
use crate::key::KeyId;
use crate::sync::Ordering;

#[cfg(not(loom))]
pub(super) use line::Place;
#[cfg(loom)]
pub(super) use modelled::Place;

/// What a place holds, as one look at its id told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Empty,
    /// The key that was looked for.
    Sought,
    Another,
}

impl Place {
    /// A place without a record.
    pub(super) fn empty() -> Self {
        Self::holding(Record::empty())
    }

    /// Looks at the place for a key.
    #[inline]
    pub(super) fn see(&self, id: KeyId) -> Seen {
        let bits = self.id_bits();
        if bits == id.to_bits() {
            Seen::Sought
        } else if bits == Record::EMPTY_ID {
            Seen::Empty
        } else {
            Seen::Another
        }
    }

    /// The record, if there is one.
    #[inline]
    pub(super) fn record(&self) -> Option<&Record> {
        if self.id_bits() == Record::EMPTY_ID {
            return None;
        }
        // SAFETY: the id was seen, and with it all that `fill` wrote.
        Some(unsafe { self.whole() })
    }

    fn id_bits(&self) -> u64 {
        // Acquire pairs with the Release in `fill`: who sees the id sees all
        // that was written before it.
        self.id().load(Ordering::Acquire)
    }

    /// Fills an empty place that others may be looking at.
    ///
    /// # Safety
    ///
    /// The place is empty, and meanwhile nobody else fills it or copies it.
    pub(super) unsafe fn fill(&self, record: &Record) {
        debug_assert!(self.record().is_none());
        // SAFETY: as the caller says.
        unsafe { self.write_but_id(record) };
        // Release pairs with the Acquire in `id_bits`: publishes the record.
        self.id().store(record.id().to_bits(), Ordering::Release);
    }

    /// Puts anything into a place that nobody else sees.
    pub(super) fn set(&mut self, record: Record) {
        *self = Self::holding(record);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
