//! Which addresses were lately found blocked.
//!
//! A request that is refused for its address needs none of what the others
//! need, and the others need not wait for the table of failures before they
//! ask for the rest. Which of the two a request will be is guessed from this;
//! no answer hangs on it, only the order of steps.

use super::Place;
use crate::sync::{AtomicU32, Ordering};

/// Cells; each stands for every so-many-th address. Few enough to stay in the
/// cache, 16 KiB.
const CELLS: usize = 4096;

/// For each cell until when one of its addresses is blocked, in unix seconds as
/// far as 32 bits hold them.
pub(crate) struct Recent(Box<[AtomicU32]>);

impl Recent {
    pub(crate) fn new() -> Self {
        Self((0..CELLS).map(|_| AtomicU32::new(0)).collect())
    }

    fn cell(&self, place: Place<'_>) -> &AtomicU32 {
        &self.0[place.hash.bits() as usize % CELLS]
    }

    /// Whether to look for a block before anything else.
    pub(crate) fn suspects(&self, place: Place<'_>, now: u64) -> bool {
        // Relaxed, here and below: a hint publishes nothing.
        now < u64::from(self.cell(place).load(Ordering::Relaxed))
    }

    /// Notes that an address is blocked; whether that was news. Where several
    /// addresses share a cell, it is news of each that stays blocked longest.
    pub(crate) fn note(&self, place: Place<'_>, until: u64) -> bool {
        let until = u32::try_from(until).unwrap_or(u32::MAX);
        let cell = self.cell(place);
        // Read first: as long as a block lasts its line is only read.
        let is_news = cell.load(Ordering::Relaxed) < until;
        if is_news {
            cell.store(until, Ordering::Relaxed);
        }
        is_news
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::{Failures, LINES_PER_SET, Seeds};
    use super::*;
    use crate::ledger::Line;
    use crate::sync::AtomicU64;

    #[test]
    fn an_address_is_suspected_until_its_block_ends() {
        let lines: [Line; LINES_PER_SET] =
            std::array::from_fn(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))));
        let place = |ip: u32| {
            let client = IpAddr::V4(Ipv4Addr::from(ip)).into();
            Failures::new(&lines, 1).place(Seeds([3, 5]), client)
        };
        let recent = Recent::new();
        assert!(!recent.suspects(place(1), 100));
        assert!(recent.note(place(1), 200), "it is news");
        assert!(!recent.note(place(1), 200) && !recent.note(place(1), 150));
        assert!(recent.suspects(place(1), 100) && recent.suspects(place(1), 199));
        assert!(!recent.suspects(place(1), 200) && !recent.suspects(place(1), 201));
        assert!(!recent.suspects(place(2), 100), "it has a cell of its own");
        assert!(recent.note(place(1), 300) && recent.suspects(place(1), 299));
    }
}
