//! One address's state and counts: 13 words that stay consistent by swaps of
//! one word at a time (see the module above).

use super::Recorded;
use super::tag::{ERA_BITS, Era, Tag};
use super::window::{BUCKETS, Bucket, Window};
use crate::ledger::{Line, word_of};
use crate::sync::{AtomicU64, Ordering};

/// Bits of a state word, from the top: era, generation, until.
const GENERATION_BITS: u32 = 15;
const UNTIL_BITS: u32 = 36;
const MAX_UNTIL: u64 = (1 << UNTIL_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
const _: () = assert!(ERA_BITS + GENERATION_BITS + UNTIL_BITS == 64);

/// Bits of a bucket word, from the top: check, lap, count. Laps repeat after
/// 2^28 windows: 102 years at the shortest.
const CHECK_BITS: u32 = 24;
const LAP_BITS: u32 = 28;
const COUNT_BITS: u32 = 12;
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;
const _: () = assert!(CHECK_BITS + LAP_BITS + COUNT_BITS == 64);
const _: () = assert!(GENERATION_BITS < CHECK_BITS);

/// The largest threshold: a single bucket can hold it.
pub(crate) const MAX_THRESHOLD: u32 = MAX_COUNT as u32;
/// As many blocks of one address as could begin within one window must be of
/// different generations.
pub(crate) const MAX_BLOCKS_PER_WINDOW: u32 = 1 << GENERATION_BITS;

/// What the worth of a blocked way starts at: above any count of failures.
const WORTH_OF_BLOCK: u64 = 1 << 40;

/// A way's era, which of the counts of that era are in force, and until when
/// it is blocked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    fn new(era: Era, generation: u64, until: u64) -> Self {
        let generation = generation & GENERATION_MASK;
        Self(
            era.bits() << (GENERATION_BITS + UNTIL_BITS)
                | generation << UNTIL_BITS
                | until.min(MAX_UNTIL),
        )
    }

    fn era(self) -> Era {
        Era::of_bits(self.0 >> (GENERATION_BITS + UNTIL_BITS))
    }

    fn generation(self) -> u64 {
        self.0 >> UNTIL_BITS & GENERATION_MASK
    }

    fn until(self) -> u64 {
        self.0 & MAX_UNTIL
    }

    /// A block that ends beyond what `until` holds never ends: closed, should
    /// somebody count in milliseconds.
    fn is_blocked(self, now: u64) -> bool {
        now < self.until() || self.until() == MAX_UNTIL
    }

    /// When the block ends, if there is one at `now`.
    pub(super) fn blocked_until(self, now: u64) -> Option<u64> {
        self.is_blocked(now).then(|| self.until())
    }

    /// A new generation, in which nothing has been counted, blocked until
    /// then.
    fn next(self, until: u64) -> Self {
        Self::new(self.era(), self.generation() + 1, until)
    }
}

/// The count of a bucket word, 0 under another label.
fn count(word: u64, label: u64) -> u64 {
    if word >> COUNT_BITS == label {
        word & MAX_COUNT
    } else {
        0
    }
}

/// The words of one way, in two lines, as seen by whoever found it under a
/// tag. It is the tag's address's while its state is of the tag's era.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    tag: Tag,
    lines: &'a [Line; 2],
}

impl<'a> Way<'a> {
    pub(super) fn new(tag: Tag, lines: &'a [Line; 2]) -> Self {
        Self { tag, lines }
    }

    /// The tag under which it was found.
    pub(super) fn tag(self) -> Tag {
        self.tag
    }

