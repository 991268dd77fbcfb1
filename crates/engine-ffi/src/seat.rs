//! How a call keeps an engine alive: it says which one it is within, at its
//! thread's own seat, and whoever frees that one looks at all seats and waits.
//!
//! Both first write and then read: a call its seat and then the place's name,
//! who frees the name and then the seats. With a barrier between the two on
//! either side one of them sees the other. A call's is as light as can be: see
//! `barrier`.
//!
//! The atomics are those of `super`, so that `tests/loom.rs` runs this very code
//! in every interleaving.

use super::atomic::{AtomicU64, Ordering};

/// Where a thread says which engine it is within.
pub(crate) struct Seat(AtomicU64);

/// The name of an engine that may be found; 0 is none.
pub(crate) struct Name(AtomicU64);

impl Seat {
    #[cfg_attr(test, allow(dead_code, reason = "loom's atomics are not constant"))]
    pub(crate) const fn with(within: AtomicU64) -> Self {
        Self(within)
    }

    /// Whether the thread is within a call already: a handler of signals that
    /// came in its midst must not take its seat.
    #[inline(always)]
    pub(crate) fn is_taken(&self) -> bool {
        // Relaxed: only its own thread writes it.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Enters an engine; whether it has this name, and then lives until
    /// [`leave`](Self::leave).
    #[inline(always)]
    pub(crate) fn enter(&self, wanted: u64, name: &Name, light: impl FnOnce()) -> bool {
        // Release: pairs with `is_within`. Who frees the engine that this thread
        // left before may see this store instead of that of `leave`, and all that
        // was done within that one is done. Before the load it is by `light`,
        // which pairs with `heavy` in `end`.
        self.0.store(wanted, Ordering::Release);
        light();
        // Acquire: pairs with `give`; what lies behind the name is whole.
        name.0.load(Ordering::Acquire) == wanted
    }

    /// Leaves it.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Release: pairs with `is_within`; all that was done within is done.
        self.0.store(0, Ordering::Release);
    }

    /// Whether its thread is within an engine, or looks whether it may be.
    pub(crate) fn is_within(&self, name: u64) -> bool {
        // Acquire: see `leave` and `enter`.
        self.0.load(Ordering::Acquire) == name
    }
}

impl Name {
    #[cfg_attr(test, allow(dead_code, reason = "loom's atomics are not constant"))]
    pub(crate) const fn with(name: AtomicU64) -> Self {
        Self(name)
    }

    /// Lets an engine be found, which is whole.
    pub(crate) fn give(&self, name: u64) {
        // Release: see `Seat::enter`.
        self.0.store(name, Ordering::Release);
    }

    /// Lets it be found no more; whether this call did. Afterwards, whoever is
    /// within shows at its seat, and nobody enters.
    pub(crate) fn end(&self, name: u64, heavy: impl FnOnce()) -> bool {
        // Acquire: what `give` published is seen by whoever frees it. Relaxed on
        // failure: nothing is touched then.
        let ended = self
            .0
            .compare_exchange(name, 0, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if ended {
            heavy();
        }
        ended
    }
}
