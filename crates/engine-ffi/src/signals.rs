//! Threads that leave signals to those of the program.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

/// What a thread gets for what it does itself. Blocked, such a signal ends the
/// process whoever handles it; and a ledger that loses pages raises SIGBUS, which
/// the engine handles.
#[cfg(all(unix, not(miri)))]
const FAULTS: [libc::c_int; 4] = [libc::SIGBUS, libc::SIGSEGV, libc::SIGFPE, libc::SIGILL];

/// Runs `start` while every signal is blocked for the calling thread but for
/// [`FAULTS`], which are not, whether they were or not: a thread that it starts
/// keeps it so. Gateways handle signals on a thread of theirs, which would sleep
/// on if another got them.
#[cfg(all(unix, not(miri)))]
pub(crate) fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    use std::mem::MaybeUninit;
    use std::ptr;

    /// Puts the mask back, also after a panic.
    struct Restore(libc::sigset_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask was written by the call that blocked; none is
            // asked for.
            let _ = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
        }
    }

    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a place for a set, which this fills.
    let filled = unsafe { libc::sigfillset(mask.as_mut_ptr()) };
    if filled != 0 {
        return start();
    }
    for fault in FAULTS {
        // SAFETY: a filled set. It fails only for what is no signal.
        let _ = unsafe { libc::sigdelset(mask.as_mut_ptr(), fault) };
    }
    // SAFETY: a filled set, and a place for another.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), before.as_mut_ptr()) };
    if blocked != 0 {
        return start();
    }
    // SAFETY: the call that succeeded has filled it.
    let _restore = Restore(unsafe { before.assume_init() });
    start()
}

/// Where there are none, nothing is to be done.
#[cfg(not(all(unix, not(miri))))]
pub(crate) fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    start()
}
