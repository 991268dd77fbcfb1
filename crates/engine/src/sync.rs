//! The one door to atomics, so that loom or shuttle can stand in for them.
//!
//! Loom tries every interleaving of two or three threads, with all that a weak
//! ordering allows: small models. Of SeqCst it knows the fences; a step it takes
//! for Acquire and Release, unless the model is in `one_order`. Shuttle tries
//! many of whole structures and of the whole engine, each operation as if it
//! were sequentially consistent: what an ordering is for, loom alone shows.

#[cfg(all(test, loom))]
use std::cell::Cell;
#[cfg(all(test, loom))]
use std::thread::LocalKey;

#[cfg(all(test, loom))]
mod one_order;
#[cfg(shuttle)]
mod steps;

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(shuttle)]
pub(crate) use std::sync::atomic::{Ordering, fence};
#[cfg(shuttle)]
pub(crate) use steps::{AtomicPtr, AtomicU32, AtomicU64, step};

/// The lock of what takes a step on a word while it holds it: under loom and
/// shuttle, whose threads share one of the system's, any other would wait for
/// ever.
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Words that are pointers.
#[cfg(not(loom))]
pub(crate) use crossbeam_epoch as pointers;
#[cfg(loom)]
pub(crate) mod pointers;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(all(test, loom))]
use one_order::in_one_order;
#[cfg(all(test, loom))]
use turns::in_turns;
#[cfg(loom)]
pub(crate) use turns::{AtomicPtr, AtomicU64};

/// A model in which threads are pre-empted so often at most, or as often as
/// `TK_TEST_PREEMPTIONS` says if that is more.
#[cfg(all(test, loom))]
pub(crate) fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    let asked = std::env::var("TK_TEST_PREEMPTIONS").ok();
    let asked = asked.map(|text| text.parse().expect("TK_TEST_PREEMPTIONS is a number"));
    builder.preemption_bound = asked.max(Some(preemptions));
    builder.max_branches = 10_000;
    builder
}

/// Runs a model while a flag is set: no longer, though the model may panic.
#[cfg(all(test, loom))]
fn while_set(flag: &'static LocalKey<Cell<bool>>, model: impl FnOnce()) {
    struct Set(&'static LocalKey<Cell<bool>>);

    impl Drop for Set {
        fn drop(&mut self) {
            self.0.set(false);
        }
    }

    flag.set(true);
    let _set = Set(flag);
    model();
}

/// A model in turns, of all orders that there are.
#[cfg(all(test, loom))]
pub(crate) fn whole_in_turns(test: impl Fn() + Sync + Send + 'static) {
    in_turns(|| loom::model(test));
}

/// A model in turns, with so many pre-emptions. Where these are fewer than three,
/// for in turns three would take too long, three are tried without turns besides.
#[cfg(all(test, loom))]
pub(crate) fn bounded_in_turns(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let test = std::sync::Arc::new(test);
    if preemptions < 3 {
        let test = test.clone();
        bounded(3).check(move || test());
    }
    in_turns(|| bounded(preemptions).check(move || test()));
}

/// A model whose SeqCst steps have one order, with so many pre-emptions.
#[cfg(all(test, loom))]
pub(crate) fn bounded_in_one_order(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    in_one_order(|| {
        bounded(preemptions).check(move || {
            one_order::begin();
            test();
        });
    });
}

/// Before a step on a word that is of none of these types: here shuttle may let
/// another thread go first. Nothing else needs to be told.
#[cfg(not(shuttle))]
#[inline(always)]
pub(crate) fn step() {}

#[cfg(loom)]
mod turns {
    use std::cell::Cell;
    use std::ops::Deref;

    use loom::sync::atomic::{self, Ordering};

    #[cfg(test)]
    use super::one_order::{after_swap, before_load};

    thread_local! {
        /// Of the thread of a model: loom runs all of the model's on it.
        static TAKEN: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs a model in which every step on a word takes a turn first.
    ///
    /// Loom by itself tries a swap before another thread's load only if that
    /// load is the latest step on the word. Where the swapping thread has
    /// loaded the word too, as is usual, its own load hides the other's, which
    /// so is never tried after the swap. A turn is a swap on a word beside,
    /// and any two swaps are tried in both orders. Relaxed, they order nothing
    /// else. There are many times more orders to try: so for small models.
    #[cfg(test)]
    pub(super) fn in_turns(model: impl FnOnce()) {
        super::while_set(&TAKEN, model);
    }

    /// Loom's atomic.
    #[derive(Debug)]
    pub(crate) struct InTurns<W> {
        word: W,
        turns: atomic::AtomicU64,
    }

    pub(crate) type AtomicU64 = InTurns<atomic::AtomicU64>;
    pub(crate) type AtomicPtr<T> = InTurns<atomic::AtomicPtr<T>>;

    impl<W> InTurns<W> {
        fn of(word: W) -> Self {
            let turns = atomic::AtomicU64::new(0);
            Self { word, turns }
        }
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self::of(atomic::AtomicU64::new(value))
        }

        /// Here and below as loom has it, and in one order where the model is.
        #[cfg(test)]
        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            before_load(ordering);
            (**self).load(ordering)
        }

        #[cfg(test)]
        pub(crate) fn compare_exchange_weak(
            &self,
            seen: u64,
            next: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            let swapped = (**self).compare_exchange_weak(seen, next, success, failure)?;
            after_swap(success);
            Ok(swapped)
        }
    }

    impl<T> AtomicPtr<T> {
        pub(crate) fn new(value: *mut T) -> Self {
            Self::of(atomic::AtomicPtr::new(value))
        }
    }

    /// Takes the turn: once for each step, for each is a method of the word.
    impl<W> Deref for InTurns<W> {
        type Target = W;

        fn deref(&self) -> &W {
            if TAKEN.get() {
                // Relaxed: a swap is a turn by itself, and must order no more.
                self.turns.fetch_add(1, Ordering::Relaxed);
            }
            &self.word
        }
    }
}
