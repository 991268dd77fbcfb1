//! The keyring against a map, and under concurrent change.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::failures::Seeds;
use crate::key::KeyDigest;
use crate::ledger::Ledger;
use crate::name::Name;
use crate::policy::{KeyRecord, Limit};
use crate::time::Hour;

fn id(number: u64) -> KeyId {
    KeyId::from_bits(number)
}

/// A digest of its own for each number; made without hashing, which takes Miri
/// most of its time.
fn digest(number: u64) -> KeyDigest {
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    KeyDigest::from_bytes(bytes)
}

/// A keyring, and what its keys hang on.
struct All {
    keyring: Keyring,
    projects: Projects,
    ledger: Ledger,
}

fn keyring(max_keys: u32) -> All {
    All {
        keyring: Keyring::new([1, 2, 3, 4], max_keys),
        projects: Projects::new(),
        ledger: Ledger::in_memory(max_keys, 1, Seeds([1, 2])).unwrap(),
    }
}

/// Removes a key in an hour.
fn remove(all: &All, number: u64, at: u64) -> Result<(), KeyChangeError> {
    all.keyring.remove(id(number), all.ledger.slots(hour(at)))
}

/// Puts records that are all of one project.
fn put(
    all: &All,
    records: Vec<KeyRecord>,
    existing: Existing,
    at: u64,
) -> Result<(), KeyChangeError> {
    let project = |name: &Name| all.projects.intern(name);
    let slots = all.ledger.slots(hour(at));
    all.keyring.put(records, existing, project, slots)
}

fn record(number: u64, limit: u64) -> KeyRecord {
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    policy.hourly_limit = Some(Limit::try_from(limit).unwrap());
    KeyRecord {
        id: id(number),
        digest: digest(number),
        policy,
    }
}

fn hour(number: u64) -> Hour {
    Hour::of(number * 3600)
}

/// A copy of the record of a key.
fn found(keyring: &Keyring, number: u64) -> Option<Record> {
    let reading = keyring.read();
    let found = reading.find(reading.spot(id(number)))?;
    Some(*found.record())
}

fn limit(keyring: &Keyring, number: u64) -> Option<u64> {
    found(keyring, number)?.limit()
}

/// How many different blocks the directory leads to.
fn blocks(keyring: &Keyring) -> usize {
    let entries = keyring.directory.entries();
    let blocks: HashSet<_> = entries.map(|(_, block)| block).collect();
    blocks.len()
}

#[test]
fn keeps_every_key_while_it_grows() {
    let (count, step) = if cfg!(miri) { (240, 40) } else { (20_000, 200) };
    let all = keyring(100_000);
    let keyring = &all.keyring;
    let mut slots = HashMap::new();
    for start in (0..count).step_by(step as usize) {
        let batch = (start..start + step).map(|n| record(n, n)).collect();
        put(&all, batch, Existing::Refuse, 1).unwrap();
    }
    assert_eq!(keyring.len(), count as usize);
    assert!(keyring.directory.depth() > 4);
    for n in 0..count {
        assert_eq!(limit(keyring, n), Some(n));
        let slot = found(keyring, n).unwrap().slot();
        assert_eq!(slots.insert(slot, n), None, "a slot of its own");
    }
    assert_eq!(limit(keyring, count), None);
}

#[test]
fn a_change_is_all_or_nothing() {
    let all = keyring(3);
    let with = |numbers: &[u64]| numbers.iter().map(|&n| record(n, n)).collect();
    put(&all, with(&[1]), Existing::Refuse, 1).unwrap();
    let twice = put(&all, with(&[2, 2]), Existing::Replace, 1);
    assert_eq!(twice, Err(KeyChangeError::Duplicate(id(2))));
    let told = twice.unwrap_err().to_string();
    assert!(told.contains("twice"), "none is there: {told}");
    let there = put(&all, with(&[2, 1]), Existing::Refuse, 1);
    assert_eq!(there, Err(KeyChangeError::Duplicate(id(1))));
    let first = put(&all, with(&[2, 3, 3, 1, 2]), Existing::Refuse, 1);
    assert_eq!(first, Err(KeyChangeError::Duplicate(id(3))));
    let many = put(&all, with(&[1, 2, 3, 4]), Existing::Replace, 1);
    assert_eq!(many, Err(KeyChangeError::Full { max_keys: 3 }));
    assert_eq!((limit(&all.keyring, 2), all.keyring.len()), (None, 1));
    put(&all, with(&[1, 2, 3]), Existing::Replace, 1).unwrap();
    assert_eq!(all.keyring.len(), 3);
}

