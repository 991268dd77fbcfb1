//! What was replaced and may still be read.
//!
//! Writers hand it over here and free it, a batch at a time, when nobody reads
//! it any more. So no reader ever frees anything, and none is waited for: what
//! is still read stays until a later change, or [`Limbo::reclaim`].

use std::sync::PoisonError;

use super::gate::{Gate, Grace};
use crate::sync::Mutex;

/// How many are freed together, at the least: finding out that nobody reads
/// costs a look at every shard of the gate.
const BATCH: usize = 64;

/// Waits for readers to go; dropping a `T` frees what it stands for.
pub(super) struct Limbo<T> {
    /// Only writers take it, and only to hand over or take out; what is taken
    /// out is freed outside.
    waiting: Mutex<Waiting<T>>,
}

struct Waiting<T> {
    /// Replaced since the wait under way began.
    fresh: Vec<T>,
    /// Replaced before it began.
    old: Vec<T>,
    grace: Grace,
}

impl<T> Limbo<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                fresh: Vec::new(),
                old: Vec::new(),
                grace: Grace::Unused,
            }),
        }
    }

    /// Takes what was replaced: what nobody can come to any more.
    pub(super) fn take(&self, gate: &Gate, replaced: T) {
        self.advance(gate, |waiting| {
            waiting.fresh.push(replaced);
            waiting.fresh.len() + waiting.old.len() >= BATCH
        });
    }

    /// Frees what it can.
    pub(super) fn reclaim(&self, gate: &Gate) {
        self.advance(gate, |_| true);
    }

    fn advance(&self, gate: &Gate, wanted: impl FnOnce(&mut Waiting<T>) -> bool) {
        let freed = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            wanted(&mut waiting).then(|| waiting.advance(gate))
        };
        // Outside of the lock: a table takes its time.
        drop(freed);
    }
}

impl<T> Waiting<T> {
    /// What nobody reads any more.
    fn advance(&mut self, gate: &Gate) -> Vec<T> {
        if self.old.is_empty() {
            self.old = std::mem::take(&mut self.fresh);
            self.grace = Grace::Unused;
        }
        if gate.is_over(&mut self.grace) {
            std::mem::take(&mut self.old)
        } else {
            Vec::new()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn freed_in_batches_and_never_under_a_reader() {
        let (gate, limbo) = (Gate::new(), Limbo::new());
        let one = Arc::new(());
        let alive = || Arc::strong_count(&one) - 1;
        for number in 1..BATCH {
            limbo.take(&gate, one.clone());
            assert_eq!(alive(), number);
        }
        limbo.take(&gate, one.clone());
        assert_eq!(alive(), 0, "a full batch, and nobody reads");

        let pass = gate.enter();
        for _ in 0..3 * BATCH {
            limbo.take(&gate, one.clone());
        }
        limbo.reclaim(&gate);
        assert_eq!(alive(), 3 * BATCH);
        drop(pass);
        limbo.reclaim(&gate);
        limbo.reclaim(&gate);
        assert_eq!(alive(), 0, "those before the reader, then those since");
    }
}
