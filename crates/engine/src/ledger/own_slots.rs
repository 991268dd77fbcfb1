//! Which slots belong to keys, of a ledger in memory of our own.
//!
//! A slot is a key's for life, and beyond: one that is given back rests until
//! its ring of hours has run out, and stays its key's until another takes it.
//! So a key that comes back finds what it used, and no key's use becomes
//! another's.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::place::rested;
use crate::key::KeyId;
use crate::time::Hour;

/// Gives out slots and takes them back.
pub(super) struct OwnSlots {
    /// Every slot from here on was never given out.
    fresh: u32,
    capacity: u32,
    /// Slots given back, and since which hour; longest first. Whose they were.
    resting: BTreeMap<(Hour, u32), KeyId>,
    /// The same by key: each has one slot at most.
    of: HashMap<KeyId, (Hour, u32)>,
    /// The hour of the last change. A slot rests from a later one only where its
    /// ring holds that.
    last: Hour,
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakenSlot {
    pub(super) slot: u32,
    /// Whether it was another key's, whose counts still lie there.
    pub(super) anothers: bool,
}

/// Slots that were taken: either all are fresh, or each is listed.
pub(super) struct AllTaken {
    fresh: Range<u32>,
    known: std::vec::IntoIter<TakenSlot>,
}

impl Iterator for AllTaken {
    type Item = TakenSlot;

