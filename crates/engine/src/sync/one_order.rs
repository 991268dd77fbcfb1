//! The one order of SeqCst steps, for models that are about it.
//!
//! Loom takes SeqCst for Acquire and Release, and so finds faults that it keeps
//! out: a thread swaps one word and loads another, a second thread the other
//! way round, and neither sees the other's swap. In these models a SeqCst swap
//! releases what came before it to every SeqCst load that comes after it, by
//! way of one word. Either alone does nothing, so that the model fails where
//! either is weakened.
//!
//! It is known of `load` and `compare_exchange_weak`, the steps that the engine
//! takes so. To release is more than SeqCst does for words beside the two: a
//! model in one order says nothing of these.

use std::cell::Cell;

use loom::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// Of the thread of a model: loom runs all of the model's on it.
    static KEPT: Cell<bool> = const { Cell::new(false) };
}

loom::lazy_static! {
    /// Its steps are the order.
    static ref ORDER: AtomicU64 = AtomicU64::new(0);
}

/// Begins the order, before any thread: whoever began it later would release
/// by that what it did before.
pub(super) fn begin() {
    ORDER.load(Ordering::Relaxed);
}

/// Runs a model in which the SeqCst steps have one order.
pub(super) fn in_one_order(model: impl FnOnce()) {
    super::while_set(&KEPT, model);
}

/// Before a load.
pub(super) fn before_load(ordering: Ordering) {
    if KEPT.get() && ordering == Ordering::SeqCst {
        // Acquire pairs with `after_swap`, and releases nothing by itself.
        ORDER.fetch_add(1, Ordering::Acquire);
    }
}

/// After a swap that was made.
pub(super) fn after_swap(ordering: Ordering) {
    if KEPT.get() && ordering == Ordering::SeqCst {
        // Release: see `before_load`.
        ORDER.fetch_add(1, Ordering::Release);
    }
}
