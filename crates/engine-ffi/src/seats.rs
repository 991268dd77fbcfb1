//! The seats of all threads, and which is the calling thread's own.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::barrier;
use crate::seat::{Name, Seat};

/// Threads that can be within calls at the same time.
pub(crate) const SEATS: usize = 1024;

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

/// Takes a chair that is free.
#[cold]
fn take() -> Option<usize> {
    CHAIRS.iter().position(|chair| {
        // Acquire: pairs with the release in `give_back`; what the thread before
        // wrote where only who has this chair writes is seen. Relaxed on failure:
        // it is another's, and nothing of it is touched.
        chair
            .taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    })
}

fn give_back(index: usize) {
    // Release: see `take`.
    CHAIRS[index].taken.store(false, Ordering::Release);
}

/// The chair that a thread keeps until its end.
struct Kept(Cell<Option<usize>>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(index) = self.0.take() {
            give_back(index);
        }
    }
}

thread_local! {
    static KEPT: Kept = const { Kept(Cell::new(None)) };
}

/// A stay within an engine. It ends when this is dropped, whatever happens.
pub(crate) struct Stay {
    index: usize,
    /// Whether the chair is the thread's only for this stay.
    is_passing: bool,
}

/// Enters an engine of a name; whether it is there, and then lives as long as
/// the stay. `None` where as many threads are within calls as there can be.
#[inline(always)]
pub(crate) fn enter(wanted: u64, name: &Name) -> Option<(Stay, bool)> {
    let kept = KEPT.try_with(|kept| kept.0.get()).ok().flatten();
    let stay = match kept {
        Some(index) if !CHAIRS[index % SEATS].seat.is_taken() => Stay {
            index,
            is_passing: false,
        },
        _ => first()?,
    };
    let is_there = stay.chair().seat.enter(wanted, name, barrier::light);
    Some((stay, is_there))
}

/// The first stay of a thread, one in the midst of another, or at its end.
#[cold]
fn first() -> Option<Stay> {
    let index = take()?;
    let keeps = KEPT.try_with(|kept| {
        let is_first = kept.0.get().is_none();
        if is_first {
            kept.0.set(Some(index));
        }
        is_first
    });
    Some(Stay {
        index,
        is_passing: keeps != Ok(true),
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
