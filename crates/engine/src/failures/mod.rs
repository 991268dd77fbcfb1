//! Failed attempts for each client address, and the blocks they lead to.
//!
//! A fixed, set-associative table of cache lines that never grows. A set is
//! one line with the tags of 7 addresses and, for each, a way of two lines: a
//! state word and a ring of 12 bucket words. Written only by guesses; a request
//! from an address without failures reads one line. The sets are the shards:
//! addresses of different sets share nothing.
//!
//! # How a way stays consistent without a lock
//!
//! A tag packs (address hash, way, era), a state word (era, generation, until),
//! a bucket word (check, lap, count). The check mixes address, era and
//! generation; the lap is the bucket's number divided by 12. A way is its
//! tag's address's while the eras of tag and state agree, and a bucket counts
//! only if its check and lap are the very ones expected. So one swap of the
//! state word voids all 12 counts at once, where a block begins (the next
//! generation) or the way is given up (the next era), and a count added late is
//! void from the start. Nothing is ever cleared, and every state of the memory
//! is a valid one.
//!
//! How an address comes to a way, and why never to two, is told in `set`.
//!
//! Of the failures with stamps in one bucket exactly `threshold` are counted,
//! however many come at once. A failure whose stamp is older counts by its own
//! window, in which newer ones are not. One that is a whole window older than
//! the newest takes the place of what its bucket held since.

mod lately;
mod recent;
mod set;
mod tag;
mod way;
mod window;

use crate::ledger::Line;
use crate::net::ClientAddr;

pub(crate) use lately::Lately;
pub(crate) use recent::Recent;
use set::Set;
use tag::AddressHash;
pub(crate) use way::{MAX_BLOCKS_PER_WINDOW, MAX_THRESHOLD};
use way::{State, Way};
pub(crate) use window::Window;

/// Addresses in a set: with a word for their order they fill a line. Two are
/// enough for a model.
pub(crate) const WAYS: usize = if cfg!(loom) { 2 } else { 7 };
/// Lines in a set: the tags, then two for each way.
pub(crate) const LINES_PER_SET: usize = 1 + 2 * WAYS;

/// How often a failure looks for a way that it can be counted in, where others
/// take it each time. Bounded, or two addresses could take a way from each
/// other for ever without either being answered.
const TURNS: usize = 3;

/// How many sets hold `addresses` addresses.
pub(crate) fn sets_for(addresses: u32) -> u32 {
    addresses.div_ceil(WAYS as u32)
}

/// Mixes addresses so that who does not know the seeds cannot aim at a set.
///
/// Two folded multiplications: unlike `ahash`, whose output depends on the
/// processor and the version, it is the same wherever the seeds are, and so
/// may lie in memory that several builds of the engine share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) [u64; 2]);

impl Seeds {
    pub(crate) fn mix(self, unit: u64) -> u64 {
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
    /// It was the last of these: answer the same; the address is blocked until
    /// then.
    Began { until: u64 },
    /// The address is blocked until then.
    Blocked { until: u64 },
}

/// The table: a view of the ledger's lines.
#[derive(Clone, Copy)]
pub(crate) struct Failures<'a> {
    lines: &'a [Line],
    sets: usize,
}

/// One address's place in the table, whether it has failures or not.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    set: Set<'a>,
    hash: AddressHash,
}

/// What was found at a place: the address's way, if it has one, and its state.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a>(Option<(Way<'a>, State)>);

impl<'a> Failures<'a> {
    /// A view of so many sets, not none, in the first lines.
    pub(crate) fn new(lines: &'a [Line], sets: usize) -> Self {
        debug_assert!(sets > 0 && lines.len() >= sets * LINES_PER_SET);
        Self { lines, sets }
    }

    /// The place of an address. Reads nothing.
    pub(crate) fn place(self, seeds: Seeds, client: ClientAddr) -> Place<'a> {
        let hash = seeds.mix(client.unit());
        // The upper half of the product maps the hash evenly onto the sets.
        let set = ((u128::from(hash) * self.sets as u128) >> 64) as usize;
        Place {
            set: self.set(set),
            hash: AddressHash::new(hash),
        }
    }

    fn set(self, at: usize) -> Set<'a> {
        let (lines, _) = self.lines[at * LINES_PER_SET..].as_chunks();
        Set(&lines[0])
    }

    /// How many addresses are blocked at `now`. Reads the whole table.
    pub(crate) fn count_blocked(self, now: u64) -> usize {
        let ways = (0..self.sets).flat_map(|at| self.set(at).ways());
        let blocked = |state: State| state.blocked_until(now).is_some();
        ways.filter(|way| way.owned_state().is_some_and(blocked))
            .count()
    }
}

impl Look<'_> {
    /// When the block of the address ends, if it is blocked at `now`.
    pub(crate) fn blocked_until(self, now: u64) -> Option<u64> {
        self.0?.1.blocked_until(now)
    }

    /// How many failures of the address count at `now`. For people: reads all
    /// the buckets.
    pub(crate) fn failures(self, now: u64, window: &Window) -> u64 {
        self.0
            .map_or(0, |(way, state)| way.failures(state, now, window))
    }
}

impl<'a> Place<'a> {
    /// Asks for the line that every look at the place reads.
    pub(crate) fn expect(self) {
        self.set.expect();
    }

    /// Asks for what [`record`](Self::record) will most likely read besides.
    pub(crate) fn expect_record(self) {
        self.set.expect_way(self.hash);
    }

    /// Looks for the address. One line is read, and a second if the address
    /// has failures. A block that another thread sets at this very moment may
    /// be missed, as if this request had come just before.
    pub(crate) fn look(self) -> Look<'a> {
        Look(self.set.find(self.hash))
    }

    /// Counts a failure at `now`, after a look at the same place, and blocks
    /// the address if that makes `window.threshold`. The look may be old: what
    /// it found is made sure of here, and looked for again if it is gone.
    pub(crate) fn record(self, look: Look<'a>, now: u64, window: &Window) -> Recorded {
        // As nearly always, once an address has failures.
        let seen = look.0.map(|(way, _)| way);
        if let Some(recorded) = seen.and_then(|way| way.add(now, window)) {
            return recorded;
        }
        for _ in 0..TURNS {
            // Again where the way was given up before the failure was counted.
            let way = self.set.claim(self.hash, now, window);
            if let Some(recorded) = way.add(now, window) {
                return recorded;
            }
        }
        // It is as if the failure was counted and the way given up then.
        Recorded::Counted
    }

    /// Ends the block of the address; whether there was one. Its count starts
    /// again from nothing.
    pub(crate) fn unblock(self, now: u64) -> bool {
        let way = self.set.find(self.hash);
        way.is_some_and(|(way, _)| way.unblock(now))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, shuttle))]
mod shuttle_tests;