#[test]
fn a_key_keeps_its_slot_through_changes_and_rests_it_after() {
    let all = keyring(1);
    let All {
        keyring, projects, ..
    } = &all;
    let slot = |n| found(keyring, n).map(|record| record.slot());
    put(&all, vec![record(1, 5)], Existing::Refuse, 1).unwrap();
    let before = slot(1);
    put(&all, vec![record(1, 6)], Existing::Replace, 1).unwrap();
    let changed = keyring.update(id(1), projects, |policy| {
        policy.state = KeyState::Disabled;
        projects.intern(&policy.project)
    });
    assert_eq!(changed.unwrap().hourly_limit.map(Limit::units), Some(6));
    assert_eq!(slot(1), before);
    remove(&all, 1, 1).unwrap();
    assert_eq!(remove(&all, 1, 1), Err(KeyChangeError::Unknown(id(1))));
    let full = put(&all, vec![record(2, 1)], Existing::Refuse, 9);
    assert_eq!(full, Err(KeyChangeError::Full { max_keys: 1 }));
    put(&all, vec![record(2, 1)], Existing::Refuse, 10).unwrap();
    assert_eq!(slot(2), before);
}

#[test]
fn origins_are_listed_by_live_keys_alone() {
    let all = keyring(10);
    let All {
        keyring, projects, ..
    } = &all;
    let mut listing = record(1, 1);
    listing.policy.origins = OriginList::parse(["https://a.test"]).unwrap();
    listing.policy.expires_at = Some(u64::MAX);
    put(&all, vec![listing], Existing::Refuse, 1).unwrap();
    assert!(keyring.lists_origin(b"https://a.test", 1 << 40));
    let set = |state| {
        keyring
            .update(id(1), projects, |policy| {
                policy.state = state;
                projects.intern(&policy.project)
            })
            .unwrap()
    };
    set(KeyState::Disabled);
    assert!(!keyring.lists_origin(b"https://a.test", 0));
    set(KeyState::Active);
    assert!(keyring.lists_origin(b"https://a.test", 0));
    remove(&all, 1, 1).unwrap();
    assert!(!keyring.lists_origin(b"https://a.test", 0));
}

#[test]
fn what_was_replaced_is_freed_by_the_writer_once_unread() {
    let all = keyring(10);
    let keyring = &all.keyring;
    put(&all, vec![record(1, 1)], Existing::Refuse, 1).unwrap();
    let reading = keyring.read();
    let held = reading.find(reading.spot(id(1))).unwrap();
    put(&all, vec![record(1, 2)], Existing::Replace, 1).unwrap();
    assert_eq!(keyring.write().past.waiting(), 1, "still read");
    assert_eq!(held.record().limit(), Some(1), "wholly the old key");
    let again = reading.find(reading.spot(id(1))).unwrap();
    assert_eq!(again.record().limit(), Some(2), "and now the new one");
    drop(reading);
    keyring.reclaim();
    let writer = keyring.write();
    assert_eq!((writer.past.waiting(), writer.arena.taken()), (0, 1));
}

#[test]
fn a_new_key_is_written_into_the_block_that_readers_hold() {
    let all = keyring(10);
    put(&all, vec![record(1, 1)], Existing::Refuse, 1).unwrap();
    let reading = all.keyring.read();
    let held = reading.find(reading.spot(id(1))).unwrap();
    put(&all, vec![record(2, 2)], Existing::Refuse, 1).unwrap();
    let new = reading.find(reading.spot(id(2))).unwrap();
    assert!(std::ptr::eq(held.block, new.block));
    assert_eq!(limit(&all.keyring, 2), Some(2));
    assert_eq!(all.keyring.write().arena.taken(), 1, "nothing was copied");
}

#[test]
fn keys_that_are_replaced_take_no_more_room() {
    let all = keyring(1000);
    let count = if cfg!(miri) { 30 } else { 1000 };
    let records = |limit| (0..count).map(|n| record(n, limit)).collect();
    put(&all, records(1), Existing::Refuse, 1).unwrap();
    let before = blocks(&all.keyring);
    put(&all, records(2), Existing::Replace, 1).unwrap();
    assert_eq!(blocks(&all.keyring), before);
    assert_eq!(all.keyring.write().arena.taken(), before);
    assert!((0..count).all(|n| limit(&all.keyring, n) == Some(2)));
}

