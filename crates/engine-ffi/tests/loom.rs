//! Who decides and who frees, in every interleaving: the code of `seat` itself,
//! over loom's atomics.

#![cfg(not(miri))]

use loom::sync::Arc;
use loom::sync::atomic::fence;
use loom::thread;

/// The atomics of `seat`.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/seat.rs"]
mod seat;

use atomic::{AtomicU64, Ordering};
use seat::{Name, Seat};

const ENGINE: u64 = 1 << 63 | 5;

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
