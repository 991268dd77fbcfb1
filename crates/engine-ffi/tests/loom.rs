//! Who decides and who frees, in every interleaving: the code of `seat` itself,
//! over loom's atomics.

#![cfg(not(miri))]

use loom::sync::Arc;
use loom::sync::atomic::fence;
use loom::thread;

/// The atomics of `seat`.
mod atomic {
    pub(crate) use loom::sync::atomic::Ordering;

    /// loom's; one whose stores publish too little, for a broken twin.
    pub(crate) struct AtomicU64 {
        word: loom::sync::atomic::AtomicU64,
        enters: Ordering,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self {
                word: loom::sync::atomic::AtomicU64::new(value),
                enters: Ordering::Release,
            }
        }

        /// A seat's at which who enters publishes nothing.
        pub(crate) fn entered_relaxed() -> Self {
            Self {
                enters: Ordering::Relaxed,
                ..Self::new(0)
            }
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            self.word.load(ordering)
        }

        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            let weaker = value != 0 && self.enters == Ordering::Relaxed;
            self.word
                .store(value, if weaker { self.enters } else { ordering });
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.word.compare_exchange(current, new, success, failure)
        }
    }
}

#[path = "../src/seat.rs"]
mod seat;

use atomic::{AtomicU64, Ordering};
use seat::{Name, Seat};

const ENGINE: u64 = 1 << 63 | 5;
const NEXT: u64 = 1 << 63 | 6;

/// A place, a seat, and whether the engine there is alive, which nobody orders
/// but the two of them.
struct World {
    name: Name,
    seat: Seat,
    /// Where the engine is: 0 is nowhere.
    found: AtomicU64,
    alive: loom::cell::UnsafeCell<bool>,
}

/// When who frees takes the engine out of its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    BeforeItWaits,
    AfterItWaited,
}

/// One thread decides, another frees what it decides by.
fn decide_while_another_frees(barrier: fn(), takes: Takes) {
    let world = Arc::new(World {
        name: Name::with(AtomicU64::new(0)),
        seat: Seat::with(AtomicU64::new(0)),
        found: AtomicU64::new(1),
        alive: loom::cell::UnsafeCell::new(true),
    });
    world.name.give(ENGINE);
    let other = Arc::clone(&world);
    let decides = thread::spawn(move || {
        assert!(!other.seat.is_taken());
        if other.seat.enter(ENGINE, &other.name, barrier) {
            assert_ne!(other.found.load(Ordering::Relaxed), 0, "nowhere");
            // loom fails the model where this meets the write below.
            other.alive.with(|alive| {
                // SAFETY: what is tested: nobody writes while this thread is
                // within.
                assert!(unsafe { *alive });
            });
        }
        other.seat.leave();
    });
    assert!(world.name.end(ENGINE, barrier));
    if takes == Takes::BeforeItWaits {
        world.found.store(0, Ordering::Relaxed);
    }
    while world.seat.is_within(ENGINE) {
        thread::yield_now();
    }
    world.found.store(0, Ordering::Relaxed);
    world.alive.with_mut(|alive| {
        // SAFETY: what is tested: nobody is within any more.
        unsafe { *alive = false };
    });
    decides.join().unwrap();
    assert!(!world.name.end(ENGINE, barrier));
}

#[test]
fn nobody_is_within_what_is_freed() {
    let fenced = || fence(Ordering::SeqCst);
    loom::model(move || decide_while_another_frees(fenced, Takes::AfterItWaited));
}

/// The broken twin: who has entered by the name finds nothing there.
#[test]
#[should_panic(expected = "nowhere")]
fn taken_out_too_early_somebody_would_find_nothing() {
    let fenced = || fence(Ordering::SeqCst);
    loom::model(move || decide_while_another_frees(fenced, Takes::BeforeItWaits));
}

#[test]
#[should_panic(expected = "Concurrent")]
fn without_barriers_somebody_would_be() {
    loom::model(|| decide_while_another_frees(|| {}, Takes::AfterItWaited));
}

/// One thread decides by one engine and then by the next, another frees the
/// first: it may look at the seat when that shows the next already.
fn decide_by_the_next_while_another_frees(seat: fn() -> AtomicU64) {
    let fenced = || fence(Ordering::SeqCst);
    let world = Arc::new(World {
        name: Name::with(AtomicU64::new(0)),
        seat: Seat::with(seat()),
        found: AtomicU64::new(1),
        alive: loom::cell::UnsafeCell::new(true),
    });
    let next = Arc::new(Name::with(AtomicU64::new(0)));
    world.name.give(ENGINE);
    next.give(NEXT);
    let other = Arc::clone(&world);
    let decides = thread::spawn(move || {
        if other.seat.enter(ENGINE, &other.name, fenced) {
            other.alive.with(|alive| {
                // SAFETY: what is tested: nobody writes while this thread is
                // within.
                assert!(unsafe { *alive });
            });
        }
        other.seat.leave();
        assert!(other.seat.enter(NEXT, &next, fenced));
        other.seat.leave();
    });
    assert!(world.name.end(ENGINE, fenced));
    while world.seat.is_within(ENGINE) {
        thread::yield_now();
    }
    world.alive.with_mut(|alive| {
        // SAFETY: what is tested: nobody is within any more.
        unsafe { *alive = false };
    });
    decides.join().unwrap();
}

#[test]
fn who_went_on_to_the_next_is_done_with_what_is_freed() {
    loom::model(|| decide_by_the_next_while_another_frees(|| AtomicU64::new(0)));
}

/// The broken twin: that it went on says nothing of what it did before.
#[test]
#[should_panic(expected = "Concurrent")]
fn entered_relaxed_it_might_not_be() {
    loom::model(|| decide_by_the_next_while_another_frees(AtomicU64::entered_relaxed));
}
