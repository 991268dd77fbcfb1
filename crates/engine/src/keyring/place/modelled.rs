//! A place as loom wants it: the id is a word of loom's, the record a cell of
//! loom's, which tells of a read that is not ordered after the write.
//!
//! It is larger than a line, and made anew rather than copied, since loom keeps
//! a history of each word by its name. Otherwise as in `line`.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use loom::cell::UnsafeCell;

use super::Record;
use crate::sync::AtomicU64;

pub(in crate::keyring) struct Place {
    id: AtomicU64,
    record: UnsafeCell<Record>,
}

// SAFETY: what the models are to show: loom reports a record that is read
// while it may be written.
unsafe impl Sync for Place {}

impl Place {
    pub(super) fn holding(record: Record) -> Self {
        Self {
            id: AtomicU64::new(record.id().to_bits()),
            record: UnsafeCell::new(record),
        }
    }

    pub(super) fn id(&self) -> &AtomicU64 {
        &self.id
    }

    /// # Safety
    ///
    /// As in `line`. That it holds is what loom looks at.
    pub(super) unsafe fn whole(&self) -> &Record {
        // SAFETY: loom has reported it, if it may be written meanwhile.
        self.record.with(|record| unsafe { &*record })
    }

    /// # Safety
    ///
    /// As in `line`. That it holds is what loom looks at.
    pub(super) unsafe fn write_but_id(&self, record: &Record) {
        self.record.with_mut(|to| {
            // SAFETY: loom has reported it, if anybody else reads or writes.
            unsafe { record.write_but_id(to) };
            // So that the record has its id too, once it is read as a whole.
            // SAFETY: as above.
            unsafe { Record::id_within(to).write(record.id().to_bits()) };
        });
    }

    /// # Safety
    ///
    /// As in `line`.
    pub(in crate::keyring) unsafe fn copy_all<const N: usize>(
        from: &[Self; N],
        to: *mut [Self; N],
    ) {
        for (number, place) in from.iter().enumerate() {
            // SAFETY: nobody writes it meanwhile, says the caller.
            let record = unsafe { *place.whole() };
            let to = to.cast::<Self>().wrapping_add(number);
            // SAFETY: the caller's alone; so many places are there.
            unsafe { to.write(Self::holding(record)) };
        }
    }
}
