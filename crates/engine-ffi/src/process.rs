//! Whether this is still the process in which something was made.
//!
//! On Linux a page of ours is wiped by the kernel in every child that `fork`
//! makes (`MADV_WIPEONFORK`, since 4.14), however it was called. A word in it
//! numbers the process: whoever made something compares the number of then with
//! the one that is there, which costs one read. Where the page cannot be had,
//! the process id is asked for each time.
//!
//! Nothing here takes a lock, for another thread might hold it while `fork`
//! copies the memory, and nobody would ever give it back.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of what process something is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    word: Option<&'static AtomicU64>,
    number: u64,
}

/// How many processes of this line have had a number: a child goes on where
/// its parent was, so no ancestor has the number that it takes.
static NUMBERED: AtomicU64 = AtomicU64::new(0);

impl Origin {
    /// Of this process.
    pub(crate) fn here() -> Self {
        let word = page::word();
        let number = match word {
            None => std::process::id().into(),
            Some(word) => {
                // Relaxed, here and below: the number publishes nothing. Who
                // compares it has what it belongs to from elsewhere, by a
                // pointer that was published with it.
                let next = NUMBERED.fetch_add(1, Ordering::Relaxed) + 1;
                match word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => next,
                    Err(present) => present,
                }
            }
        };
        Self { word, number }
    }

    /// The process's number: no ancestor has it.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// Whether this is the process.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        match self.word {
            // Relaxed: see `here`. The kernel wipes the word before the child
            // runs its first instruction.
            Some(word) => word.load(Ordering::Relaxed) == self.number,
            None => u64::from(std::process::id()) == self.number,
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod page {
    #![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    /// Advice is for whole pages: as many bytes as the largest has.
    const LEN: usize = 64 << 10;

    static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

    /// The word that is zero in a child; `None` where the kernel does not wipe.
    pub(super) fn word() -> Option<&'static AtomicU64> {
        // Acquire: pairs with the exchange in `publish`; the page is mapped and
        // marked before its address can be read here.
        let mut page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            page = publish(wiped_page()?);
        }
        // SAFETY: a whole mapping of ours, zeroed, aligned to a page and never
        // unmapped once it is published.
        Some(unsafe { &*page })
    }

    /// Makes a page the one of this process and its children, unless another
    /// thread was first; returns the one that is.
    fn publish(page: *mut AtomicU64) -> *mut AtomicU64 {
        // Release: see `word`. Acquire on failure: another thread's page.
        let outcome =
            PAGE.compare_exchange(ptr::null_mut(), page, Ordering::Release, Ordering::Acquire);
        match outcome {
            Ok(_) => page,
            Err(first) => {
                unmap(page);
                first
            }
        }
    }

    fn wiped_page() -> Option<*mut AtomicU64> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces
        // nothing.
        let page = unsafe { mmap_anonymous(ptr::null_mut(), LEN, access, MapFlags::PRIVATE) };
        let page = page.ok()?;
        // SAFETY: the mapping is ours, and nobody has a reference into it.
        let wiped = unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) };
        if wiped.is_err() {
            unmap(page.cast());
            return None;
        }
        Some(page.cast())
    }

    fn unmap(page: *mut AtomicU64) {
        // SAFETY: a whole mapping of ours, which was never published. Where it
        // cannot be given back it stays, which harms nobody.
        let _ = unsafe { munmap(page.cast(), LEN) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod page {
    use std::sync::atomic::AtomicU64;

    /// Nothing is wiped here: the process id must do.
    pub(super) fn word() -> Option<&'static AtomicU64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_process_have_one_number() {
        let (first, second) = (Origin::here(), Origin::here());
        assert_eq!(first.number, second.number);
        assert!(first.is_here() && second.is_here());
        let other = Origin {
            number: first.number + 1,
            ..first
        };
        assert!(!other.is_here());
    }
}
