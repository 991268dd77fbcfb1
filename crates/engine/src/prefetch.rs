//! Asking for a cache line before it is read, so that several come at once.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

/// Asks for the line in which `place` begins. A hint: it changes nothing, and
/// does nothing where the compiler offers no such instruction.
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it faults
        // for no address, let alone for that of a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

/// Asks for every line that `place` lies in.
pub(crate) fn prefetch_all<T>(place: &T) {
    let lines = std::slice::from_ref(place);
    // SAFETY: so many bytes are there; none is read, and where there is padding
    // between them, `MaybeUninit` says so.
    let bytes: &[std::mem::MaybeUninit<u8>] =
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of::<T>()) };
    bytes.iter().step_by(64).for_each(prefetch);
    bytes.last().into_iter().for_each(prefetch);
}
