//! Address space set aside for a file that grows: it is mapped bit by bit, and
//! what is mapped stays where it is.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Address space, of which the beginning is a file's; given back when dropped.
pub(crate) struct Reserved {
    start: NonNull<u8>,
    bytes: usize,
    /// How much is the file's, from the start.
    mapped: AtomicUsize,
    /// Held while more is mapped.
    mapping: Mutex<()>,
}

// SAFETY: a mapping belongs to no thread; who makes references into it says why
// they may be shared.
unsafe impl Send for Reserved {}
// SAFETY: as above; of itself it shows no more than an address and a length.
unsafe impl Sync for Reserved {}

impl Reserved {
    /// Sets aside so many bytes, whole pages, none of which can be touched yet.
    ///
    /// # Errors
    ///
    /// Where the system gives no address space.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the system chooses where, so nothing that is there is
        // replaced.
        let start = unsafe { mmap_anonymous(null_mut(), bytes, ProtFlags::empty(), flags) }?;
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?,
            bytes,
            mapped: AtomicUsize::new(0),
            mapping: Mutex::new(()),
        })
    }

    /// The first byte. It stays where it is for as long as `self` lives.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes were set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes, from the start, are the file's. Never fewer than before.
    pub(crate) fn mapped(&self) -> usize {
        // Acquire pairs with the store in `map`: the pages are there.
        self.mapped.load(Ordering::Acquire)
    }

    /// Maps the file up to so many bytes, whole pages, for all that it is shared
    /// by; as far as there is space. A page that the file does not have raises
    /// SIGBUS when it is touched.
    ///
    /// # Errors
    ///
    /// Where the system maps no more.
    pub(crate) fn map(&self, file: &File, bytes: usize) -> io::Result<()> {
        let _turn = self.mapping.lock().unwrap_or_else(PoisonError::into_inner);
        let from = self.mapped();
        let to = bytes.min(self.bytes);
        if to <= from {
            return Ok(());
        }
        let at: *mut c_void = self.start.as_ptr().wrapping_add(from).cast();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: the place lies within what we set aside, behind what is
        // mapped, so nobody has a reference into it: what is replaced there are
        // pages that cannot be touched.
        unsafe { mmap(at, to - from, protection, flags, file, from as u64) }?;
        // Release: see `mapped`.
        self.mapped.store(to, Ordering::Release);
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: all of it is ours, and whoever had a reference into it had
        // borrowed `self`. An error would leave it mapped, which harms nothing.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
