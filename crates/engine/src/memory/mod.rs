//! Memory straight from the system: zeroed, in huge pages where it has them.
//!
//! The one place where it is taken.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(all(target_os = "linux", not(any(loom, miri))))]
mod reserved;

use std::io;
use std::ptr::NonNull;

pub(crate) use imp::Memory;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub(crate) use reserved::Reserved;

/// What the system calls a huge page. Only whole ones, aligned to their own
/// size, can be huge.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// So that a mapping of so many bytes can be aligned to a huge page.
fn with_slack(bytes: usize) -> io::Result<usize> {
    let slack = if bytes < HUGE_PAGE { 0 } else { HUGE_PAGE };
    bytes
        .max(1)
        .checked_add(slack)
        .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

#[cfg(not(any(loom, miri)))]
mod imp {
    use super::{HUGE_PAGE, NonNull, io, with_slack};
    use memmap2::{MmapOptions, MmapRaw};

    /// An anonymous mapping, given back when it is dropped.
    pub(crate) struct Memory {
        /// Held for its drop alone.
        _map: MmapRaw,
        start: NonNull<u8>,
    }

    // SAFETY: a mapping belongs to no thread; who makes references into it
    // says why they may be shared.
    unsafe impl Send for Memory {}
    // SAFETY: as above; of itself it shows no more than an address.
    unsafe impl Sync for Memory {}

    impl Memory {
        /// Reserves `bytes` zeroed bytes, aligned to a page, and to a huge page
        /// if there is at least one. No swap is set aside for them, since most
        /// may never be written: pages are taken as they are first touched.
        ///
        /// # Errors
        ///
        /// Where the system gives no address space.
        pub(crate) fn zeroed(bytes: usize) -> io::Result<Self> {
            let map = MmapOptions::new()
                .len(with_slack(bytes)?)
                .no_reserve_swap()
                .map_anon()?;
            let map = MmapRaw::from(map);
            let start = map.as_mut_ptr();
            let start = if bytes < HUGE_PAGE {
                start
            } else {
                // Past the reach of the TLB huge pages halve the cost of a
                // line. A system without them refuses, and small pages do.
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage);
                let gap = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
                start.wrapping_add(gap)
            };
            let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { _map: map, start })
        }

        /// The first byte. It stays where it is for as long as `self` lives.
        pub(crate) fn start(&self) -> NonNull<u8> {
            self.start
        }
    }
}

/// Miri tracks heap memory more closely than a mapping, and loom needs neither:
/// there it is a plain allocation.
#[cfg(any(loom, miri))]
mod imp {
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    use super::{NonNull, io, with_slack};

    /// An allocation, freed when it is dropped.
    pub(crate) struct Memory {
        layout: Layout,
        start: NonNull<u8>,
    }

    // SAFETY: heap memory belongs to no thread; who makes references into it
    // says why they may be shared.
    unsafe impl Send for Memory {}
    // SAFETY: as above; of itself it shows no more than an address.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(crate) fn zeroed(bytes: usize) -> io::Result<Self> {
            let layout = Layout::from_size_align(with_slack(bytes)?, 4096);
            let layout = layout.map_err(|_| io::ErrorKind::OutOfMemory)?;
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc_zeroed(layout) };
            let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { layout, start })
        }

        pub(crate) fn start(&self) -> NonNull<u8> {
            self.start
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: it came from `alloc_zeroed` with this layout.
            unsafe { dealloc(self.start.as_ptr(), self.layout) }
        }
    }
}
