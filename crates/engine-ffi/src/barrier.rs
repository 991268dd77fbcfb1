//! A barrier of two unequal halves: light for every call, heavy for who frees
//! an engine, which happens seldom.
//!
//! On Linux the heavy half is `membarrier(2)`, in its private expedited form
//! (since 4.14): it makes every other thread of the process that runs execute a
//! full barrier, and one that does not run has passed one. So the light half
//! needs to hold back the compiler alone. Where that call cannot be had both
//! are full fences.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// Whether the light half may be light. Once true it stays so.
static IS_UNEQUAL: AtomicBool = AtomicBool::new(false);

/// Asks the system for the heavy half, before there is an engine to free.
pub(crate) fn prepare() {
    if imp::register() {
        // Relaxed: a call that does not see it uses the full fence, which pairs
        // with either heavy half.
        IS_UNEQUAL.store(true, Ordering::Relaxed);
    }
}

/// The half of each call.
#[inline(always)]
pub(crate) fn light() {
    // Relaxed: see `prepare`.
    if IS_UNEQUAL.load(Ordering::Relaxed) {
        // SeqCst: the compiler keeps a store before it and a load after it in
        // this order; the processor is made to by `heavy`.
        compiler_fence(Ordering::SeqCst);
    } else {
        // SeqCst: a store before it and a load after it stay in this order.
        fence(Ordering::SeqCst);
    }
}

/// The half of who frees.
pub(crate) fn heavy() {
    // SeqCst: this thread's own store and loads, and the fences of calls that
    // are not light.
    fence(Ordering::SeqCst);
    imp::everywhere();
}

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use std::thread;
    use std::time::Duration;

    const PRIVATE_EXPEDITED: libc::c_long = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_long = 1 << 4;

    fn membarrier(command: libc::c_long) -> bool {
        // SAFETY: the call takes numbers alone, and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED)
    }

    /// Makes every thread of the process pass a barrier.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing tells when a processor has written what it holds back"
    )]
    pub(super) fn everywhere() {
        let done = membarrier(PRIVATE_EXPEDITED) || register() && membarrier(PRIVATE_EXPEDITED);
        if !done {
            // It was granted and is not any more, or never was. A processor
            // writes what it holds back within microseconds.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() {}
}
