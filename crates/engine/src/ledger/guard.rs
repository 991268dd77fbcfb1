//! What happens when a mapped file loses pages under us.
//!
//! To touch a page that the file no longer has, or that cannot be read, raises
//! SIGBUS, which ends a process unless it is handled. Here it is handled for
//! ledgers alone: the page is replaced by one of ones, in this process and for
//! good. A word of ones says "the last hour there is, all used", so that
//! limited keys whose counts lay there are refused: closed, not open. The first
//! time a line is written to the standard error output. For any other address
//! whoever handled the signal before is called.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Ledgers that a process can have open at once.
const MOST: usize = 64;

/// Where a ledger lies, and how many of its pages were lost.
struct Guarded {
    /// 0 where no ledger is.
    start: AtomicUsize,
    end: AtomicUsize,
    lost: AtomicUsize,
}

static GUARDED: [Guarded; MOST] = [const {
    Guarded {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        lost: AtomicUsize::new(0),
    }
}; MOST];
/// Held while one is entered or taken out.
static ENTERING: Mutex<()> = Mutex::new(());
/// What the process did with the signal before; there once we handle it.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// A ledger's memory, guarded until it is dropped.
pub(super) struct Guard(&'static Guarded);

impl Guard {
    /// Guards so many bytes at an address, whole pages.
    ///
    /// # Errors
    ///
    /// Too many are guarded already, or the system lets nobody handle the
    /// signal.
    pub(super) fn new(start: usize, bytes: usize) -> io::Result<Self> {
        let _turn = ENTERING.lock().unwrap_or_else(PoisonError::into_inner);
        handle_signal()?;
        // Relaxed, here and below: whoever enters or takes one out holds the
        // lock, and the handler looks at nothing before it finds a start.
        let free = |guarded: &&Guarded| guarded.start.load(Ordering::Relaxed) == 0;
        let guarded = GUARDED.iter().find(free);
        let guarded = guarded.ok_or_else(|| {
            io::Error::other(format!("{MOST} ledgers are open in this process already"))
        })?;
        guarded.lost.store(0, Ordering::Relaxed);
        guarded.end.store(start + bytes, Ordering::Relaxed);
        // Release: the handler that finds the start finds the end.
        guarded.start.store(start, Ordering::Release);
        Ok(Self(guarded))
    }

    /// Gives up the page that an address of the memory lies in, as if it had
    /// been lost.
    pub(super) fn give_up(&self, at: usize) {
        // Relaxed: ours from the start.
        let start = self.0.start.load(Ordering::Relaxed);
        if (start..self.0.end.load(Ordering::Relaxed)).contains(&at) {
            lose(self.0, at);
        }
    }

    /// Whether a page was lost.
    pub(super) fn has_lost(&self) -> bool {
        // Relaxed: the page itself says so to whoever reads it.
        self.0.lost.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _turn = ENTERING.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: nobody touches the memory any more.
        self.0.start.store(0, Ordering::Relaxed);
    }
}

/// Sees to it that the signal comes to [`on_signal`], once for the process.
fn handle_signal() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: it only writes what is in force to `before`.
    let asked = unsafe { libc::sigaction(libc::SIGBUS, null(), before.as_mut_ptr()) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeroes is a valid `sigaction`, and the system has filled it.
    let _ = BEFORE.set(unsafe { before.assume_init() });
    // SAFETY: all zeroes is a valid `sigaction`: no flags, nothing masked.
    let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = on_signal as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler does only what a handler may: system calls, loads and
    // stores of atomics.
    let set = unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, null_mut()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands a handler of this kind a valid `info`.
    let told = unsafe { &*info };
    // Not above 0: sent by somebody, and there is no address.
    if told.si_code > 0 {
        // SAFETY: a fault has an address.
        let at = unsafe { told.si_addr() } as usize;
        if let Some(guarded) = guarded(at)
            && lose(guarded, at)
        {
            return;
        }
    }
    pass_on(signal, info, context);
}

/// The ledger that an address lies in.
fn guarded(at: usize) -> Option<&'static Guarded> {
    GUARDED.iter().find(|guarded| {
        // Acquire: see `Guard::new`.
        let start = guarded.start.load(Ordering::Acquire);
        // Relaxed: written before the start.
        start != 0 && start <= at && at < guarded.end.load(Ordering::Relaxed)
    })
}

/// Counts a page of a ledger as lost; whether it could be replaced.
fn lose(guarded: &Guarded, at: usize) -> bool {
    let replaced = replace_page(at);
    // Relaxed: a count.
    if replaced && guarded.lost.fetch_add(1, Ordering::Relaxed) == 0 {
        announce();
    }
    replaced
}

/// Puts a page of ones in place of the one that an address lies in: whole, so
/// that nobody finds it half written. Whether that could be done.
fn replace_page(at: usize) -> bool {
    // SAFETY: it asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    // SAFETY: where the errors of this thread lie; none is lost by what follows.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the system chooses where, so nothing is replaced.
    let ones = unsafe { libc::mmap(null_mut(), page, protection, flags, -1, 0) };
    let mut moved = false;
    if ones != libc::MAP_FAILED {
        // SAFETY: the page is ours alone, and so long.
        unsafe { ones.cast::<u8>().write_bytes(0xFF, page) };
        let to = (at & !(page - 1)) as *mut c_void;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: what is replaced is a page of a guarded ledger, which holds
        // atomic words alone and of which any bits are valid.
        moved = unsafe { libc::mremap(ones, page, page, flags, to) } != libc::MAP_FAILED;
    }
    // SAFETY: as above.
    unsafe { *errno = kept };
    moved
}

/// Says so, where no lock may be taken and nothing allocated.
fn announce() {
    let line = b"tokenkit: the ledger file was cut short or cannot be read; \
                 limited keys whose counts lay there are refused from now on\n";
    // SAFETY: the bytes are there. If they cannot be written, nothing is lost
    // that could be told otherwise.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Calls whoever handled the signal before; the system, where nobody did.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    type Plain = extern "C" fn(c_int);
    type Informed = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    let Some(before) = BEFORE.get() else { return };
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // A fault cannot be ignored. Raised again, it ends the process as it
        // would have without us.
        // SAFETY: both are allowed in a handler.
        #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one proof for both")]
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    } else if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the system would have called it so: that is what it was
        // registered as.
        let handler = unsafe { std::mem::transmute::<usize, Informed>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above.
        let handler = unsafe { std::mem::transmute::<usize, Plain>(handler) };
        handler(signal);
    }
}
