//! Charges over roll-overs, with stamps that are late, while limits change and
//! a key goes and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use shuttle::sync::Arc;
use shuttle::thread;

use super::world::World;
use super::{explore, is_found, slots};
use crate::decision::{Budget, Reason};
use crate::policy::Limit;
use crate::time::{HOUR_S, Hour};

/// An hour, and that which takes its word: as they are numbered here.
pub(super) const FIRST: u64 = 500_000;
pub(super) const SAME_WORD: u64 = FIRST + 8;

/// What was told of a charge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    key: usize,
    hour: u64,
    cost: u64,
    admitted: bool,
    limit: u64,
    remaining: u64,
}

/// How a key is charged at an hour; nothing is told where it is unknown.
pub(super) type Charge = fn(&World, usize, u64, u32) -> Option<Told>;

/// As the engine does it.
pub(super) fn decided(world: &World, key: usize, hour: u64, cost: u32) -> Option<Told> {
    let decision = world.decide(key, hour * HOUR_S, cost);
    let admitted = match decision.reason() {
        Reason::Allowed => true,
        Reason::HourlyLimit => false,
        Reason::UnknownKey => return None,
        other => panic!("{other}"),
    };
    let Budget {
        limit, remaining, ..
    } = decision.budget()?;
    Some(Told {
        key,
        hour,
        cost: cost.into(),
        admitted,
        limit,
        remaining,
    })
}

/// All that was told.
#[derive(Default)]
pub(super) struct Book(Mutex<Vec<Told>>);

impl Book {
    pub(super) fn note(&self, told: Option<Told>) {
        self.0.lock().unwrap().extend(told);
    }

    fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    /// What of an hour was admitted.
    pub(super) fn admitted(&self, key: usize, hour: u64) -> u64 {
        let told = self.all().into_iter();
        let own = told.filter(|told| told.admitted && (told.key, told.hour) == (key, hour));
        own.map(|told| told.cost).sum()
    }

    /// Makes sure that what was told of each hour is what one exact counter
    /// tells, in some order: each admission stands on those before it, and each
    /// refusal found what is left too little, or a later hour in its place.
    pub(super) fn check(&self) {
        let told = self.all();
        let mut hours: BTreeMap<(usize, u64), Vec<Told>> = BTreeMap::new();
        for told in told {
            hours.entry((told.key, told.hour)).or_default().push(told);
        }
        for (&(key, hour), told) in &hours {
            let mut admitted: Vec<_> = told.iter().filter(|told| told.admitted).collect();
            admitted.sort_by_key(|told| told.limit - told.remaining);
            let mut stood_at = BTreeSet::from([0]);
            let mut used = 0;
            for told in admitted {
                used += told.cost;
                let after = told.limit - told.remaining;
                assert_eq!(after, used, "no order explains key {key}: {told:?}");
                stood_at.insert(used);
            }
            for told in told.iter().filter(|told| !told.admitted) {
                assert!(told.remaining < told.cost, "refused what fits: {told:?}");
                let found = told.limit - told.remaining;
                let explains = |used: &u64| *used == found || told.remaining == 0 && *used > found;
                assert!(
                    stood_at.iter().any(explains) || self.admitted(key, hour + 8) > 0,
                    "refused with budget left: {told:?}"
                );
            }
        }
    }
}

/// Two keys, of three units and of two, charged by three threads, while a
/// fourth changes the limit of one and takes the other away and back.
fn three_charge_while_keys_change(charge: Charge) {
    let world = Arc::new(World::new(2, 2, FIRST * HOUR_S));
    world.insert(0, 3);
    world.insert(1, 2);
    let book = Arc::new(Book::default());
    let charges: [&[(usize, u64, u32)]; 3] = [
        &[(0, FIRST, 1), (0, SAME_WORD, 2), (0, FIRST, 1)],
        &[(0, FIRST, 2), (1, SAME_WORD, 1), (0, SAME_WORD, 1)],
        &[(1, FIRST, 1), (1, SAME_WORD, 2), (0, SAME_WORD, 1)],
    ];
    let mut threads: Vec<_> = charges
        .into_iter()
        .map(|charges| {
            let (world, book) = (world.clone(), book.clone());
            thread::spawn(move || {
                for &(key, hour, cost) in charges {
                    book.note(charge(&world, key, hour, cost));
                }
            })
        })
        .collect();
    threads.push({
        let world = world.clone();
        thread::spawn(move || {
            let limit = |units| Limit::try_from(units).ok();
            let engine = &world.engine;
            let set = |units| engine.update_key(world.id(0), |key| key.hourly_limit = limit(units));
            set(1).unwrap();
            engine.remove_key(world.id(1)).unwrap();
            set(4).unwrap();
            world.insert(1, 2);
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    book.check();
    // Now that it is quiet, every unit that is left can be had, and no more.
    for (key, limit) in [(0, 4), (1, 2)] {
        let used = book.admitted(key, SAME_WORD);
        let at = Hour::of(SAME_WORD * HOUR_S);
        let counted = world.engine.used(world.id(key), at);
        assert_eq!(counted.unwrap_or(0), used, "key {key}");
        for (cost, fits) in [(limit - used, true), (1, false)] {
            let told = charge(&world, key, SAME_WORD, cost as u32);
            assert_eq!(told.unwrap().admitted, fits, "key {key}: {told:?}");
        }
    }
}

#[test]
fn charges_are_those_of_one_exact_counter() {
    explore(
        "charges",
        &[
            || three_charge_while_keys_change(decided),
            slots::a_new_key_inherits_nothing,
        ],
    );
}

/// The broken twin: looks what is used, and then counts. What it looks at may
/// also be gone by then, for a moment.
#[test]
fn finds_the_fault_of_looking_and_then_counting() {
    is_found(&["no order explains", "refused with budget left"], || {
        three_charge_while_keys_change(|world, key, hour, cost| {
            let engine = &world.engine;
            let limit = engine.key_policy(world.id(key))?.hourly_limit?.units();
            let at = Hour::of(hour * HOUR_S);
            let told = |admitted, remaining| Told {
                key,
                hour,
                cost: cost.into(),
                admitted,
                limit,
                remaining,
            };
            let Some(used) = engine.used(world.id(key), at) else {
                return Some(told(false, 0));
            };
            let Some(remaining) = limit.checked_sub(used + u64::from(cost)) else {
                return Some(told(false, limit.saturating_sub(used)));
            };
            let ring = engine.ledger.ring(world.slot(key)?)?;
            ring.count(at, cost, || world.usage());
            Some(told(true, remaining))
        });
    });
}