#[test]
fn an_origin_stays_listed_while_its_key_changes() {
    let all = keyring(10);
    let All {
        keyring, projects, ..
    } = &all;
    let listing = |limit| {
        let mut record = record(1, limit);
        record.policy.origins = OriginList::parse(["https://a.test"]).unwrap();
        record
    };
    put(&all, vec![listing(1)], Existing::Refuse, 1).unwrap();
    let changes = if cfg!(miri) { 10 } else { 3000 };
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for limit in 0..changes {
                put(&all, vec![listing(limit)], Existing::Replace, 1).unwrap();
                let update = keyring.update(id(1), projects, |policy| {
                    policy.hourly_limit = None;
                    projects.intern(&policy.project)
                });
                update.unwrap();
            }
        });
        while !writer.is_finished() {
            assert!(
                keyring.lists_origin(b"https://a.test", 0),
                "listed throughout"
            );
        }
    });
    remove(&all, 1, 1).unwrap();
    assert!(!keyring.lists_origin(b"https://a.test", 0));
}

#[test]
fn a_count_waits_for_no_writer() {
    let all = keyring(10);
    put(&all, vec![record(1, 1)], Existing::Refuse, 1).unwrap();
    let _writer = all.keyring.write();
    assert_eq!(all.keyring.len(), 1);
}

