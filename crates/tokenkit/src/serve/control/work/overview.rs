//! The server at a glance.

use engine::{EngineStats, Reason};

use crate::serve::control::Control;

/// What there is to see at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// When, in unix seconds.
    pub(crate) at: u64,
    /// Decisions since the start, by their reason.
    pub(crate) decisions: Vec<(Reason, u64)>,
    pub(crate) stats: EngineStats,
}

impl Overview {
    /// Keys that are neither disabled nor revoked.
    pub(crate) fn active_keys(&self) -> usize {
        let EngineStats {
            keys,
            disabled_keys,
            revoked_keys,
            ..
        } = self.stats;
        keys.saturating_sub(disabled_keys + revoked_keys)
    }
}

impl Control {
    /// The server at a glance. Reads the whole failures table.
    pub(crate) fn overview(&self) -> Overview {
        let at = self.now();
        Overview {
            at,
            decisions: self.status().decisions(),
            stats: self.engine().stats(at),
        }
    }
}
