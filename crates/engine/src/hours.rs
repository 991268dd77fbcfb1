//! What each key has used in each hour: a ring of 8 words, one cache line.
//!
//! A word packs the hour (28 bits) and the units used in it (36 bits). Checking
//! and charging is one compare-and-swap of that word, so a roll-over and a
//! charge cannot come apart: for every hour, what is admitted never exceeds the
//! limit, whatever the threads and the order of their time stamps. Fails
//! closed: a word of a later hour refuses.
//!
//! The units of a word that a later hour replaces are counted as lost, unless
//! they are known to be saved, see [`UsageLine`].
//!
//! Lock-free: a failed swap means that another thread's succeeded.

use crate::ledger::{Line, UsageLine};
use crate::prefetch::prefetch;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Hour;

/// Bits of the count in a word.
const COUNT_BITS: u32 = 64 - Hour::BITS;
/// The largest count. It saturates there and never wraps into the hour.
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;
/// The largest limit: below the saturated count, which so exhausts any limit.
pub(crate) const MAX_LIMIT: u64 = MAX_COUNT - 1;
/// Hours in the ring: hour `h` lies in word `h % 8`. Two in loom's models, which
/// grow with every step on a word: what holds of two hours of one word holds of
/// both in either.
const RING: u32 = if cfg!(loom) { 2 } else { 8 };

const _: () = assert!(MAX_LIMIT >= u32::MAX as u64);
const _: () = assert!(size_of::<Line>() == RING as usize * size_of::<AtomicU64>() || cfg!(loom));

/// An hour and the units used in it, as they lie in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    fn new(hour: u64, used: u64) -> Self {
        Self(hour << COUNT_BITS | used)
    }

    fn hour(self) -> u64 {
        self.0 >> COUNT_BITS
    }

    fn used(self) -> u64 {
        self.0 & MAX_COUNT
    }
}

/// The answer to a charge against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// It fitted; so many units are left.
    Admitted { remaining: u64 },
    /// It did not fit; so many units are left.
    Refused { remaining: u64 },
}

impl Charge {
    /// The units that are left of the hour.
    pub(crate) fn remaining(self) -> u64 {
        let (Self::Admitted { remaining } | Self::Refused { remaining }) = self;
        remaining
    }
}

/// The hours of one key.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a>(pub(crate) &'a Line);

impl<'a> Ring<'a> {
    /// Asks for the key's line.
    pub(crate) fn expect(self) {
        prefetch(self.0);
    }