/// What is asked of the keyring and of its model.
#[derive(Clone, Debug)]
enum Op {
    /// Keys, each with a limit and perhaps a list; whether they may be there.
    Put(Vec<(u64, u64, bool)>, bool),
    /// Another limit and state.
    Update(u64, u64, KeyState),
    Remove(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let numbers = 0..300_u64;
    let key = (numbers.clone(), 0..1000_u64, proptest::bool::weighted(0.2));
    let keys = proptest::collection::vec(key, 0..60);
    let state = prop_oneof![
        Just(KeyState::Active),
        Just(KeyState::Disabled),
        Just(KeyState::Revoked),
    ];
    prop_oneof![
        3 => (keys, proptest::bool::weighted(0.7)).prop_map(|(keys, may)| Op::Put(keys, may)),
        2 => (numbers.clone(), 0..1000_u64, state).prop_map(|(n, l, s)| Op::Update(n, l, s)),
        2 => numbers.prop_map(Op::Remove),
    ]
}

/// What the model knows of a key: its limit, state and slot, and the origin it
/// lists.
type Known = (u64, KeyState, u32, Option<String>);

fn origin(number: u64, limit: u64) -> String {
    format!("https://k{number}l{limit}.test")
}

fn known(keyring: &Keyring, projects: &Projects, number: u64) -> Option<Known> {
    let policy = keyring.policy(id(number), projects)?;
    let slot = found(keyring, number)?.slot();
    let limit = policy.hourly_limit?.units();
    let origin = policy.origins.iter().next().map(ToString::to_string);
    Some((limit, policy.state, slot, origin))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 128 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Through splits, doublings and removals: blocks are small under test.
    #[test]
    fn behaves_like_a_map(
        seeds in any::<[u64; 4]>(),
        ops in proptest::collection::vec(op(), 0..if cfg!(miri) { 10 } else { 40 }),
    ) {
        let all = All { keyring: Keyring::new(seeds, 1000), ..keyring(1000) };
        let All { keyring, projects, .. } = &all;
        let mut model: HashMap<u64, Known> = HashMap::new();
        let mut held = Vec::new();
        for op in ops {
            match op {
                Op::Put(keys, may) => {
                    let existing = if may { Existing::Replace } else { Existing::Refuse };
                    let mut seen = HashSet::new();
                    let refused = keys.iter().find(|(number, ..)| {
                        !seen.insert(*number) || !may && model.contains_key(number)
                    });
                    let records = keys.iter().map(|&(number, limit, lists)| {
                        let mut record = record(number, limit);
                        if lists {
                            let origin = origin(number, limit);
                            record.policy.origins = OriginList::parse([origin]).unwrap();
                        }
                        record
                    });
                    let answer = put(&all, records.collect(), existing, 1);
                    match refused {
                        Some(&(number, ..)) => {
                            prop_assert_eq!(answer, Err(KeyChangeError::Duplicate(id(number))));
                            continue;
                        }
                        None => prop_assert_eq!(answer, Ok(())),
                    }
                    for (number, limit, lists) in keys {
                        let slot = found(keyring, number).unwrap().slot();
                        let origin = lists.then(|| origin(number, limit));
                        let before = model.get(&number);
                        let state = before.map_or(KeyState::Active, |before| {
                            before.1.changed_to(KeyState::Active)
                        });
                        prop_assert!(before.is_none_or(|before| before.2 == slot), "its slot");
                        model.insert(number, (limit, state, slot, origin));
                    }
                }
                Op::Update(number, limit, state) => {
                    let answer = keyring.update(id(number), projects, |policy| {
                        policy.hourly_limit = Some(Limit::try_from(limit).unwrap());
                        policy.state = state;
                        projects.intern(&policy.project)
                    });
                    prop_assert_eq!(answer.is_ok(), model.contains_key(&number));
                    if let Some(known) = model.get_mut(&number) {
                        (known.0, known.1) = (limit, known.1.changed_to(state));
                    }
                }
                Op::Remove(number) => {
                    let answer = remove(&all, number, 1);
                    prop_assert_eq!(answer.is_ok(), model.remove(&number).is_some());
                }
            }
            prop_assert_eq!(keyring.len(), model.len());
            for state in [KeyState::Active, KeyState::Disabled, KeyState::Revoked] {
                let expected = model.values().filter(|known| known.1 == state).count();
                prop_assert_eq!(keyring.in_state(state), expected, "{}", state);
            }
            // Held over many changes, as by a slow reader.
            if held.len() < 5 {
                let number = model.keys().min().copied().unwrap_or(0);
                let reading = keyring.read();
                let found = reading.find(reading.spot(id(number)));
                let found = found.map(|found| (&raw const *found.record(), found.record().limit()));
                held.push((reading, found));
            }
            for (record, seen) in held.iter().filter_map(|(_, found)| *found) {
                // SAFETY: the reading in which it was found is held beside it.
                prop_assert_eq!(unsafe { &*record }.limit(), seen);
            }
            for number in (0..300).step_by(if cfg!(miri) { 29 } else { 1 }) {
                prop_assert_eq!(known(keyring, projects, number), model.get(&number).cloned());
            }
        }
        let slots: HashSet<u32> = model.values().map(|known| known.2).collect();
        prop_assert_eq!(slots.len(), model.len(), "a slot of its own for each key");
        for (number, (_, state, _, origin)) in &model {
            let origin = origin.as_ref();
            let listed = origin.is_some_and(|o| keyring.lists_origin(o.as_bytes(), 0));
            let expected = origin.is_some() && *state == KeyState::Active;
            prop_assert_eq!(listed, expected, "{}", number);
        }
        drop(held);
        keyring.reclaim();
        let writer = keyring.write();
        prop_assert!(writer.past.waiting() == 0);
        prop_assert_eq!(writer.arena.taken(), blocks(keyring));
    }
}

#[test]
fn readers_see_wholly_the_old_or_wholly_the_new_key() {
    let all = keyring(100_000);
    let keyring = &all.keyring;
    let changes: u64 = if cfg!(miri) { 14 } else { 3000 };
    let put_listing = |n, round| {
        let mut record = record(n, round);
        record.policy.expires_at = Some(round);
        record.policy.origins = OriginList::parse([format!("https://r{round}.test")]).unwrap();
        put(&all, vec![record], Existing::Replace, 1).unwrap();
    };
    put_listing(1, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 2..changes {
                put_listing(1, round);
                // Others come, so that blocks are split and the directory
                // doubles meanwhile; some are written in place, and some go.
                put_listing(2 * round, round);
                let new = record(2 * round + 1, round);
                put(&all, vec![new], Existing::Refuse, 1).unwrap();
                if round % 3 == 0 {
                    remove(&all, 2 * round, 1).unwrap();
                }
            }
        });
        let read = || {
            let mut last = 0;
            while !writer.is_finished() {
                let reading = keyring.read();
                let find = |number| reading.find(reading.spot(id(number)));
                let found = find(1).expect("it is always there");
                let record = found.record();
                let round = record.limit().unwrap();
                assert_eq!(record.expires_at(), Some(round));
                let origin = format!("https://r{round}.test");
                let lists = found.lists().unwrap();
                assert!(lists.origins.lists(origin.as_bytes()));
                assert!(round >= last, "never back");
                last = round;
                // Written in place: wholly there or not at all.
                if let Some(newest) = find(2 * round + 1) {
                    let record = newest.record();
                    assert_eq!(record.limit(), Some(round));
                    assert_eq!(*record.digest(), digest(2 * round + 1));
                }
                if round > 2 {
                    let there = find(2 * (round - 1) + 1);
                    assert!(there.is_some(), "put before round {round}");
                }
            }
        };
        std::thread::scope(|readers| {
            readers.spawn(read);
            readers.spawn(read);
        });
    });
    keyring.reclaim();
    let writer = keyring.write();
    assert!(writer.past.waiting() == 0);
    assert_eq!(writer.arena.taken(), blocks(keyring));
}
