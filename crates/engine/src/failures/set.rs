//! One set: which address has which way, and how that changes.
//!
//! A line of 7 tags and a word that puts insertions in order: the newest
//! insertion's tag, written there before it is written to its way. Whoever
//! wants to insert first completes that one, in case its thread was stopped
//! (or its process killed) between the two writes; then looks for its address;
//! then swaps the word. That the swap succeeds shows that no tag has changed
//! since the look: so an address never has two ways.

use super::tag::{AddressHash, Tag};
use super::way::{State, Way};
use super::window::Window;
use super::{LINES_PER_SET, WAYS};
use crate::ledger::Line;
use crate::prefetch::prefetch;
use crate::sync::{AtomicU64, Ordering};

/// One set of the table.
#[derive(Clone, Copy)]
pub(super) struct Set<'a>(pub(super) &'a [Line; LINES_PER_SET]);

/// A way that could be given up.
struct Candidate<'a> {
    way: Way<'a>,
    /// The state by which it was judged.
    judged: State,
    worth: u64,
}

impl<'a> Set<'a> {
    /// Where a way's tag stands.
    fn tag_word(self, way: usize) -> &'a AtomicU64 {
        &self.0[0].0[way]
    }

    /// Where the newest insertion's tag stands.
    fn newest(self) -> &'a AtomicU64 {
        &self.0[0].0[WAYS]
    }

    /// The lines of a way.
    fn way_lines(self, way: usize) -> &'a [Line; 2] {
        &self.0[1..].as_chunks().0[way]
    }

    /// Asks for the line of tags.
    pub(super) fn expect(self) {
        prefetch(&self.0[0]);
    }

    /// Asks for the lines of the way that an address most likely has.
    pub(super) fn expect_way(self, hash: AddressHash) {
        let [first, second] = self.way_lines(first_choice(hash));
        prefetch(first);
        prefetch(second);
    }

    /// The way of an address that it has now, and that way's state.
    pub(super) fn find(self, hash: AddressHash) -> Option<(Way<'a>, State)> {
        (0..WAYS).find_map(|at| {
            // Acquire pairs with `complete`: who sees the tag sees the state
            // of its era, or of a later one.
            let tag = Tag(self.tag_word(at).load(Ordering::Acquire));
            if tag.hash() != hash {
                return None;
            }
            let way = self.way(at, tag);
            Some((way, way.owned_state()?))
        })
    }

    /// Every way, those without an owner included.
    pub(super) fn ways(self) -> impl Iterator<Item = Way<'a>> {
        (0..WAYS).map(move |way| {
            // Acquire: as in `find`.
            let tag = Tag(self.tag_word(way).load(Ordering::Acquire));
            self.way(way, tag)
        })
    }

    /// The way of an address, taken from whom it matters least to if need be.
    /// Lock-free: each turn follows another thread's success. Kept apart, for
    /// it is seldom needed.
    #[cold]
    pub(super) fn claim(self, hash: AddressHash, now: u64, window: &Window) -> Way<'a> {
        loop {
            // Acquire pairs with the swap below: with the newest insertion
            // come all before it, which were complete when it was begun.
            let newest = Tag(self.newest().load(Ordering::Acquire));
            self.complete(newest);
            if let Some((way, _)) = self.find(hash) {
                return way;
            }
            let found = self.least_needed(hash, now, window);
            // Who has seen a later insertion's tag, or what became of its state,
            // sees here that it came: so nothing is given up that the judgement
            // took for another's.
            // Acquire keeps the giving up behind this look. Then swapped only
            // if it has not been blocked or given up meanwhile.
            if self.newest().load(Ordering::Acquire) != newest.0 || !found.way.give_up(found.judged)
            {
                continue;
            }
            let mine = found.way.tag().next(hash);
            // Release publishes the completion of the last insertion, and the
            // giving up. Where it fails the way that was given up stays free,
            // for the next turn or for others. Relaxed then: the next turn
            // looks anew.
            if self
                .newest()
                .compare_exchange(newest.0, mine.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                self.complete(mine);
                return self.way(mine.way(), mine);
            }
        }
    }

    /// Writes the newest insertion's tag to its way, if nobody has.
    fn complete(self, newest: Tag) {
        let place = self.tag_word(newest.way() % WAYS);
        // Acquire: who finds it complete goes on to read the way's state.
        let tag = Tag(place.load(Ordering::Acquire));
        // A later insertion may have followed since `newest` was read: then
        // this one is complete, whatever stands there now. The era says so,
        // and the second look says it also where eras have wrapped; Acquire
        // keeps the swap behind it.
        if tag.era().next() == newest.era() && self.newest().load(Ordering::Acquire) == newest.0 {
            // Release publishes the state of the new era. It fails only where
            // another thread has completed it: Relaxed, for what that wrote is
            // acquired by whoever reads the tag.
            let _ = place.compare_exchange(tag.0, newest.0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The way to give up: one without an owner, else one whose window has run
    /// out, else that with the fewest failures, and a blocked one last. Among
    /// equals the address's first choice, and those after it.
    ///
    /// One that never had an owner comes before any that has: an address whose
    /// failures do not count at this stamp may have some at an earlier or later
    /// one.
    fn least_needed(self, hash: AddressHash, now: u64, window: &Window) -> Candidate<'a> {
        let judge = |turn: usize| {
            let at = (first_choice(hash) + turn) % WAYS;
            // Acquire: as in `find`.
            let tag = Tag::at(self.tag_word(at).load(Ordering::Acquire), at);
            let way = self.way(at, tag);
            let judged = way.state();
            let owned = way.is_owned_in(judged) && tag.is_of_an_address();
            let worth = if owned {
                1 + way.worth(judged, now, window)
            } else {
                0
            };
            Candidate { way, judged, worth }
        };
        let mut best = judge(0);
        for other in (1..WAYS).map(judge) {
            if other.worth < best.worth {
                best = other;
            }
        }
        best
    }

    fn way(self, at: usize, tag: Tag) -> Way<'a> {
        Way::new(tag, self.way_lines(at))
    }
}

