//! Which addresses were lately found blocked, by name: what people ask for.
//!
//! The table knows an address by a hash under secret seeds, from which none
//! can be told. So the last ones whose block began, or was met with, are kept
//! here besides. Each is looked up in the table before it is shown: what lies
//! here is a hint, and an address that lies here for no reason is not named.

use crate::net::ClientAddr;
use crate::sync::{AtomicU64, Ordering};

/// Addresses that are kept: 32 KiB.
const PLACES: usize = if cfg!(loom) {
    2
} else if cfg!(miri) {
    16
} else {
    4096
};

/// The addresses, each by the unit in which it is counted; 0 is none.
pub(crate) struct Lately {
    units: Box<[AtomicU64]>,
    next: AtomicU64,
}

impl Lately {
    pub(crate) fn new() -> Self {
        Self {
            units: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicU64::new(0),
        }
    }

    /// Keeps an address, in the place of the one that has been kept longest.
    /// Wait-free.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&self, client: ClientAddr) {
        // Relaxed, throughout: a hint publishes nothing, and the table says
        // what is true of it.
        let at = self.next.fetch_add(1, Ordering::Relaxed) as usize % PLACES;
        if let Some(place) = self.units.get(at) {
            place.store(client.unit(), Ordering::Relaxed);
        }
    }

    /// All that are kept, each once.
    pub(crate) fn all(&self) -> Vec<ClientAddr> {
        let units = self.units.iter().map(|unit| unit.load(Ordering::Relaxed));
        let mut units: Vec<u64> = units.filter(|unit| *unit != 0).collect();
        units.sort_unstable();
        units.dedup();
        units.into_iter().map(ClientAddr::of_unit).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn the_last_are_kept_each_once() {
        let lately = Lately::new();
        let addr = |n: u32| ClientAddr::from(IpAddr::V4(Ipv4Addr::from(n)));
        for n in 0..PLACES as u32 + 10 {
            lately.note(addr(n));
        }
        let kept = lately.all();
        assert_eq!(kept.len(), PLACES);
        assert!(!kept.contains(&addr(9)) && kept.contains(&addr(10)));
        for _ in 0..PLACES {
            lately.note(addr(7));
        }
        assert_eq!(lately.all(), [addr(7)]);
    }
}
