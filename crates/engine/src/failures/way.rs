//! One address's state and counts: 13 words that stay consistent by swaps of
//! one word at a time (see the module above).

use super::window::{BUCKETS, Window};
use super::{Address, Recorded};
use crate::ledger::Line;
use crate::sync::{AtomicU64, Ordering, fence};

/// Bits of a state word, from the top: owner, generation, until.
const OWNER_BITS: u32 = 18;
const GENERATION_BITS: u32 = 10;
const UNTIL_BITS: u32 = 36;
const MAX_UNTIL: u64 = (1 << UNTIL_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// Bits of a bucket word, from the top: check, lap, count. Laps repeat after
/// 2^28 windows: 102 years at the shortest.
const CHECK_BITS: u32 = 24;
const LAP_BITS: u32 = 28;
const COUNT_BITS: u32 = 12;
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;

const _: () = assert!(OWNER_BITS + GENERATION_BITS + UNTIL_BITS == 64);
const _: () = assert!(CHECK_BITS + LAP_BITS + COUNT_BITS == 64);

/// The largest threshold: a single bucket can hold it.
pub(crate) const MAX_THRESHOLD: u32 = MAX_COUNT as u32;
/// As many generations as blocks could begin within one window must differ.
pub(crate) const MAX_BLOCKS_PER_WINDOW: u32 = 1 << GENERATION_BITS;

/// What the worth of a blocked way starts at: above any count of failures.
const WORTH_OF_BLOCK: u64 = 1 << 40;

/// Who owns a way, in which generation, and until when it is blocked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    fn new(owner: u64, generation: u64, until: u64) -> Self {
        let generation = generation & GENERATION_MASK;
        let until = until.min(MAX_UNTIL);
        Self(owner << (GENERATION_BITS + UNTIL_BITS) | generation << UNTIL_BITS | until)
    }

    fn owner(self) -> u64 {
        self.0 >> (GENERATION_BITS + UNTIL_BITS)
    }

    fn generation(self) -> u64 {
        self.0 >> UNTIL_BITS & GENERATION_MASK
    }

    /// The end of an address's block; 0 in another's state.
    fn until(self, address: Address) -> u64 {
        if self.owner() == owner(address) {
            self.0 & MAX_UNTIL
        } else {
            0
        }
    }
}

/// The bits of an address that its state carries. Other bits choose the set
/// (the upper ones) and make the check.
fn owner(address: Address) -> u64 {
    address.hash & ((1 << OWNER_BITS) - 1)
}

/// What a bucket word must carry, above its count, to count for an address in
/// a generation and lap.
fn label(address: Address, generation: u64, lap: u64) -> u64 {
    let base = address.hash >> OWNER_BITS;
    // Odd, so that no two generations give the same check.
    let check = (base ^ generation.wrapping_mul(0x9E_3779)) & ((1 << CHECK_BITS) - 1);
    check << LAP_BITS | lap & ((1 << LAP_BITS) - 1)
}

/// The count of a bucket word, 0 under another label.
fn count(word: u64, label: u64) -> u64 {
    if word >> COUNT_BITS == label {
        word & MAX_COUNT
    } else {
        0
    }
}

/// The words of one way, in two lines.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    first: &'a Line,
    second: &'a Line,
}

impl<'a> Way<'a> {
    pub(super) fn new(first: &'a Line, second: &'a Line) -> Self {
        Self { first, second }
    }

