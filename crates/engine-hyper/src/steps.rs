//! The steps that working out a route's needs takes, counted for tests: a bound
//! in counts holds on any machine, one in time on none.

use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// So many steps were taken on this thread.
pub(crate) fn took(steps: usize) {
    TAKEN.set(TAKEN.get() + steps);
}

/// What `work` returns, and the steps that it took.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.get();
    let done = work();
    (done, TAKEN.get() - before)
}