    fn next(&mut self) -> Option<TakenSlot> {
        let anothers = false;
        let fresh = self.fresh.next();
        fresh
            .map(|slot| TakenSlot { slot, anothers })
            .or_else(|| self.known.next())
    }
}

impl OwnSlots {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            fresh: 0,
            capacity,
            resting: BTreeMap::new(),
            of: HashMap::new(),
            last: Hour::of(0),
        }
    }

    /// Takes a slot for each of some keys that have none, in their order; or
    /// none at all, where there are not enough. A key gets back the slot that
    /// rests since it had it; another one that has rested, else a fresh one.
    /// No key stands twice. `keys` is asked only if it matters which they are;
    /// `newest` tells the latest hour that a slot's ring holds.
    pub(super) fn take(
        &mut self,
        count: usize,
        keys: impl FnOnce() -> Vec<KeyId>,
        now: Hour,
        newest: impl Fn(u32) -> Hour,
    ) -> Option<AllTaken> {
        self.correct(now, newest);
        let (fresh, known) = if self.of.is_empty() {
            (self.take_fresh(count)?, Vec::new())
        } else {
            (0..0, self.take_known(&keys(), now)?)
        };
        let known = known.into_iter();
        Some(AllTaken { fresh, known })
    }

    /// Slots that nobody had.
    fn take_fresh(&mut self, count: usize) -> Option<Range<u32>> {
        let count = u32::try_from(count).ok()?;
        let end = self.fresh.checked_add(count)?;
        (end <= self.capacity).then(|| std::mem::replace(&mut self.fresh, end)..end)
    }

    fn take_known(&mut self, keys: &[KeyId], now: Hour) -> Option<Vec<TakenSlot>> {
        if !self.suffice(keys, now) {
            return None;
        }
        // First what is a key's own, before another of them gets it.
        let own: Vec<_> = keys.iter().map(|key| self.take_back(*key)).collect();
        own.into_iter()
            .map(|own| own.or_else(|| self.take_any(now)))
            .collect()
    }

    /// Gives a key's slot back. It rests from the latest hour that its ring
    /// holds, if that is still to come.
    pub(super) fn give_back(
        &mut self,
        key: KeyId,
        slot: u32,
        now: Hour,
        newest: impl Fn(u32) -> Hour,
    ) {
        let since = now.max(newest(slot));
        self.correct(now, newest);
        self.rest(key, slot, since);
    }

    /// Shows the slots that rest, and whose they were.
    pub(super) fn each_resting(&self, show: &mut impl FnMut(KeyId, u32)) {
        for ((_, slot), key) in &self.resting {
            show(*key, *slot);
        }
    }

    /// Whether each of the keys can have a slot.
    fn suffice(&self, keys: &[KeyId], now: Hour) -> bool {
        let own: Vec<_> = keys.iter().filter_map(|key| self.of.get(key)).collect();
        let own_rested = own.iter().filter(|(since, _)| rested(*since, now)).count();
        // Those without a slot of their own take fresh ones, and rested ones
        // that are not wanted back.
        let others = keys.len() - own.len();
        let wanted = (others + own_rested).saturating_sub((self.capacity - self.fresh) as usize);
        let found = self
            .resting
            .keys()
            .take_while(|(since, _)| rested(*since, now))
            .take(wanted)
            .count();
        found == wanted
    }

    /// The slot that rests since a key had it.
    fn take_back(&mut self, key: KeyId) -> Option<TakenSlot> {
        let (since, slot) = self.of.remove(&key)?;
        self.resting.remove(&(since, slot));
        Some(TakenSlot {
            slot,
            anothers: false,
        })
    }

    /// A slot that has rested, else a fresh one.
    fn take_any(&mut self, now: Hour) -> Option<TakenSlot> {
        if let Some(longest) = self.resting.first_entry()
            && rested(longest.key().0, now)
        {
            let ((_, slot), key) = longest.remove_entry();
            self.of.remove(&key);
            return Some(TakenSlot {
                slot,
                anothers: true,
            });
        }
        let slot = self.fresh;
        (slot < self.capacity).then(|| {
            self.fresh += 1;
            TakenSlot {
                slot,
                anothers: false,
            }
        })
    }

    /// Lets what was given back in an hour that has not come yet rest from
    /// now: the clock was ahead, and might else keep a slot away for years. But
    /// not what was charged in such an hour: the clock may come to it again, and
    /// its key back, whose budget is then what it was.
    ///
    /// There are new ones of the first kind only where the clock went back since
    /// the last change. Of the second there may be as many as keys, and for
    /// hours: looked at each time, they would make a change take as long.
    fn correct(&mut self, now: Hour, newest: impl Fn(u32) -> Hour) {
        if now >= std::mem::replace(&mut self.last, now) {
            return;
        }
        let mut ahead = Vec::new();
        while let Some(last) = self.resting.last_entry()
            && last.key().0 > now
        {
            ahead.push(last.remove_entry());
        }
        for ((_, slot), key) in ahead {
            self.rest(key, slot, now.max(newest(slot)));
        }
    }

    fn rest(&mut self, key: KeyId, slot: u32, since: Hour) {
        self.resting.insert((since, slot), key);
        self.of.insert(key, (since, slot));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hour(number: u64) -> Hour {
        Hour::of(number * 3600)
    }

    fn key(number: u64) -> KeyId {
        KeyId::from_bits(number)
    }

    /// The slot of one key that takes one, and whether it was another's.
    fn take(slots: &mut OwnSlots, number: u64, at: u64) -> Option<(u32, bool)> {
        let taken = slots
            .take(1, || vec![key(number)], hour(at), |_| hour(0))?
            .next()?;
        Some((taken.slot, taken.anothers))
    }

    #[test]
    fn a_slot_rests_before_another_key_takes_it() {
        let mut slots = OwnSlots::new(2);
        assert_eq!(take(&mut slots, 0, 1), Some((0, false)));
        assert_eq!(take(&mut slots, 1, 1), Some((1, false)));
        assert_eq!(take(&mut slots, 2, 1), None);
        slots.give_back(key(0), 0, hour(1), |_| hour(0));
        assert_eq!(take(&mut slots, 2, 9), None);
        assert_eq!(take(&mut slots, 2, 10), Some((0, true)));
        assert_eq!(take(&mut slots, 0, 10), None, "it is another's now");
    }

    #[test]
    fn a_slot_given_back_ahead_of_time_keeps_no_other_waiting() {
        let mut slots = OwnSlots::new(2);
        take(&mut slots, 0, 1);
        take(&mut slots, 1, 1);
        slots.give_back(key(0), 0, hour(500), |_| hour(0));
        slots.give_back(key(1), 1, hour(3), |_| hour(0));
        assert_eq!(take(&mut slots, 2, 11), None);
        assert_eq!(take(&mut slots, 2, 12), Some((0, true)));
        assert_eq!(take(&mut slots, 3, 12), Some((1, true)));
    }

    /// The clock steps back after a charge, and comes to that hour again.
    #[test]
    fn a_slot_rests_until_its_own_ring_has_run_out() {
        let mut slots = OwnSlots::new(1);
        take(&mut slots, 0, 20);
        slots.give_back(key(0), 0, hour(20), |_| hour(20));
        let take_at = |slots: &mut OwnSlots, number, at| {
            let taken = slots.take(1, || vec![key(number)], hour(at), |_| hour(20));
            taken.map(|mut taken| taken.next())
        };
        assert!(take_at(&mut slots, 1, 19).is_none());
        assert!(
            take_at(&mut slots, 1, 28).is_none(),
            "hour 20 is in the ring"
        );
        assert!(take_at(&mut slots, 1, 29).is_some());
        // Charged at a stamp that lies ahead of the clock.
        slots.give_back(key(1), 0, hour(29), |_| hour(31));
        assert!(take_at(&mut slots, 2, 39).is_none());
        assert!(take_at(&mut slots, 2, 40).is_some());
    }

    /// The clock stepped back after many keys were charged, and then they go: how
    /// often the rings are looked at.
    #[test]
    fn what_was_charged_ahead_of_the_clock_is_not_looked_at_with_every_change() {
        const KEYS: u32 = if cfg!(miri) { 20 } else { 500 };
        let mut slots = OwnSlots::new(KEYS);
        let keys = || (0..KEYS).map(|n| key(n.into())).collect();
        slots.take(KEYS as usize, keys, hour(20), |_| hour(0));
        let looks = std::cell::Cell::new(0);
        let newest = |_| {
            looks.set(looks.get() + 1);
            hour(20)
        };
        for n in 0..KEYS {
            slots.give_back(key(n.into()), n, hour(19), newest);
        }
        assert_eq!(looks.take(), KEYS, "as each goes");
        let mut come_and_go = |at| {
            for n in 0..KEYS {
                let keys = || vec![key(n.into())];
                let taken = slots.take(1, keys, hour(at), newest).unwrap();
                assert_eq!(taken.map(|taken| taken.slot).collect::<Vec<_>>(), [n]);
                slots.give_back(key(n.into()), n, hour(at), newest);
            }
            looks.take()
        };
        assert_eq!(come_and_go(19), KEYS);
        assert_eq!(come_and_go(18), 2 * KEYS, "and all once, for a step back");
        assert_eq!(come_and_go(19), KEYS);
    }

    /// What is known of a slot that was ever given out.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Seen {
        Held(u64),
        Resting { of: u64, since: u64 },
    }

    /// The rules, as plainly as they read.
    struct Model {
        capacity: usize,
        slots: HashMap<u32, Seen>,
        /// The latest hour of a slot's ring, where anything was charged.
        charged: HashMap<u32, u64>,
    }

    impl Model {
        fn holds(&self, number: u64) -> Option<u32> {
            let mut slots = self.slots.iter();
            slots.find_map(|(slot, seen)| (*seen == Seen::Held(number)).then_some(*slot))
        }

        fn own(&self, number: u64) -> Option<u32> {
            let mut slots = self.slots.iter();
            slots.find_map(|(slot, seen)| match seen {
                Seen::Resting { of, .. } if *of == number => Some(*slot),
                _ => None,
            })
        }

        fn newest(&self, slot: u32) -> u64 {
            self.charged.get(&slot).copied().unwrap_or(0)
        }

        fn clock_says(&mut self, now: u64) {
            for (slot, seen) in &mut self.slots {
                if let Seen::Resting { since, .. } = seen {
                    let newest = self.charged.get(slot).copied().unwrap_or(0);
                    *since = now.max(newest).min(*since);
                }
            }
        }

        /// Slots that have rested, but for those that `wanted` want back.
        fn free(&self, wanted: &[u64], now: u64) -> Vec<u32> {
            let free = |seen: &Seen| {
                matches!(seen, Seen::Resting { of, since }
                    if since + 9 <= now && !wanted.contains(of))
            };
            let slots = self.slots.iter().filter(|(_, seen)| free(seen));
            slots.map(|(slot, _)| *slot).collect()
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Those of the keys that hold no slot.
        Take(Vec<u64>),
        GiveBack(u64),
        Charge(u64),
        Clock(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let keys = proptest::collection::hash_set(0..9_u64, 0..5);
        prop_oneof![
            keys.prop_map(|keys| Op::Take(keys.into_iter().collect())),
            (0..9_u64).prop_map(Op::GiveBack),
            (0..9_u64).prop_map(Op::Charge),
            (100..130_u64).prop_map(Op::Clock),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn slots_go_by_the_rules(
            capacity in 0..6_u32,
            ops in proptest::collection::vec(op(), 0..80),
        ) {
            let mut slots = OwnSlots::new(capacity);
            let mut model = Model {
                capacity: capacity as usize,
                slots: HashMap::new(),
                charged: HashMap::new(),
            };
            let mut now = 100;
            for op in ops {
                match op {
                    Op::Clock(to) => now = to,
                    Op::Charge(number) => {
                        let Some(slot) = model.holds(number) else { continue };
                        model.charged.insert(slot, now.max(model.newest(slot)));
                    }
                    Op::GiveBack(number) => {
                        let Some(slot) = model.holds(number) else { continue };
                        slots.give_back(key(number), slot, hour(now), |slot| hour(model.newest(slot)));
                        model.clock_says(now);
                        let since = now.max(model.newest(slot));
                        model.slots.insert(slot, Seen::Resting { of: number, since });
                    }
                    Op::Take(mut numbers) => {
                        numbers.retain(|number| model.holds(*number).is_none());
                        model.clock_says(now);
                        let new = numbers.iter().filter(|number| model.own(**number).is_none());
                        let free = model.free(&numbers, now);
                        let room = model.capacity - model.slots.len() + free.len();
                        let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
                        let newest = |slot| hour(model.newest(slot));
                        let taken = slots.take(keys.len(), || keys.clone(), hour(now), newest);
                        let taken: Option<Vec<_>> = taken.map(Iterator::collect);
                        prop_assert_eq!(taken.is_some(), new.count() <= room);
                        let before = model.slots.clone();
                        for (number, taken) in numbers.iter().zip(taken.unwrap_or_default()) {
                            prop_assert!(taken.slot < capacity);
                            match model.own(*number) {
                                Some(own) => prop_assert_eq!((own, false), (taken.slot, taken.anothers)),
                                None => {
                                    let used = before.contains_key(&taken.slot);
                                    prop_assert_eq!(used, taken.anothers);
                                    prop_assert!(!used || free.contains(&taken.slot));
                                    // Whoever gets another's ring clears it.
                                    model.charged.remove(&taken.slot);
                                }
                            }
                            let held = model.slots.insert(taken.slot, Seen::Held(*number));
                            prop_assert!(!matches!(held, Some(Seen::Held(_))), "two keys in one slot");
                        }
                    }
                }
            }
        }
    }
}