    fn word(self, hour: Hour) -> &'a AtomicU64 {
        &self.0.0[(hour.number() % RING) as usize]
    }

    fn words(self) -> &'a [AtomicU64] {
        &self.0.0[..RING as usize]
    }

    /// Charges `cost` units if they fit into what `limit` leaves of `hour`.
    ///
    /// A stamp whose word already holds a later hour is refused with nothing
    /// left, so that a clock that steps back never refills a budget. `usage` is
    /// asked for where the word is an earlier hour's.
    #[inline]
    pub(crate) fn charge<'u>(
        self,
        hour: Hour,
        cost: u32,
        limit: u64,
        usage: impl Fn() -> UsageLine<'u>,
    ) -> Charge {
        let word = self.word(hour);
        let hour = u64::from(hour.number());
        // Relaxed, here and below: the word is the whole truth about its hour
        // and publishes nothing else. All that is needed is the single order in
        // which its values succeed each other, and a compare-and-swap goes by
        // that order under any ordering. A stale load costs a second turn.
        let mut seen = Word(word.load(Ordering::Relaxed));
        loop {
            let used = match seen.hour().cmp(&hour) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => seen.used(),
                std::cmp::Ordering::Greater => return Charge::Refused { remaining: 0 },
            };
            let after = used + u64::from(cost);
            if after > limit {
                let remaining = limit.saturating_sub(used);
                return Charge::Refused { remaining };
            }
            // `after` is at most the limit, which lies below MAX_COUNT.
            let next = Word::new(hour, after);
            let swapped = if seen.hour() == hour {
                swap(word, seen, next)
            } else {
                roll_over(word, seen, next, usage())
            };
            match swapped {
                Ok(()) => {
                    let remaining = limit - after;
                    return Charge::Admitted { remaining };
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Counts `cost` units of an unlimited key. A late stamp counts in the
    /// later hour that its word holds. Saturates. `usage` as for a charge.
    #[inline]
    pub(crate) fn count<'u>(self, hour: Hour, cost: u32, usage: impl Fn() -> UsageLine<'u>) {
        let word = self.word(hour);
        let hour = u64::from(hour.number());
        let mut seen = Word(word.load(Ordering::Relaxed));
        loop {
            let swapped = if seen.hour() < hour {
                roll_over(word, seen, Word::new(hour, u64::from(cost)), usage())
            } else {
                let used = (seen.used() + u64::from(cost)).min(MAX_COUNT);
                swap(word, seen, Word::new(seen.hour(), used))
            };
            match swapped {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Forgets all hours, for another key that gets the ring. Nobody charges
    /// the key that had it: it was removed hours ago. What was not saved of it
    /// is lost.
    pub(crate) fn clear(self, usage: UsageLine<'_>) {
        let unsaved_from = usage.unsaved_from();
        for word in self.words() {
            // Relaxed: the publication of the other key's record comes after.
            let old = Word(word.swap(0, Ordering::Relaxed));
            if old.hour() >= unsaved_from && old.used() > 0 {
                usage.lose(old.used());
            }
        }
    }

    /// Empties a ring that was nobody's, whatever lies there.
    pub(crate) fn begin(self) {
        for word in self.words() {
            // Relaxed: as for `clear`.
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The hours in which anything was used, and how much.
    pub(crate) fn each(self, mut show: impl FnMut(Hour, u64)) {
        for word in self.words() {
            // Relaxed: each word is the whole truth about its hour.
            let word = Word(word.load(Ordering::Relaxed));
            if word.used() > 0 {
                show(Hour::of_number(word.hour() as u32), word.used());
            }
        }
    }

    /// Takes over what another ring says of hours up to `last`; what names a
    /// later one is damaged, and would refuse its key for ever. Nobody charges
    /// either.
    pub(crate) fn copy(self, other: Ring<'_>, last: Hour) {
        for (to, from) in self.words().iter().zip(other.words()) {
            // Relaxed: neither is anybody's meanwhile.
            let word = Word(from.load(Ordering::Relaxed));
            if word.hour() <= u64::from(last.number()) {
                to.store(word.0, Ordering::Relaxed);
            }
        }
    }

    /// The latest hour in which anything was charged; the first of all where
    /// nothing was.
    pub(crate) fn newest(self) -> Hour {
        // Relaxed: a charge that is made meanwhile may be missed.
        let hours = self.words().iter();
        let hours = hours.map(|word| Word(word.load(Ordering::Relaxed)).hour() as u32);
        Hour::of_number(hours.max().unwrap_or(0))
    }

    /// Units used in `hour`; `None` where the ring holds a later hour in its
    /// place.
    pub(crate) fn used(self, hour: Hour) -> Option<u64> {
        let word = Word(self.word(hour).load(Ordering::Relaxed));
        match word.hour().cmp(&u64::from(hour.number())) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Equal => Some(word.used()),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// Replaces the word of an earlier hour, or says what stands there instead.
/// Once an hour for each key.
#[cold]
#[inline(never)]
fn roll_over(word: &AtomicU64, seen: Word, next: Word, usage: UsageLine<'_>) -> Result<(), Word> {
    // Asked before the swap: who says afterwards that the hour was saved may
    // have read the word after it.
    let is_lost = seen.used() > 0 && seen.hour() >= usage.unsaved_from();
    swap(word, seen, next)?;
    if is_lost {
        usage.lose(seen.used());
    }
    Ok(())
}

/// Replaces one word by another, or says what stands there instead.
#[inline]
fn swap(word: &AtomicU64, seen: Word, next: Word) -> Result<(), Word> {
    if seen == next {
        // A free request of an hour already open: nothing to write.
        return Ok(());
    }
    word.compare_exchange_weak(seen.0, next.0, Ordering::Relaxed, Ordering::Relaxed)
        .map(drop)
        .map_err(Word)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn line() -> Line {
        Line(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn hour(number: u64) -> Hour {
        Hour::of(number * 3600)
    }

    /// A line of a ledger that nobody reads out.
    fn unsaved() -> UsageLine<'static> {
        static LINE: Line = Line([const { AtomicU64::new(0) }; 8]);
        UsageLine(&LINE)
    }

    #[test]
    fn a_budget_is_spent_to_the_unit() {
        let line = line();
        let ring = Ring(&line);
        assert_eq!(
            ring.charge(hour(5), 2, 3, unsaved),
            Charge::Admitted { remaining: 1 }
        );
        assert_eq!(
            ring.charge(hour(5), 2, 3, unsaved),
            Charge::Refused { remaining: 1 }
        );
        assert_eq!(
            ring.charge(hour(5), 1, 3, unsaved),
            Charge::Admitted { remaining: 0 }
        );
        assert_eq!(
            ring.charge(hour(5), 0, 3, unsaved),
            Charge::Admitted { remaining: 0 }
        );
        assert_eq!(
            ring.charge(hour(5), 1, 3, unsaved),
            Charge::Refused { remaining: 0 }
        );
        assert_eq!(
            ring.charge(hour(5), 0, 2, unsaved),
            Charge::Refused { remaining: 0 }
        );
        assert_eq!(ring.used(hour(5)), Some(3));
        assert_eq!(
            ring.charge(hour(6), 3, 3, unsaved),
            Charge::Admitted { remaining: 0 }
        );
    }

    #[test]
    fn a_late_stamp_never_refills() {
        let line = line();
        let ring = Ring(&line);
        assert_eq!(
            ring.charge(hour(13), 1, 9, unsaved),
            Charge::Admitted { remaining: 8 }
        );
        assert_eq!(
            ring.charge(hour(5), 0, 9, unsaved),
            Charge::Refused { remaining: 0 }
        );
        assert_eq!(ring.used(hour(5)), None);
        // A neighbouring hour has a word of its own.
        assert_eq!(
            ring.charge(hour(12), 9, 9, unsaved),
            Charge::Admitted { remaining: 0 }
        );
        ring.count(hour(5), 4, unsaved);
        assert_eq!(ring.used(hour(13)), Some(5));
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let line = line();
        let ring = Ring(&line);
        assert_eq!(
            ring.charge(hour(5), 1, 3, unsaved),
            Charge::Admitted { remaining: 2 }
        );
        // The refused charge of a later hour leaves the word to its hour.
        assert_eq!(
            ring.charge(hour(13), 4, 3, unsaved),
            Charge::Refused { remaining: 3 }
        );
        assert_eq!(
            ring.charge(hour(5), 2, 3, unsaved),
            Charge::Admitted { remaining: 0 }
        );
    }

    #[test]
    fn counts_saturate_below_the_hour() {
        let line = line();
        let ring = Ring(&line);
        for _ in 0..20 {
            ring.count(hour(7), u32::MAX, unsaved);
        }
        assert_eq!(ring.used(hour(7)), Some(MAX_COUNT));
        assert_eq!(
            ring.charge(hour(7), 0, MAX_LIMIT, unsaved),
            Charge::Refused { remaining: 0 }
        );
        let last = Hour::of(u64::MAX);
        assert_eq!(
            ring.charge(last, 1, 1, unsaved),
            Charge::Admitted { remaining: 0 }
        );
        assert_eq!(
            ring.charge(last, 1, 1, unsaved),
            Charge::Refused { remaining: 0 }
        );
    }

    #[test]
    fn what_is_overwritten_unsaved_is_counted_to_the_unit() {
        let (line, other) = (line(), line());
        let (ring, usage) = (Ring(&line), UsageLine(&other));
        ring.charge(hour(5), 7, 9, || usage);
        ring.count(hour(6), 4, || usage);
        ring.count(hour(7), 0, || usage);
        // Hour 13 takes the word of hour 5, and so on.
        ring.charge(hour(13), 10, 9, || usage);
        assert_eq!(usage.overwritten(), 0, "a refusal changes nothing");
        ring.charge(hour(13), 1, 9, || usage);
        assert_eq!(usage.overwritten(), 7);
        ring.charge(hour(13), 1, 9, || usage);
        ring.count(hour(14), 2, || usage);
        ring.count(hour(15), 2, || usage);
        assert_eq!(usage.overwritten(), 11, "of hour 7 nothing was used");
        usage.set_unsaved_from(15);
        ring.count(hour(21), 5, || usage);
        ring.count(hour(22), 5, || usage);
        assert_eq!(usage.overwritten(), 11, "all before 15 is saved");
        ring.count(hour(23), 5, || usage);
        assert_eq!(usage.overwritten(), 13);
        let mut left = Vec::new();
        ring.each(|hour, used| left.push((hour.number(), used)));
        left.sort_unstable();
        assert_eq!(left, [(21, 5), (22, 5), (23, 5)]);
        usage.set_unsaved_from(22);
        ring.clear(usage);
        assert_eq!(usage.overwritten(), 23);
        ring.each(|hour, used| panic!("{hour:?}: {used}"));
    }

    #[test]
    fn a_copy_has_no_hours_to_come() {
        let (from, to) = (line(), line());
        for number in 5..=7 {
            Ring(&from).count(hour(number), number as u32, unsaved);
        }
        assert_eq!(Ring(&from).newest(), hour(7));
        Ring(&to).copy(Ring(&from), hour(6));
        let used = [5, 6, 7].map(|number| Ring(&to).used(hour(number)));
        assert_eq!(used, [Some(5), Some(6), Some(0)]);
        assert_eq!(Ring(&to).newest(), hour(6));
        Ring(&to).begin();
        assert_eq!(Ring(&to).newest(), hour(0));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::{bounded, whole_in_turns};
    use loom::sync::Arc;
    use loom::thread;

    /// A key's hours, and the ledger's line of what was read out.
    struct Key {
        hours: Line,
        usage: Line,
    }

    impl Key {
        fn charge(&self, hour: Hour, cost: u32, limit: u64) -> Charge {
            Ring(&self.hours).charge(hour, cost, limit, || self.usage())
        }

        fn usage(&self) -> UsageLine<'_> {
            UsageLine(&self.usage)
        }

        fn used(&self, hour: Hour) -> Option<u64> {
            Ring(&self.hours).used(hour)
        }
    }

    fn key() -> Arc<Key> {
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Arc::new(Key {
            hours: line(),
            usage: line(),
        })
    }

    fn hour(number: u64) -> Hour {
        Hour::of(number * 3600)
    }

    fn admitted(charge: Charge) -> u64 {
        u64::from(matches!(charge, Charge::Admitted { .. }))
    }

    fn charge_at(key: &Arc<Key>, number: u64, limit: u64) -> thread::JoinHandle<u64> {
        let key = key.clone();
        thread::spawn(move || admitted(key.charge(hour(number), 1, limit)))
    }

    #[test]
    fn loom_two_charges_at_the_last_unit() {
        whole_in_turns(|| {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 1, 2)), 1);
            let other = charge_at(&key, 1, 2);
            let mine = admitted(key.charge(hour(1), 1, 2));
            assert_eq!(mine + other.join().unwrap(), 1);
            assert_eq!(key.used(hour(1)), Some(2));
        });
    }

    #[test]
    fn loom_charge_against_roll_over() {
        whole_in_turns(|| {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 1, 1)), 1);
            // Hours 1 and 9 share a word.
            let later = charge_at(&key, 9, 1);
            let late = admitted(key.charge(hour(1), 1, 1));
            assert_eq!(late, 0, "hour 1 was spent");
            assert_eq!(later.join().unwrap(), 1);
            assert_eq!(key.used(hour(9)), Some(1));
        });
    }

    /// One unit of hour 1 is left, and two late charges race for it and with the
    /// charge that takes the word for hour 9.
    #[test]
    fn loom_two_late_charges_against_roll_over() {
        bounded(3).check(|| {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 1, 2)), 1);
            let late = charge_at(&key, 1, 2);
            let later = charge_at(&key, 9, 2);
            let mine = admitted(key.charge(hour(1), 1, 2));
            assert!(mine + late.join().unwrap() <= 1, "over-admitted");
            assert_eq!(later.join().unwrap(), 1);
            assert_eq!(key.used(hour(9)), Some(1));
        });
    }

    /// A late charge is refused, or it is in the word that is written over.
    fn a_late_charge_is_counted(charge: fn(&Key) -> Charge) {
        whole_in_turns(move || {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 1, 2)), 1);
            let theirs = key.clone();
            let late = thread::spawn(move || admitted(charge(&theirs)));
            assert_eq!(admitted(key.charge(hour(9), 1, 2)), 1);
            let late = late.join().unwrap();
            assert_eq!(key.usage().overwritten(), 1 + late, "silently lost");
            assert_eq!(key.used(hour(9)), Some(1));
        });
    }

    #[test]
    fn loom_a_late_charge_is_counted() {
        a_late_charge_is_counted(|key| key.charge(hour(1), 1, 2));
    }

    /// The broken twin: one look at the word, and admitted by what it said,
    /// whether or not the swap was made. Loom must find the unit that is nowhere.
    #[test]
    #[should_panic(expected = "silently lost")]
    fn loom_finds_the_fault_of_a_charge_that_was_not_made() {
        a_late_charge_is_counted(|key| {
            let word = Ring(&key.hours).word(hour(1));
            let seen = Word(word.load(Ordering::Relaxed));
            if seen.hour() > 1 {
                return Charge::Refused { remaining: 0 };
            }
            let _ = swap(word, seen, Word::new(1, seen.used() + 1));
            Charge::Admitted { remaining: 0 }
        });
    }

    #[test]
    fn loom_two_roll_overs() {
        whole_in_turns(|| {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 1, 1)), 1);
            let other = charge_at(&key, 9, 1);
            let mine = admitted(key.charge(hour(9), 1, 1));
            assert_eq!(mine + other.join().unwrap(), 1);
        });
    }

    /// A charge under way goes by the old limit or the new one, and one that
    /// starts after the change by the new one.
    #[test]
    fn loom_limit_lowered_during_a_charge() {
        whole_in_turns(|| {
            let shared = Arc::new((key(), AtomicU64::new(2)));
            let charge = |(key, limit): &(Arc<Key>, AtomicU64)| {
                // Relaxed: as far as the hour goes, the limit is a number.
                let limit = limit.load(Ordering::Relaxed);
                (limit, admitted(key.charge(hour(1), 1, limit)))
            };
            let theirs = shared.clone();
            let other = thread::spawn(move || charge(&theirs));
            shared.1.store(1, Ordering::Relaxed);
            let (lowered, mine) = charge(&shared);
            assert_eq!(lowered, 1);
            let (in_force, theirs) = other.join().unwrap();
            let used = shared.0.used(hour(1)).unwrap();
            assert_eq!(mine + theirs, used);
            assert!((1..=in_force).contains(&used), "over-admitted");
            assert_eq!(charge(&shared), (1, 0), "the new limit is spent");
        });
    }

    /// The broken twin: hour and count in two words, as a ring over several
    /// atomics has them. Loom must find the charge that slips between.
    #[test]
    #[should_panic(expected = "over-admitted")]
    fn loom_finds_the_fault_of_two_words() {
        whole_in_turns(|| {
            let words = Arc::new((AtomicU64::new(1), AtomicU64::new(1)));
            let charge = |words: &(AtomicU64, AtomicU64)| {
                if words.0.load(Ordering::SeqCst) < 9 {
                    words.1.store(0, Ordering::SeqCst);
                    words.0.store(9, Ordering::SeqCst);
                }
                words
                    .1
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                        (used < 1).then_some(used + 1)
                    })
                    .is_ok()
            };
            let theirs = words.clone();
            let other = thread::spawn(move || u64::from(charge(&theirs)));
            let mine = u64::from(charge(&words));
            assert!(mine + other.join().unwrap() <= 1, "over-admitted");
        });
    }

    /// Reads a key's hours out, then says that those before 2 are saved.
    fn read_out(key: &Key) -> u64 {
        let mut saved = 0;
        Ring(&key.hours).each(|hour, used| {
            if hour.number() < 2 {
                saved += used;
            }
        });
        key.usage().set_unsaved_from(2);
        saved
    }

    /// Hour 1 is saved, or it is counted as lost when hour 9 takes its word.
    fn is_saved_or_counted(read_out: impl Fn(&Key) -> u64 + Copy + Send + Sync + 'static) {
        whole_in_turns(move || {
            let key = key();
            assert_eq!(admitted(key.charge(hour(1), 3, 9)), 1);
            let theirs = key.clone();
            let reader = thread::spawn(move || read_out(&theirs));
            assert_eq!(admitted(key.charge(hour(9), 1, 9)), 1);
            let saved = reader.join().unwrap();
            let lost = key.usage().overwritten();
            assert!(saved + lost >= 3, "silently lost");
            assert!(lost == 0 || lost == 3);
        });
    }

    #[test]
    fn loom_nothing_is_overwritten_silently() {
        is_saved_or_counted(read_out);
    }

    /// The broken twin: it says that all is saved, and then reads it.
    #[test]
    #[should_panic(expected = "silently lost")]
    fn loom_finds_the_fault_of_saying_before_reading() {
        is_saved_or_counted(|key| {
            key.usage().set_unsaved_from(2);
            read_out(key)
        });
    }
}
