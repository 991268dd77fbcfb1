//! Which keys are refused most: a small table for people to look at.
//!
//! Each thread has its own, which only a refusal of a known key touches; what
//! is allowed, or refused without a key, pays nothing. It is bounded, and so
//! an estimate: a key that finds its set full takes the place of the one with
//! the fewest refusals and goes on from its count ("space-saving"), so that no
//! count is too low and one of a busy key is hardly too high. It holds one
//! hour.

use std::sync::{Mutex, PoisonError, TryLockError};

use engine::{KeyId, Reason};

/// Sets, and the places in each: 6 KiB for a thread.
const SETS: usize = 64;
const PLACES: usize = 4;

/// A key, why it was refused, and about how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) key: KeyId,
    pub(super) reason: Reason,
    pub(super) count: u64,
}

/// The table of a thread.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<Table>);

#[derive(Debug)]
struct Table {
    hour: u32,
    sets: [[Option<Refused>; PLACES]; SETS],
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Table {
            hour: 0,
            sets: [[None; PLACES]; SETS],
        }))
    }
}

impl Refusals {
    /// Counts a refusal. Never waits: one that comes while somebody looks is
    /// left out.
    pub(super) fn count(&self, key: KeyId, reason: Reason) {
        let mut table = match self.0.try_lock() {
            Ok(table) => table,
            // Nothing is left half done here.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let chars = key.to_chars();
        // Ids are random: two characters tell 3,844 of them apart.
        let at = (usize::from(chars[8]) * 62 + usize::from(chars[9])) % SETS;
        let set = &mut table.sets[at];
        let same = |place: &&mut Option<Refused>| {
            place.is_some_and(|found| found.key == key && found.reason == reason)
        };
        if let Some(Some(found)) = set.iter_mut().find(same) {
            found.count += 1;
            return;
        }
        let fewest = set
            .iter_mut()
            .min_by_key(|place| place.map_or(0, |found| found.count));
        if let Some(place) = fewest {
            let count = place.map_or(0, |found| found.count) + 1;
            *place = Some(Refused { key, reason, count });
        }
    }

    /// What was counted in an hour; what was counted before is forgotten.
    pub(super) fn of_hour(&self, hour: u32) -> Vec<Refused> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.hour != hour {
            table.hour = hour;
            table.sets = [[None; PLACES]; SETS];
        }
        table
            .sets
            .iter()
            .flatten()
            .filter_map(|place| *place)
            .collect()
    }
}

/// What all threads counted in an hour, most first.
pub(super) fn all<'r>(threads: impl Iterator<Item = &'r Refusals>, hour: u32) -> Vec<Refused> {
    let mut all: Vec<Refused> = Vec::new();
    for refused in threads.flat_map(|thread| thread.of_hour(hour)) {
        match all
            .iter_mut()
            .find(|found| found.key == refused.key && found.reason == refused.reason)
        {
            Some(found) => found.count += refused.count,
            None => all.push(refused),
        }
    }
    all.sort_by_key(|refused| std::cmp::Reverse(refused.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> KeyId {
        format!("{number:010}").parse().unwrap()
    }

    #[test]
    fn threads_are_added_up_and_an_hour_ends() {
        let threads = [Refusals::default(), Refusals::default()];
        assert!(all(threads.iter(), 7).is_empty());
        for _ in 0..3 {
            threads[0].count(key(1), Reason::HourlyLimit);
        }
        threads[1].count(key(1), Reason::HourlyLimit);
        threads[1].count(key(1), Reason::ExpiredKey);
        let seen = all(threads.iter(), 7);
        assert_eq!(
            seen[0],
            Refused {
                key: key(1),
                reason: Reason::HourlyLimit,
                count: 4
            }
        );
        assert_eq!(seen.len(), 2);
        assert!(all(threads.iter(), 8).is_empty());
    }

    #[test]
    fn a_busy_key_stays_among_any_number_of_others() {
        let refusals = Refusals::default();
        refusals.of_hour(7);
        for other in 0..20_000 {
            refusals.count(key(other), Reason::RevokedKey);
            refusals.count(key(99_999), Reason::HourlyLimit);
        }
        let seen = all(std::iter::once(&refusals), 7);
        assert!(seen.len() <= SETS * PLACES);
        assert_eq!(
            (seen[0].key, seen[0].reason),
            (key(99_999), Reason::HourlyLimit)
        );
        // Never too low, and too high by no more than what the set gave up.
        assert!((20_000..21_000).contains(&seen[0].count), "{:?}", seen[0]);
    }
}
