//! One place of a block: empty, or a record that stays what it is.
//!
//! A record in a published block never changes and never goes. But a place
//! that is empty may be filled, once, while others read: the id comes last, and
//! whoever sees it sees the whole record. So a new key costs one line and not a
//! copy of its block.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::Record;
use crate::key::KeyId;
use crate::sync::step;

/// A place for one record. Its id is read atomically while it may be empty; all
/// else only once the id is there.
#[repr(transparent)]
pub(super) struct Place(UnsafeCell<Record>);

// SAFETY: a record is plain data. Through a shared place it is written by `fill`
// alone, whose caller sees to it that no other write is under way, and read
// only after its id was seen, which `fill` stores last.
unsafe impl Sync for Place {}

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
    pub(super) const fn empty() -> Self {
        Self(UnsafeCell::new(Record::empty()))
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
        // SAFETY: the id was seen, and with it all that `fill` wrote; from then
        // on nothing in the place changes while it is shared.
        Some(unsafe { &*self.0.get() })
    }

    fn id_bits(&self) -> u64 {
        step();
        // SAFETY: the pointer is aligned and good for as long as `self`, and
        // while it is shared the id is written by no other than `fill`, which
        // does so atomically.
        let id = unsafe { AtomicU64::from_ptr(Record::id_within(self.0.get())) };
        // Acquire pairs with the Release in `fill`: who sees the id sees all
        // that was written before it.
        id.load(Ordering::Acquire)
    }

    /// Fills an empty place that others may be looking at.
    ///
    /// # Safety
    ///
    /// The place is empty, and meanwhile nobody else fills it or copies it.
    pub(super) unsafe fn fill(&self, record: &Record) {
        debug_assert!(self.record().is_none());
        let to = self.0.get();
        // SAFETY: `to` is good for writes. Nobody else writes, says the caller,
        // and nobody reads what is written here before the id is there.
        unsafe { record.write_but_id(to) };
        step();
        // SAFETY: as in `id_bits`.
        let id = unsafe { AtomicU64::from_ptr(Record::id_within(to)) };
        // Release pairs with the Acquire in `id_bits`: publishes the record.
        id.store(record.id().to_bits(), Ordering::Release);
    }

    /// Puts anything into a place that nobody else sees.
    pub(super) fn set(&mut self, record: Record) {
        *self.0.get_mut() = record;
    }
}
