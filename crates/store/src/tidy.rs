//! What has run out in an engine, thrown away now and then.

use std::time::{Duration, Instant};

use engine::Engine;

/// How often an engine is tidied up.
const EVERY: Duration = Duration::from_secs(1);
/// Seconds for which a session is kept when it has expired: a clock that is set
/// back by less needs none of them again.
const KEPT_S: u64 = 60;

/// When an engine was last tidied up, and how far.
#[derive(Debug)]
pub(crate) struct Tidy {
    at: Instant,
    /// Sessions that expired at this unix second or before are gone.
    purged_to: u64,
}

impl Tidy {
    pub(crate) fn new() -> Self {
        Self {
            at: Instant::now(),
            purged_to: 0,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.at.elapsed() >= EVERY
    }

    /// Tidies an engine up. Whether sessions may be gone that have not expired:
    /// the clock had been ahead, and is no longer.
    pub(crate) fn up(&mut self, engine: &Engine) -> bool {
        self.at = Instant::now();
        let now = engine.clock().now();
        let was_ahead = self.purged_to > now;
        let to = now.saturating_sub(KEPT_S);
        engine.purge_sessions(to);
        engine.reclaim();
        self.purged_to = if was_ahead {
            to
        } else {
            self.purged_to.max(to)
        };
        was_ahead
    }
}
