//! Failed attempts for each client address, and the blocks they lead to.
//!
//! A fixed, set-associative table of cache lines that never grows. A set is
//! one line of 8 addresses and, for each, a way: a state word and a ring of 12
//! bucket words. Written only by guesses; a request from an address without
//! failures reads one line. The sets are the shards: addresses of different
//! sets share nothing.
//!
//! # How a way stays consistent without a lock
//!
//! A state word packs (owner, generation, until). A bucket word packs (check,
//! lap, count), where the check mixes the address with the generation of its
//! state and the lap is the bucket's number divided by 12. A bucket counts for
//! an address at a time only if check and lap are the very ones expected. So
//! one swap of the state word, which sets a block and raises the generation,
//! voids all 12 counts at once; a way that changes hands voids them as well;
//! and a count added late under an old generation is void from the start.
//!
//! A way that changes hands keeps its state word until its new owner is
//! blocked. Others' state says nothing to an address, unless 18 bits of their
//! hashes agree and the way was given up while blocked, which takes a set full
//! of blocks; an address that comes back to its old way finds its own again.
//!
//! In a full set two threads may each make room for the same address. Both
//! ways then stand, and count together, until one is given up.
//!
//! In a set full of blocks the one that ends first gives way. Lock-free: every
//! retry follows another thread's success.

mod way;
mod window;

use crate::ledger::Line;
use crate::net::ClientAddr;
use crate::sync::{AtomicU64, Ordering};

use way::Way;
pub(crate) use way::{MAX_BLOCKS_PER_WINDOW, MAX_THRESHOLD};
pub(crate) use window::Window;

/// Addresses in a set. Two are enough for a model.
const WAYS: usize = if cfg!(loom) { 2 } else { 8 };
/// Lines in a set: the addresses, then two for each way.
pub(crate) const LINES_PER_SET: usize = 1 + 2 * WAYS;

/// How many sets hold `addresses` addresses.
pub(crate) fn sets_for(addresses: u32) -> u32 {
    addresses.div_ceil(WAYS as u32)
}

/// Mixes addresses so that who does not know the seeds cannot aim at a set.
///
/// Two folded multiplications: unlike `ahash`, whose output depends on the
/// processor and the version, it is the same wherever the seeds are, and so
/// may lie in memory that several builds of the engine share.
#[derive(Clone, Copy)]
pub(crate) struct Seeds(pub(crate) [u64; 2]);

impl Seeds {
    fn mix(self, unit: u64) -> u64 {
        let once = fold(unit ^ self.0[0], self.0[1] | 1);
        fold(once, 0x9E37_79B9_7F4A_7C15)
    }
}

/// Both halves of a product, the one on the other.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It was among the first `threshold`: answer what is wrong with the key.
    Counted,
    /// The address is blocked until then.
    Blocked { until: u64 },
}

/// The table: a view of the ledger's lines.
#[derive(Clone, Copy)]
pub(crate) struct Failures<'a> {
    lines: &'a [Line],
}

impl<'a> Failures<'a> {
    pub(crate) fn new(lines: &'a [Line]) -> Self {
        debug_assert!(lines.len() >= LINES_PER_SET && lines.len().is_multiple_of(LINES_PER_SET));
        Self { lines }
    }

    /// When the block of an address ends, if it is blocked at `now`. One line
    /// is read, and a second if the address has failures.
    pub(crate) fn blocked_until(self, seeds: Seeds, client: ClientAddr, now: u64) -> Option<u64> {
        let address = Address::new(seeds, client);
        let set = self.set(address);
        // Relaxed: a tag only says where to look; the state word that is read
        // next carries its owner. A block set by another thread at this very
        // moment may be missed, as if this request had come just before.
        (0..WAYS)
            .filter(|&way| set.tags[way].load(Ordering::Relaxed) == address.unit)
            .find_map(|way| set.way(way).blocked_until(address, now))
    }

    /// Counts a failure at `now`, and blocks the address if that makes
    /// `window.threshold`.
    pub(crate) fn record(
        self,
        seeds: Seeds,
        client: ClientAddr,
        now: u64,
        window: &Window,
    ) -> Recorded {
        let address = Address::new(seeds, client);
        let set = self.set(address);
        let mut at = set.claim(seeds, address, now, window);
        let elsewhere = || set.failures_elsewhere(at, address, now, window);
        let (recorded, block) = set.way(at).add(address, now, window, elsewhere);
        // A way that changed hands meanwhile takes a count along, as if it had
        // been given up a moment later. But a block that was earned is not
        // lost: it is set in another way. Acquire pairs with `claim`.
        if let Some(until) = block {
            while set.tags[at].load(Ordering::Acquire) != address.unit {
                at = set.claim(seeds, address, now, window);
                set.way(at).block(address, until);
            }
        }
        recorded
    }

