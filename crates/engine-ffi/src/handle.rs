//! Engines by the names that C holds of them.
//!
//! What C takes for a pointer is a number: a mark, the place of the engine in
//! one table, and how many engines had the place before. It is never followed,
//! only compared. So a handle that was freed, made up or copied from garbage
//! finds nothing, and one engine may be freed while other threads decide with
//! it: each says at its seat which one it is within, and [`free`] waits until
//! none is within this one. A call takes no lock, and makes no atomic
//! read-modify-write unless more threads live than keep a seat: see
//! [`seat`](crate::seat) and [`seats`].
//!
//! The table takes no lock, for a child of `fork` goes on with whatever state
//! its parent's threads left it in. A place that was being filled or freed at
//! that moment is lost to the child, and so are the seats of other threads; as
//! no handle comes back, nobody waits for those.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::barrier;
use crate::engine_handle::Instance;
use crate::process::Origin;
use crate::result::Refusal;
use crate::result::tk_result::{TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_FULL};
use crate::seat::Name;
use crate::seats;

/// An engine: keys, sessions and counters, and what decides by them.
///
/// A handle is a name, not an address: it is never followed, only looked up,
/// in the time of a few instructions. So a handle that is NULL, was freed, or
/// never was one is found out by every function and denies, from any thread,
/// at any time; freed handles do not come back. At most 256 engines live at
/// one time.
///
/// After `fork` the handles of the parent are of no use in the child: they
/// deny with `TK_REASON_UNUSABLE` and `TK_ERR_FORKED`, for the counters that
/// they would charge are copies which nobody else sees. The child makes an
/// engine of its own; the parent's goes on undisturbed. Counts that are one
/// across processes lie in a ledger file.
pub struct tk_engine(());

/// What a handle leads to.
struct Found {
    /// Where it was made.
    origin: Origin,
    instance: Instance,
}

/// A place for an engine.
struct Place {
    /// Whether it is given out.
    taken: AtomicBool,
    /// Engines that had it before.
    uses: AtomicU64,
    /// The handle by which the engine is found.
    name: Name,
    /// The engine, as long as it has a name and somebody is within it. Only who
    /// has the place writes it.
    found: AtomicPtr<Found>,
}

/// As many places as fit in a byte.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 8;
/// Bits that count a place's uses.
const USE_BITS: u32 = 40;
/// Above them: no address of a program looks so on 64-bit machines, whose
/// upper bits are all alike.
const MARK: u64 = 0x746b << (PLACE_BITS + USE_BITS);

/// What makes a handle a name: so that none is 0, whatever C hands over.
const NAMED: u64 = 1 << 63;

static TABLE: [Place; PLACES] = [const {
    Place {
        taken: AtomicBool::new(false),
        uses: AtomicU64::new(0),
        name: Name::with(AtomicU64::new(0)),
        found: AtomicPtr::new(ptr::null_mut()),
    }
}; PLACES];

/// The place that a handle names; of one that is none, some place.
#[inline]
fn place(handle: u64) -> &'static Place {
    &TABLE[handle as usize % PLACES]
}

#[inline]
fn number(engine: *const tk_engine) -> u64 {
    engine.addr() as u64
}

