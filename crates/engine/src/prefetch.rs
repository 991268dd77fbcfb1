//! Asking for a cache line before it is read, so that several come at once.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

/// Asks for the line in which `place` begins. A hint: it changes nothing, and
/// does nothing where the compiler offers no such instruction.
#[inline]
pub(crate) fn prefetch<T>(place: &T) {
    prefetch_at(place);
}

/// The same by an address, at which there may be anything or nothing.
#[inline]
pub(crate) fn prefetch_at<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it faults
        // for no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

/// Asks for every line that `place` lies in.
pub(crate) fn prefetch_all<T>(place: &T) {
    let first = std::ptr::from_ref(place);
    for line in (0..size_of::<T>()).step_by(64) {
        prefetch_at(first.wrapping_byte_add(line));
    }
    prefetch_at(first.wrapping_add(1).wrapping_byte_sub(1));
}