    /// Ends the block of an address; whether there was one. Its failures since
    /// the block began, if any, are forgotten.
    pub(crate) fn unblock(self, seeds: Seeds, client: ClientAddr, now: u64) -> bool {
        let address = Address::new(seeds, client);
        let set = self.set(address);
        let mut was_blocked = false;
        for way in 0..WAYS {
            // Relaxed: as in `blocked_until`.
            if set.tags[way].load(Ordering::Relaxed) == address.unit {
                was_blocked |= set.way(way).unblock(address, now);
            }
        }
        was_blocked
    }

    /// How many addresses are blocked at `now`. Reads the whole table.
    pub(crate) fn count_blocked(self, seeds: Seeds, now: u64) -> usize {
        let sets = self.lines.chunks_exact(LINES_PER_SET).map(Set::new);
        let blocked = |set: &Set<'_>| {
            (0..WAYS)
                .filter(|&way| {
                    // Relaxed: a moment's picture for a gauge.
                    let unit = set.tags[way].load(Ordering::Relaxed);
                    let address = Address::of_unit(seeds, unit);
                    unit != 0 && set.way(way).blocked_until(address, now).is_some()
                })
                .count()
        };
        sets.map(|set| blocked(&set)).sum()
    }

    fn set(self, address: Address) -> Set<'a> {
        let sets = self.lines.len() / LINES_PER_SET;
        // The upper half of the product maps the hash evenly onto the sets.
        let set = ((u128::from(address.hash) * sets as u128) >> 64) as usize;
        Set::new(&self.lines[set * LINES_PER_SET..][..LINES_PER_SET])
    }
}

/// An address as the table knows it.
#[derive(Clone, Copy)]
struct Address {
    /// [`ClientAddr::unit`]; never 0, which marks an empty way.
    unit: u64,
    hash: u64,
}

impl Address {
    fn new(seeds: Seeds, client: ClientAddr) -> Self {
        Self::of_unit(seeds, client.unit())
    }

    fn of_unit(seeds: Seeds, unit: u64) -> Self {
        let hash = seeds.mix(unit);
        Self { unit, hash }
    }
}

/// One set of the table.
struct Set<'a> {
    tags: &'a [AtomicU64],
    ways: &'a [Line],
}

impl<'a> Set<'a> {
    fn new(lines: &'a [Line]) -> Self {
        let (tags, ways) = lines.split_at(1);
        Self {
            tags: &tags[0].0[..WAYS],
            ways,
        }
    }

    fn way(&self, at: usize) -> Way<'a> {
        Way::new(&self.ways[2 * at], &self.ways[2 * at + 1])
    }

    fn find(&self, address: Address) -> Option<usize> {
        // Acquire pairs with the swap in `claim`: what the last owner did to
        // the way comes before what we do to it.
        (0..WAYS).find(|&way| self.tags[way].load(Ordering::Acquire) == address.unit)
    }

    /// The way of an address, taken from whom it matters least to if need be.
    fn claim(&self, seeds: Seeds, address: Address, now: u64, window: &Window) -> usize {
        loop {
            if let Some(at) = self.find(address) {
                return at;
            }
            let (at, tag) = self.least_needed(seeds, address, now, window);
            // AcqRel: orders what the last owner did to the way before what we
            // do to it. It fails where another took the way first, perhaps for
            // this very address: look again.
            if self.tags[at]
                .compare_exchange(tag, address.unit, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return at;
            }
        }
    }

    /// Failures of an address that count at `now` in other ways than `at`.
    fn failures_elsewhere(&self, at: usize, address: Address, now: u64, window: &Window) -> u64 {
        (0..WAYS)
            // Relaxed: the caller has a fence between its own swaps and this.
            .filter(|&way| way != at && self.tags[way].load(Ordering::Relaxed) == address.unit)
            .map(|way| self.way(way).failures(address, now, window))
            .sum()
    }

    /// The way to give up: an empty one, else one whose window has run out,
    /// else that with the fewest failures, and a blocked one last. Looks from
    /// a place that depends on the address, so that two threads that insert
    /// the same one mostly agree.
    fn least_needed(
        &self,
        seeds: Seeds,
        address: Address,
        now: u64,
        window: &Window,
    ) -> (usize, u64) {
        let start = (address.hash >> 38) as usize % WAYS;
        let mut best = (start, 0);
        let mut best_worth = u64::MAX;
        for i in 0..WAYS {
            let at = (start + i) % WAYS;
            // Acquire pairs with the swap in `claim`: a tag comes with what
            // its owner's way held then.
            let tag = self.tags[at].load(Ordering::Acquire);
            // Or the address's own, which another thread has put in since
            // `find` looked: not a second way beside it.
            if tag == 0 || tag == address.unit {
                return (at, tag);
            }
            let worth = self
                .way(at)
                .worth(Address::of_unit(seeds, tag), now, window);
            if worth < best_worth {
                best = (at, tag);
                best_worth = worth;
            }
        }
        best
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