/// Gives an engine a handle.
pub(crate) fn give(instance: Instance) -> Result<*mut tk_engine, Refusal> {
    // Acquire: pairs with the release in `free`; its place is empty for us.
    // Relaxed where it fails: another's place tells us nothing.
    let taken = |place: &&Place| {
        place
            .taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    let Some((index, place)) = TABLE.iter().enumerate().find(|(_, place)| taken(place)) else {
        return Err(Refusal::told(
            TK_ERR_FULL,
            format!("{PLACES} engines live: free one that is not needed"),
        ));
    };
    // Relaxed: only whoever has taken the place counts, and taking it has
    // ordered that.
    let uses = place.uses.fetch_add(1, Ordering::Relaxed) + 1;
    let uses = (uses & ((1 << USE_BITS) - 1)) << PLACE_BITS;
    let handle = MARK | uses | index as u64;
    let name = handle | NAMED;
    barrier::prepare();
    let found = Box::into_raw(Box::new(Found {
        origin: Origin::here(),
        instance,
    }));
    // Relaxed: `give` publishes it.
    place.found.store(found, Ordering::Relaxed);
    place.name.give(name);
    Ok(ptr::without_provenance_mut(handle as usize))
}

/// Does something with the engine of a handle, which lives at least as long.
#[inline]
pub(crate) fn with<T>(
    engine: *const tk_engine,
    then: impl FnOnce(&Instance) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    with_thread(engine, |instance, _| then(instance))
}

/// The same, with a number that no other thread has meanwhile.
#[inline(always)]
pub(crate) fn with_thread<T>(
    engine: *const tk_engine,
    then: impl FnOnce(&Instance, usize) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let handle = number(engine);
    let place = place(handle);
    let Some((stay, is_there)) = seats::enter(handle | NAMED, &place.name) else {
        return Err(CROWDED);
    };
    if !is_there {
        return Err(unknown(engine));
    }
    // Relaxed: it was written before the name was given, which `enter` has read.
    let found = place.found.load(Ordering::Relaxed);
    // SAFETY: the place has this name, so the engine is whole; it is freed only
    // after its name has ended and nobody is within, and `stay` is.
    let found = unsafe { &*found };
    if !found.origin.is_here() {
        return Err(FORKED);
    }
    let outcome = then(&found.instance, stay.number());
    drop(stay);
    outcome
}

/// Frees the engine of a handle once no other thread is within a call that
/// found it; from the start of this call on, none finds it any more.
///
/// In a child of `fork` the engine is the parent's: only the handle ends.
pub(crate) fn free(engine: *const tk_engine) -> Result<(), Refusal> {
    let handle = number(engine);
    let place = place(handle);
    let name = handle | NAMED;
    // Of several threads that free one handle, one ends its name.
    if !place.name.end(name, barrier::heavy) {
        return Err(unknown(engine));
    }
    // Relaxed: `end` has seen the name that was given after it was written. It
    // stays there: who has entered by the name may not have read it yet.
    let found = place.found.load(Ordering::Relaxed);
    // SAFETY: from `Box::into_raw` in `give`, and freed by nobody but the one
    // that has ended the name. Others may still be within, but only share it.
    let is_ours = unsafe { &*found }.origin.is_here();
    if is_ours {
        let mut waited = 0;
        while seats::any_within(name) {
            pause(&mut waited);
        }
        // Relaxed: nobody is within any more, nor will be by this name.
        place.found.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: as above, and nobody is within any more, nor will be.
        drop(unsafe { Box::from_raw(found) });
    } else {
        // Its threads are not in this process and its locks may be held by
        // them: it is left alone. Its memory is shared with the parent until
        // either writes to it.
        leave(found);
    }
    // Release: see `give`.
    place.taken.store(false, Ordering::Release);
    Ok(())
}

/// An engine of a parent's, whose handle has ended here.
struct Left {
    _found: *mut Found,
    _next: *mut Left,
}

/// Keeps an engine for good, where those who look for leaks find it.
fn leave(found: *mut Found) {
    static LEFT: AtomicPtr<Left> = AtomicPtr::new(ptr::null_mut());
    let left = Box::leak(Box::new(Left {
        _found: found,
        _next: ptr::null_mut(),
    }));
    // Relaxed throughout: nobody ever follows these.
    let mut first = LEFT.load(Ordering::Relaxed);
    loop {
        left._next = first;
        let outcome = LEFT.compare_exchange_weak(first, left, Ordering::Relaxed, Ordering::Relaxed);
        match outcome {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

/// Waits a little: a decision takes less than a microsecond, unless its thread
/// was put aside in the middle.
#[expect(
    clippy::disallowed_methods,
    reason = "a decision pays for nothing that would tell of its end"
)]
fn pause(waited: &mut u32) {
    match *waited {
        0..100 => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros(100)),
    }
    *waited = waited.saturating_add(1);
}

const FORKED: Refusal = Refusal::of(
    TK_ERR_FORKED,
    "the engine was made before fork, and its counters are the parent's: make an engine in \
     this process, after fork",
);

const CROWDED: Refusal = Refusal::of(
    TK_ERR_FULL,
    "more threads are within calls at this moment than there is room for: of any 1024 all \
     may be",
);

#[cold]
fn unknown(engine: *const tk_engine) -> Refusal {
    let text = if engine.is_null() {
        "the engine is NULL: make one with tk_engine_new, and look at what it answers"
    } else {
        "the engine was freed, or never was one"
    };
    Refusal::of(TK_ERR_ENGINE, text)
}
