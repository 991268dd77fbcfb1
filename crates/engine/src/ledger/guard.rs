//! What happens when a mapped file loses pages under us.
//!
//! To touch a page that the file no longer has, or that cannot be read, raises
//! SIGBUS, which ends a process unless it is handled. Here it is handled for
//! ledgers alone: the page is replaced by one of ones, in this process and for
//! good, and so are those around it that the file has lost too. A word of ones
//! says "the last hour there is, all used", so that limited keys whose counts
//! lay there are refused: closed, not open. Of failures it says nothing, so
//! blocks that lay there are forgotten. Whoever asks for the ledger's fault is
//! told. For any other address whoever handled the signal before is called; one
//! who is set up after us must call us in turn.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Ledgers that a process can have open at once.
const MOST: usize = 64;
/// What is replaced at once, so that a large file that is cut short does not
/// leave more mappings than a process may have.
const BLOCK: usize = 2 << 20;
/// The start of a place that is being filled. No address.
const FILLING: usize = 1;

/// Where a ledger lies, and how many of its pages were lost.
struct Guarded {
    /// 0 where no ledger is.
    start: AtomicUsize,
    end: AtomicUsize,
    /// Its file.
    fd: AtomicI32,
    lost: AtomicUsize,
}

static GUARDED: [Guarded; MOST] = [const {
    Guarded {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        fd: AtomicI32::new(-1),
        lost: AtomicUsize::new(0),
    }
}; MOST];
/// What the process did with the signal before; there once we handle it.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// A ledger's memory, guarded until it is dropped.
pub(super) struct Guard(&'static Guarded);

impl Guard {
    /// Guards so many bytes at an address, whole pages of a file that stays open
    /// as long as this.
    ///
    /// # Errors
    ///
    /// Too many are guarded already, or the system lets nobody handle the
    /// signal.
    pub(super) fn new(start: usize, bytes: usize, file: BorrowedFd<'_>) -> io::Result<Self> {
        handle_signal()?;
        // No lock, which a fork could leave taken. Acquire: after whoever had
        // the place has left it. Relaxed where it fails, here and below: the
        // handler looks at nothing before it finds a start, and what it finds
        // with one stays as long as that.
        let take = |guarded: &&Guarded| {
            guarded
                .start
                .compare_exchange(0, FILLING, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        let guarded = GUARDED.iter().find(take).ok_or_else(|| {
            io::Error::other(format!("{MOST} ledgers are open in this process already"))
        })?;
        guarded.lost.store(0, Ordering::Relaxed);
        guarded.fd.store(file.as_raw_fd(), Ordering::Relaxed);
        guarded.end.store(start + bytes, Ordering::Relaxed);
        // Release: the handler that finds the start finds the rest.
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
        // Release: see `Guard::new`. Nobody touches the memory any more.
        self.0.start.store(0, Ordering::Release);
    }
}

/// Sees to it that the signal comes to [`on_signal`], once for the process.
fn handle_signal() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // SAFETY: all zeroes is a valid `sigaction`: no flags, nothing masked.
    let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = on_signal as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the handler does only what a handler may: system calls, loads and
    // stores of atomics. `before` has room for what was in force.
    let set = unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, before.as_mut_ptr()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeroes is a valid `sigaction`, and the system has filled it.
    let before = unsafe { before.assume_init() };
    // Of several threads that come here at once the others find ourselves.
    if before.sa_sigaction != ours.sa_sigaction {
        let _ = BEFORE.set(before);
    }
    Ok(())
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands a handler of this kind a valid `info`.
    let told = unsafe { &*info };
    // Not above 0: sent by somebody, and there is no address.
    let is_fault = told.si_code > 0;
    if is_fault {
        // SAFETY: a fault has an address.
        let at = unsafe { told.si_addr() } as usize;
        if let Some(guarded) = guarded(at)
            && lose(guarded, at)
        {
            return;
        }
    }
    pass_on(signal, info, context, is_fault);
}

/// The ledger that an address lies in.
fn guarded(at: usize) -> Option<&'static Guarded> {
    GUARDED.iter().find(|guarded| {
        // Acquire: see `Guard::new`.
        let start = guarded.start.load(Ordering::Acquire);
        // Acquire keeps the second look at the start behind it: unless that is
        // the same, the two belong to different ledgers.
        let end = guarded.end.load(Ordering::Acquire);
        start > FILLING
            && (start..end).contains(&at)
            && guarded.start.load(Ordering::Relaxed) == start
    })
}

/// Gives up the page that an address lies in, and those around it that the file
/// no longer has; whether that could be done.
fn lose(guarded: &Guarded, at: usize) -> bool {
    // SAFETY: where the errors of this thread lie.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above. None is lost by what follows.
    let kept = unsafe { *errno };
    // SAFETY: it asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let own = at & !(page - 1);
    let around = lost_around(guarded, own, page);
    let replaced = replace(around.clone()) || replace(own..own + page);
    if replaced {
        // Relaxed: a count.
        guarded.lost.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: as above.
    unsafe { *errno = kept };
    replaced
}

/// The pages of a block around one that lie beyond the file's end; that page
/// alone where it has another fault.
fn lost_around(guarded: &Guarded, own: usize, page: usize) -> std::ops::Range<usize> {
    let start = guarded.start.load(Ordering::Relaxed);
    let end = guarded.end.load(Ordering::Relaxed);
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `about` has room for the answer.
    let asked = unsafe { libc::fstat(guarded.fd.load(Ordering::Relaxed), about.as_mut_ptr()) };
    if asked == 0 {
        // SAFETY: all zeroes is a valid `stat`, and the system has filled it.
        let bytes = unsafe { about.assume_init() }.st_size;
        let bytes = usize::try_from(bytes).unwrap_or(0);
        let beyond = start.saturating_add(bytes.next_multiple_of(page));
        let from = (own & !(BLOCK - 1)).max(start).max(beyond);
        let to = ((own & !(BLOCK - 1)) + BLOCK).min(end);
        if (from..to).contains(&own) {
            return from..to;
        }
    }
    own..own + page
}

/// Puts pages of ones in place of others: at once, so that nobody finds them
/// half written. Whether that could be done.
fn replace(pages: std::ops::Range<usize>) -> bool {
    let bytes = pages.len();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the system chooses where, so nothing is replaced.
    let ones = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
    if ones == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: the pages are ours alone, and so long.
    unsafe { ones.cast::<u8>().write_bytes(0xFF, bytes) };
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let to = pages.start as *mut c_void;
    // SAFETY: what is replaced are pages of a guarded ledger, which holds atomic
    // words alone and of which any bits are valid.
    let moved = unsafe { libc::mremap(ones, bytes, bytes, flags, to) };
    if moved == libc::MAP_FAILED {
        // SAFETY: it is where it was, and ours.
        unsafe { libc::munmap(ones, bytes) };
    }
    moved != libc::MAP_FAILED
}

/// Calls whoever handled the signal before; the system, where nobody did.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, is_fault: bool) {
    type Plain = extern "C" fn(c_int);
    type Informed = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    // Without: we are being set up. The fault comes again.
    let Some(before) = BEFORE.get() else { return };
    let handler = before.sa_sigaction;
    if handler == libc::SIG_IGN && !is_fault {
        return;
    }
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