/// The way in which an address is put if it is free: so its lines can be asked
/// for before its tag was found.
fn first_choice(hash: AddressHash) -> usize {
    hash.bits() as usize % WAYS
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Recorded;
    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn lines() -> [Line; LINES_PER_SET] {
        std::array::from_fn(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    fn window() -> Window {
        Window::new(3, 300, 60)
    }

    /// So its lines are there before its tag was read.
    #[test]
    fn a_free_set_gives_an_address_its_first_choice() {
        for hash in 1..=50 {
            let lines = lines();
            let way = Set(&lines).claim(AddressHash::new(hash), NOW, &window());
            assert_eq!(way.tag().way(), hash as usize % WAYS, "{hash}");
        }
    }

    /// When the machine stopped the page with the way's state had reached the
    /// disk, and that with the tags, which may be another, had not.
    #[test]
    fn nobody_has_the_block_of_an_owner_who_is_not_known_any_more() {
        let lines = lines();
        let set = Set(&lines);
        let window = window();
        let earlier = || set.claim(AddressHash::new(1), NOW, &window);
        let tags: [_; WAYS + 1] =
            std::array::from_fn(|word| set.0[0].0[word].load(Ordering::Relaxed));
        let first_way = earlier().tag().way();
        for _ in 0..3 {
            earlier().add(NOW, &window);
        }
        assert!(earlier().state().blocked_until(NOW).is_some());
        for (word, tag) in set.0[0].0.iter().zip(tags) {
            word.store(tag, Ordering::Relaxed);
        }
        // One that is put in the same way.
        let hash = AddressHash::new(1 + WAYS as u64);
        let other = set.claim(hash, NOW, &window);
        assert_eq!(other.tag().way(), first_way);
        let counted: Vec<_> = (0..3).map(|_| other.add(NOW, &window)).collect();
        let until = window.block_end(NOW);
        assert_eq!(
            counted,
            [
                Some(Recorded::Counted),
                Some(Recorded::Counted),
                Some(Recorded::Began { until })
            ]
        );
    }

    /// As where a thread goes on that read the newest insertion, and was then
    /// stopped while others followed.
    #[test]
    fn an_insertion_that_is_not_the_newest_is_not_completed() {
        let lines = lines();
        let set = Set(&lines);
        let first = set.claim(AddressHash::new(1), NOW, &window()).tag();
        let second = set.claim(AddressHash::new(2), NOW, &window()).tag();
        assert!(first.way() != second.way());
        let stale = first.next(AddressHash::new(3));
        set.complete(stale);
        assert!(
            set.find(AddressHash::new(1)).is_some(),
            "its way stays its own"
        );
        let word = set.tag_word(first.way()).load(Ordering::Relaxed);
        assert_eq!(Tag(word), first);
    }
}