    fn state(self) -> &'a AtomicU64 {
        &self.first.0[0]
    }

    fn bucket(self, at: usize) -> &'a AtomicU64 {
        debug_assert!(at < BUCKETS as usize);
        // Words 1 to 7 of the first line, then 0 to 4 of the second.
        let word = at + 1;
        if word < 8 {
            &self.first.0[word]
        } else {
            &self.second.0[word - 8]
        }
    }

    /// When the address's block ends, if it is blocked at `now`.
    pub(super) fn blocked_until(self, address: Address, now: u64) -> Option<u64> {
        // Relaxed: the word is whole by itself, and nothing is read after it
        // that would have to be as new.
        let state = State(self.state().load(Ordering::Relaxed));
        let until = state.until(address);
        (now < until).then_some(until)
    }

    /// Counts a failure, and blocks if it makes the threshold; then says also
    /// until when. `elsewhere` tells the address's failures in other ways.
    pub(super) fn add(
        self,
        address: Address,
        now: u64,
        window: &Window,
        elsewhere: impl Fn() -> u64,
    ) -> (Recorded, Option<u64>) {
        loop {
            // Acquire pairs with the swap in `replace`: whoever then writes a
            // bucket of this generation does so after the generation began.
            let state = State(self.state().load(Ordering::Acquire));
            let until = state.until(address);
            if now < until {
                return (Recorded::Blocked { until }, None);
            }
            let Some(mine) = self.bump(address, state, now, window) else {
                continue;
            };
            // Two failures in different buckets, or ways: the fences order each
            // one's swap before the other's sum, so at least one sees both.
            fence(Ordering::SeqCst);
            let sum = mine + self.sum(address, state, now, window, 1) + elsewhere();
            if sum < window.threshold() {
                return (Recorded::Counted, None);
            }
            let until = window.block_end(now).min(MAX_UNTIL);
            let blocked = State::new(owner(address), state.generation() + 1, until);
            // Should it fail, another failure of this generation has set the
            // block, or the way has changed hands, which the caller notices.
            let _ = self.replace(state, blocked);
            return if sum > window.threshold() {
                (Recorded::Blocked { until }, Some(until))
            } else {
                (Recorded::Counted, Some(until))
            };
        }
    }

    /// Blocks the address, unless it is for longer already.
    pub(super) fn block(self, address: Address, until: u64) {
        loop {
            // Acquire: as in `add`.
            let state = State(self.state().load(Ordering::Acquire));
            let blocked = State::new(owner(address), state.generation() + 1, until);
            if state.until(address) >= until || self.replace(state, blocked) {
                return;
            }
        }
    }

    /// Adds one to the current bucket; the bucket's new count, or `None` where
    /// the state has changed and nothing was added.
    fn bump(self, address: Address, state: State, now: u64, window: &Window) -> Option<u64> {
        let current = window.current(now);
        let label = label(address, state.generation(), current.lap);
        let word = self.bucket(current.at);
        // Acquire pairs with the swap below: if this is a count of a later
        // generation, the state read next is at least as new, and we leave.
        let mut seen = word.load(Ordering::Acquire);
        loop {
            // So a later generation's count is never overwritten by an earlier
            // one: had one been written since `seen` was read, the swap fails.
            if State(self.state().load(Ordering::Acquire)) != state {
                return None;
            }
            let next = (count(seen, label) + 1).min(MAX_COUNT);
            // Release: see above. AcqRel for the failure's reload.
            match word.compare_exchange_weak(
                seen,
                label << COUNT_BITS | next,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(next),
                Err(now_there) => seen = now_there,
            }
        }
    }

    /// The failures that count at `now`, newest buckets first, `skip` of them
    /// left out.
    fn sum(self, address: Address, state: State, now: u64, window: &Window, skip: usize) -> u64 {
        window
            .buckets(now)
            .skip(skip)
            .map(|bucket| {
                let label = label(address, state.generation(), bucket.lap);
                // Relaxed: a word counts by its own label; `add` has a fence
                // before it where the order matters.
                count(self.bucket(bucket.at).load(Ordering::Relaxed), label)
            })
            .sum()
    }

    /// How much it matters to keep the address: its failures that count at
    /// `now`, or more than any number of them where it is blocked.
    pub(super) fn worth(self, address: Address, now: u64, window: &Window) -> u64 {
        match self.blocked_until(address, now) {
            Some(until) => WORTH_OF_BLOCK + until,
            None => self.failures(address, now, window),
        }
    }

    /// The address's failures that count at `now`.
    pub(super) fn failures(self, address: Address, now: u64, window: &Window) -> u64 {
        // Acquire: as in `add`.
        let state = State(self.state().load(Ordering::Acquire));
        self.sum(address, state, now, window, 0)
    }

    /// Ends a block and forgets what was counted; whether there was a block.
    pub(super) fn unblock(self, address: Address, now: u64) -> bool {
        loop {
            let state = State(self.state().load(Ordering::Acquire));
            if state.until(address) <= now {
                return false;
            }
            let open = State::new(owner(address), state.generation() + 1, 0);
            if self.replace(state, open) {
                return true;
            }
        }
    }

    fn replace(self, state: State, next: State) -> bool {
        // AcqRel: begins a generation, after all that was seen of the last
        // one and before all that is written in the new one.
        self.state()
            .compare_exchange(state.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}
