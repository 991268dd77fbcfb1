//! The seats of all threads, and which is the calling thread's own.
//!
//! The first threads each keep a chair until they end: their calls write to
//! lines of their own, by plain stores. Whoever finds none to keep takes one of
//! as many others, for the length of a call: so threads may live in any number,
//! and [`PASSING`] of them, whichever they are, be within calls at one moment.
//!
//! In a child of `fork` the chairs of threads that are not there stay taken. A
//! thread that finds none to keep is a little slower there; of the others, those
//! are lost that somebody was passing at that moment.

use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::barrier;
use crate::seat::{Name, Seat};

/// Chairs that threads keep.
const KEPT_ONES: usize = 1024;
/// Chairs for the others, one call each.
const PASSING: usize = 1024;
const SEATS: usize = KEPT_ONES + PASSING;

/// A seat in lines of its own, and whether a thread has it.
#[repr(align(128))]
struct Chair {
    taken: AtomicBool,
    seat: Seat,
}

static CHAIRS: [Chair; SEATS] = [const {
    Chair {
        taken: AtomicBool::new(false),
        seat: Seat::with(AtomicU64::new(0)),
    }
}; SEATS];

/// Takes a chair that is free of some, which are looked at from one on.
#[cold]
fn take(some: Range<usize>, from: usize) -> Option<usize> {
    let (begin, count) = (some.start, some.len());
    let mut indices = (0..count).map(|step| begin + (from + step) % count);
    indices.find(|&index| {
        let taken = &CHAIRS[index].taken;
        // Relaxed: spares the exchange where it would fail, and tells no more.
        // Acquire: pairs with the release in `give_back`; what the thread before
        // wrote where only who has this chair writes is seen. Relaxed on failure:
        // it is another's, and nothing of it is touched.
        !taken.load(Ordering::Relaxed)
            && taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    })
}

fn give_back(index: usize) {
    // Release: see `take`.
    CHAIRS[index].taken.store(false, Ordering::Release);
}

/// The chair that a thread keeps until its end, if it found one.
struct Kept {
    chair: Cell<Option<usize>>,
    /// Whether it has looked for one, which it does once.
    has_looked: Cell<bool>,
}

impl Kept {
    fn look(&self) -> Option<usize> {
        if self.has_looked.replace(true) {
            return None;
        }
        // The first that is free: the low numbers have counters of their own.
        let index = take(0..KEPT_ONES, 0)?;
        self.chair.set(Some(index));
        Some(index)
    }

    /// Where this thread begins to look for a chair to pass: threads that look
    /// at one time should not all meet at the first.
    fn begins_at(&self) -> usize {
        // Addresses of threads differ by what stacks take, in upper bits; a
        // multiplication (by 2^64 over the golden ratio) brings them to the top.
        let mixed = (ptr::from_ref(self).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as usize
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(index) = self.chair.take() {
            give_back(index);
        }
    }
}

thread_local! {
    static KEPT: Kept = const {
        Kept {
            chair: Cell::new(None),
            has_looked: Cell::new(false),
        }
    };
}

/// A stay within an engine. It ends when this is dropped, whatever happens.
pub(crate) struct Stay {
    index: usize,
    /// Whether the chair is the thread's only for this stay.
    is_passing: bool,
}

/// Enters an engine of a name; whether it is there, and then lives as long as
/// the stay. `None` where more threads are within calls than there are chairs.
#[inline(always)]
pub(crate) fn enter(wanted: u64, name: &Name) -> Option<(Stay, bool)> {
    let kept = KEPT.try_with(|kept| kept.chair.get()).ok().flatten();
    let stay = match kept {
        Some(index) if !CHAIRS[index % SEATS].seat.is_taken() => Stay {
            index,
            is_passing: false,
        },
        _ => other()?,
    };
    let is_there = stay.chair().seat.enter(wanted, name, barrier::light);
    Some((stay, is_there))
}

/// The first stay of a thread, one without a chair of its own, one in the midst
/// of another, or at its end.
#[cold]
fn other() -> Option<Stay> {
    let (kept, begins_at) = KEPT
        .try_with(|kept| (kept.look(), kept.begins_at()))
        .unwrap_or_default();
    if let Some(index) = kept {
        return Some(Stay {
            index,
            is_passing: false,
        });
    }
    Some(Stay {
        index: take(KEPT_ONES..SEATS, begins_at)?,
        is_passing: true,
    })
}

impl Stay {
    #[inline(always)]
    fn chair(&self) -> &'static Chair {
        &CHAIRS[self.index % SEATS]
    }

    /// A number that no other thread has at the same time.
    #[inline(always)]
    pub(crate) fn number(&self) -> usize {
        self.index
    }
}

impl Drop for Stay {
    #[inline(always)]
    fn drop(&mut self) {
        self.chair().seat.leave();
        if self.is_passing {
            give_back(self.index);
        }
    }
}

/// Whether any thread is within the engine of a name that has ended.
pub(crate) fn any_within(name: u64) -> bool {
    CHAIRS.iter().any(|chair| chair.seat.is_within(name))
}