    fn state_word(self) -> &'a AtomicU64 {
        &self.lines[0].0[0]
    }

    fn bucket(self, at: usize) -> &'a AtomicU64 {
        debug_assert!(at < BUCKETS as usize);
        // Words 1 to 7 of the first line, then 0 to 4 of the second.
        word_of(self.lines, at + 1)
    }

    /// The state, whoever owns the way.
    pub(super) fn state(self) -> State {
        // Acquire pairs with the swap in `replace`: whoever then writes a
        // bucket of this generation does so after the generation began.
        State(self.state_word().load(Ordering::Acquire))
    }

    /// Whether the way is the tag's address's in a state.
    pub(super) fn is_owned_in(self, state: State) -> bool {
        state.era() == self.tag.era()
    }

    /// The state, if the way is still the tag's address's.
    pub(super) fn owned_state(self) -> Option<State> {
        let state = self.state();
        self.is_owned_in(state).then_some(state)
    }

    /// Counts a failure, and blocks the address if that makes the threshold.
    /// `None` if the way has been given up: then nothing was counted.
    ///
    /// Of those that find the threshold reached, the one that begins the block
    /// is the last to be counted; the others find the block.
    pub(super) fn add(self, now: u64, window: &Window) -> Option<Recorded> {
        let current = window.current(now);
        loop {
            let state = self.owned_state()?;
            if let Some(until) = state.blocked_until(now) {
                return Some(Recorded::Blocked { until });
            }
            let Some(in_bucket) = self.bump(state, current) else {
                continue;
            };
            // Of two failures in different buckets the one with the later
            // stamp counts the other, unless it came first: in the one order
            // of `bump` and `older`, which are SeqCst for that. Acquire and
            // Release alone let two threads that each count in a bucket and
            // then read the other's both miss what is there, and pass the
            // threshold unblocked.
            let sum = in_bucket + self.older(state, current);
            if sum < window.threshold() {
                return Some(Recorded::Counted);
            }
            let until = window.block_end(now);
            if self.replace(state, state.next(until)) {
                return Some(Recorded::Began { until });
            }
        }
    }

    /// Adds one to the current bucket; the bucket's new count, or `None` where
    /// the state has changed and nothing was added.
    fn bump(self, state: State, current: Bucket) -> Option<u64> {
        let label = self.label(state, current.lap);
        let word = self.bucket(current.at);
        // Acquire pairs with the swap below: if this is a count of a later
        // generation, the state read next is at least as new, and we leave.
        let mut seen = word.load(Ordering::Acquire);
        loop {
            // So a later generation's count is never overwritten by an earlier
            // one: had one been written since `seen` was read, the swap fails.
            if self.owned_state() != Some(state) {
                return None;
            }
            let next = (count(seen, label) + 1).min(MAX_COUNT);
            // Release: see above. SeqCst puts it before the loads in `older`,
            // see `add`. Acquire for the failure's reload.
            match word.compare_exchange_weak(
                seen,
                label << COUNT_BITS | next,
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(next),
                Err(now_there) => seen = now_there,
            }
        }
    }

    /// The failures in the 11 buckets before one that count in a state.
    fn older(self, state: State, current: Bucket) -> u64 {
        let Bucket { at, lap } = current;
        let counted = |at: usize, label: u64| {
            // SeqCst puts it after our swap in `bump`, see `add`; and oldest
            // first. A word counts by its own label.
            count(self.bucket(at).load(Ordering::SeqCst), label)
        };
        let mut sum = 0;
        if let Some(last) = lap.checked_sub(1) {
            let label = self.label(state, last);
            for at in at + 1..BUCKETS as usize {
                sum += counted(at, label);
            }
        }
        let label = self.label(state, lap);
        for at in 0..at {
            sum += counted(at, label);
        }
        sum
    }

    /// What a bucket word must carry, above its count, to count for the tag's
    /// address in a state and lap.
    fn label(self, state: State, lap: u64) -> u64 {
        let serial = state.era().bits() << GENERATION_BITS | state.generation();
        // Odd, so that no two generations of an era give the same check.
        let check = self.tag.hash().bits() ^ serial.wrapping_mul(0x9E_3779);
        (check & ((1 << CHECK_BITS) - 1)) << LAP_BITS | lap & ((1 << LAP_BITS) - 1)
    }

    /// How much it matters to keep the address: its failures that count at
    /// `now`, or more than any number of them where it is blocked.
    pub(super) fn worth(self, state: State, now: u64, window: &Window) -> u64 {
        if state.is_blocked(now) {
            WORTH_OF_BLOCK + state.until()
        } else {
            self.failures(state, now, window)
        }
    }

    /// The failures that count at `now` in a state.
    pub(super) fn failures(self, state: State, now: u64, window: &Window) -> u64 {
        let current = window.current(now);
        let older = self.older(state, current);
        // Relaxed: a failure that is counted meanwhile may be missed, here
        // as in the older buckets.
        let word = self.bucket(current.at).load(Ordering::Relaxed);
        older + count(word, self.label(state, current.lap))
    }

    /// Ends a block and forgets what was counted; whether there was a block.
    pub(super) fn unblock(self, now: u64) -> bool {
        while let Some(state) = self.owned_state()
            && state.is_blocked(now)
        {
            if self.replace(state, state.next(0)) {
                return true;
            }
        }
        false
    }

    /// Takes the way from its address, if it is still in the state by which
    /// that was judged right. All its counts are void from now on, and nobody
    /// counts in it before a tag of the next era is written.
    ///
    /// A state that fits neither the tag nor the next one, as only damage to
    /// the memory leaves, is mended by this. So is one of the next tag that is
    /// not as it was given up: in a file, after the machine stopped, the state
    /// may be a later owner's of whom the tag knows nothing, with a block that
    /// the next owner would have from the start.
    pub(super) fn give_up(self, judged: State) -> bool {
        let free = State::new(self.tag.era().next(), 0, 0);
        judged == free || self.replace(judged, free)
    }

    fn replace(self, state: State, next: State) -> bool {
        // AcqRel: begins a generation, after all that was seen of the last
        // one and before all that is written in the new one. Acquire where it
        // fails: who goes on does so after what the other's swap began.
        self.state_word()
            .compare_exchange(state.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::super::tag::AddressHash;
    use super::*;

    fn label(hash: u64, era: u64, generation: u64, lap: u64) -> u64 {
        let lines = std::array::from_fn(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))));
        let way = Way::new(Tag(0).next(AddressHash::new(hash)), &lines);
        way.label(State::new(Era::of_bits(era), generation, 0), lap)
    }

    /// So no count of an earlier generation is ever taken for one of a later.
    #[test]
    fn the_generations_of_an_era_have_labels_of_their_own() {
        let generations = if cfg!(miri) { 8 } else { 1 << GENERATION_BITS };
        for hash in [1 << 40, (1 << 40) - 1] {
            let labels = (0..generations).map(|generation| label(hash, 5, generation, 7));
            assert_eq!(labels.collect::<HashSet<_>>().len() as u64, generations);
        }
    }

    #[test]
    fn a_label_tells_laps_eras_and_addresses_apart() {
        let one = label(9, 5, 3, 7);
        for other in [
            label(8, 5, 3, 7),
            label(9, 4, 3, 7),
            label(9, 5, 3, 6),
            label(9, 5, 3, 5),
            label(9, 5, 3, 7 + (1 << 27)),
        ] {
            assert_ne!(one, other);
        }
        // A lap that no word holds whole counts by its lower bits, and touches
        // nothing beside them.
        assert_eq!(one, label(9, 5, 3, 7 + (1 << LAP_BITS)));
        assert_eq!(one >> (CHECK_BITS + LAP_BITS), 0);
    }

    #[test]
    fn what_was_given_up_is_nobodys_and_counts_nothing() {
        let lines = std::array::from_fn(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))));
        let way = Way::new(Tag(0), &lines);
        let window = Window::new(3, 300, 60);
        assert_eq!(way.add(1000, &window), Some(Recorded::Counted));
        assert!(way.give_up(way.state()));
        assert!(way.owned_state().is_none());
        assert_eq!(way.add(1000, &window), None);
    }

    #[test]
    fn a_state_holds_its_parts() {
        let largest = State::new(Era::of_bits(u64::MAX), GENERATION_MASK, u64::MAX);
        assert_eq!(largest.0, u64::MAX);
        let state = State::new(Era::of_bits(5), 6, 7);
        assert_eq!(
            (state.era(), state.generation(), state.until()),
            (Era::of_bits(5), 6, 7)
        );
        // Generations wrap, and leave the era alone.
        let wrapped = State::new(Era::of_bits(5), GENERATION_MASK, 7).next(8);
        assert!(wrapped == State::new(Era::of_bits(5), 0, 8));
    }
}
