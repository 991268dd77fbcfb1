//! Which ledger slots belong to keys.
//!
//! A slot is a key's for life. One that is given back rests until its ring of
//! hours has run out, so that a new key neither inherits an old one's use nor
//! loses it to whoever still reads it.

use std::collections::VecDeque;

use crate::time::Hour;

/// Hours that a slot rests: the ring's 8, and one for the hour under way.
const REST_HOURS: u32 = 9;

/// Gives out slots and takes them back.
pub(super) struct Slots {
    /// Every slot from here on was never given out.
    fresh: u32,
    capacity: u32,
    /// Slots given back, and in which hour; oldest first.
    resting: VecDeque<(Hour, u32)>,
}

impl Slots {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            fresh: 0,
            capacity,
            resting: VecDeque::new(),
        }
    }

    /// How many slots could be taken in an hour.
    pub(super) fn available(&self, hour: Hour) -> usize {
        let rested = self
            .resting
            .iter()
            .take_while(|(since, _)| rested(*since, hour));
        (self.capacity - self.fresh) as usize + rested.count()
    }

    /// Takes a slot: one that has rested, else a fresh one.
    pub(super) fn take(&mut self, hour: Hour) -> Option<u32> {
        if let Some((_, slot)) = self.resting.pop_front_if(|(since, _)| rested(*since, hour)) {
            return Some(slot);
        }
        let slot = self.fresh;
        (slot < self.capacity).then(|| {
            self.fresh += 1;
            slot
        })
    }

    /// Gives a slot back.
    pub(super) fn give_back(&mut self, slot: u32, hour: Hour) {
        self.resting.push_back((hour, slot));
    }
}

fn rested(since: Hour, now: Hour) -> bool {
    now.number() >= since.number().saturating_add(REST_HOURS)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn hour(number: u64) -> Hour {
        Hour::of(number * 3600)
    }

    #[test]
    fn a_slot_rests_before_it_is_taken_again() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.take(hour(1)), Some(0));
        assert_eq!(slots.take(hour(1)), Some(1));
        assert_eq!(slots.take(hour(1)), None);
        slots.give_back(0, hour(1));
        assert_eq!((slots.take(hour(9)), slots.available(hour(9))), (None, 0));
        assert_eq!(slots.available(hour(10)), 1);
        assert_eq!(slots.take(hour(10)), Some(0));
        assert_eq!(slots.take(hour(10)), None);
    }
}
