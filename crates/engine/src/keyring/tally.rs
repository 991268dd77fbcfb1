//! How many keys there are, by their state.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::policy::KeyState;

/// The numbers. Changed by the writer at turn alone, read by anybody.
///
/// Relaxed throughout: each is a number and no more. Whoever reads while a
/// writer is at turn may find the one key that changes its state twice.
#[derive(Default)]
pub(super) struct Tally([AtomicUsize; 3]);

impl Tally {
    fn place(&self, state: KeyState) -> &AtomicUsize {
        &self.0[match state {
            KeyState::Active => 0,
            KeyState::Disabled => 1,
            KeyState::Revoked => 2,
        }]
    }

    /// Keys in a state.
    pub(super) fn of(&self, state: KeyState) -> usize {
        self.place(state).load(Ordering::Relaxed)
    }

    /// Keys in any state.
    pub(super) fn all(&self) -> usize {
        self.0.iter().map(|keys| keys.load(Ordering::Relaxed)).sum()
    }

    /// A key came, or is in another state than `before`.
    pub(super) fn is_now(&self, state: KeyState, before: Option<KeyState>) {
        self.place(state).fetch_add(1, Ordering::Relaxed);
        if let Some(before) = before {
            self.is_gone(before);
        }
    }

    /// A key went.
    pub(super) fn is_gone(&self, state: KeyState) {
        self.place(state).fetch_sub(1, Ordering::Relaxed);
    }
}
