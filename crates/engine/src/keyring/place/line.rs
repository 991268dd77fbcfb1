//! A place as it lies in memory: one cache line, which is the record.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::cell::UnsafeCell;
use std::sync::atomic::AtomicU64;

use super::Record;
use crate::sync::step;

/// A place for one record. Its id is read atomically while it may be empty; all
/// else only once the id is there.
#[repr(transparent)]
pub(in crate::keyring) struct Place(UnsafeCell<Record>);

// SAFETY: a record is plain data. Through a shared place it is written by `fill`
// alone, whose caller sees to it that no other write is under way, and read
// only after its id was seen, which `fill` stores last.
unsafe impl Sync for Place {}

impl Place {
    /// A place with this in it.
    pub(super) const fn holding(record: Record) -> Self {
        Self(UnsafeCell::new(record))
    }

    /// The id, for a step on it.
    #[inline]
    pub(super) fn id(&self) -> &AtomicU64 {
        step();
        // SAFETY: the pointer is aligned and good for as long as `self`, and
        // while it is shared the id is written by no other than `fill`, which
        // does so atomically.
        unsafe { AtomicU64::from_ptr(Record::id_within(self.0.get())) }
    }

    /// The record.
    ///
    /// # Safety
    ///
    /// The id was seen, and with it all that was written before it.
    #[inline]
    pub(super) unsafe fn whole(&self) -> &Record {
        // SAFETY: what was written is seen, says the caller; from then on
        // nothing in the place changes while it is shared.
        unsafe { &*self.0.get() }
    }

    /// Writes all but the id.
    ///
    /// # Safety
    ///
    /// The place is empty, and nobody else writes to it or copies it.
    pub(super) unsafe fn write_but_id(&self, record: &Record) {
        // SAFETY: good for writes. Nobody else writes, says the caller, and
        // nobody reads what is written here before the id is there.
        unsafe { record.write_but_id(self.0.get()) };
    }

    /// Copies places.
    ///
    /// # Safety
    ///
    /// `to` is aligned, good for writes, and nobody else's. None of `from` is
    /// filled meanwhile.
    pub(in crate::keyring) unsafe fn copy_all<const N: usize>(
        from: &[Self; N],
        to: *mut [Self; N],
    ) {
        // SAFETY: `to` is the caller's alone, and so overlaps with nothing that
        // is borrowed. A place is plain data, which nobody writes meanwhile.
        unsafe { to.copy_from_nonoverlapping(from, 1) };
    }
}
