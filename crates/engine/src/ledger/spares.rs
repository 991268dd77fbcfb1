//! What one process keeps of a shared directory for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::time::Hour;

/// Lines that this process has taken and nobody uses, and how far it has looked
/// for slots that have rested.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Whose they are: what a child of `fork` finds here is its parent's.
    process: u32,
    nodes: Vec<u32>,
    slots: Vec<u32>,
    /// The hour of the present round of looks, the head where it goes on, and
    /// how many heads are left of it.
    round: Option<(Hour, u64, u64)>,
}

impl Spares {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = process();
        if kept.process != process {
            *kept = Kept {
                process,
                ..Kept::default()
            };
        }
        kept
    }

    pub(super) fn put_node(&self, node: u32) {
        self.kept().nodes.push(node);
    }

    pub(super) fn node(&self) -> Option<u32> {
        self.kept().nodes.pop()
    }

    pub(super) fn put_slot(&self, slot: u32) {
        self.kept().slots.push(slot);
    }

    pub(super) fn slot(&self) -> Option<u32> {
        self.kept().slots.pop()
    }

    /// The next head to look under; none where all were looked at in this hour
    /// and nothing had rested.
    pub(super) fn next_head(&self, now: Hour, heads: u64) -> Option<u64> {
        let mut kept = self.kept();
        let (at, left) = match kept.round {
            Some((hour, at, left)) if hour == now => (at, left),
            Some((_, at, _)) => (at, heads),
            None => (0, heads),
        };
        let left = left.checked_sub(1)?;
        kept.round = Some((now, (at + 1) % heads, left));
        Some(at)
    }

    /// Begins a round anew: there may be more of them.
    pub(super) fn found_rested(&self, heads: u64) {
        let mut kept = self.kept();
        if let Some((hour, at, _)) = kept.round {
            kept.round = Some((hour, at, heads));
        }
    }
}

#[cfg(not(any(loom, miri)))]
fn process() -> u32 {
    std::process::id()
}

/// Nobody forks there.
#[cfg(any(loom, miri))]
fn process() -> u32 {
    1
}
