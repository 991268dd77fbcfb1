//! The keyring against a map, and under concurrent change.

use std::collections::HashMap;

use super::*;
use crate::key::{KeyDigest, ServerSecret};
use crate::origin::OriginList;
use crate::policy::Limit;

fn id(number: u64) -> KeyId {
    KeyId::from_bits(number)
}

fn digest(number: u64) -> KeyDigest {
    ServerSecret::from_bytes([3; 32]).digest_key(&number.to_le_bytes())
}

fn keyring(max_keys: u32) -> (Keyring, Projects, ProjectId) {
    let projects = Projects::new();
    let project = projects.intern(&"p".parse().unwrap());
    (Keyring::new([1, 2, 3, 4], max_keys), projects, project)
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

fn limit(keyring: &Keyring, number: u64) -> Option<u64> {
    keyring
        .snapshot(id(number))
        .find(id(number))
        .and_then(Record::limit)
}

#[test]
fn keeps_every_key_while_it_grows() {
    let count = if cfg!(miri) { 1500 } else { 20_000 };
    let (keyring, _, project) = keyring(100_000);
    let mut slots = HashMap::new();
    for start in (0..count).step_by(500) {
        let batch = (start..start + 500)
            .map(|n| (record(n, n), project))
            .collect();
        keyring
            .put(batch, Existing::Refuse, hour(1), |_| ())
            .unwrap();
    }
    assert_eq!(keyring.len(), count as usize);
    assert!(keyring.root.load().shards.len() > 1);
    for n in 0..count {
        assert_eq!(limit(&keyring, n), Some(n));
        let slot = keyring.snapshot(id(n)).find(id(n)).unwrap().slot();
        assert_eq!(slots.insert(slot, n), None, "a slot of its own");
    }
    assert_eq!(limit(&keyring, count), None);
}

#[test]
fn a_change_is_all_or_nothing() {
    let (keyring, _, project) = keyring(3);
    let with = |numbers: &[u64]| numbers.iter().map(|&n| (record(n, n), project)).collect();
    keyring
        .put(with(&[1]), Existing::Refuse, hour(1), |_| ())
        .unwrap();
    let twice = keyring.put(with(&[2, 2]), Existing::Replace, hour(1), |_| ());
    assert_eq!(twice, Err(KeyChangeError::Duplicate(id(2))));
    let there = keyring.put(with(&[2, 1]), Existing::Refuse, hour(1), |_| ());
    assert_eq!(there, Err(KeyChangeError::Duplicate(id(1))));
    let many = keyring.put(with(&[1, 2, 3, 4]), Existing::Replace, hour(1), |_| ());
    assert_eq!(many, Err(KeyChangeError::Full { max_keys: 3 }));
    assert_eq!((limit(&keyring, 2), keyring.len()), (None, 1));
    keyring
        .put(with(&[1, 2, 3]), Existing::Replace, hour(1), |_| ())
        .unwrap();
    assert_eq!(keyring.len(), 3);
}

#[test]
fn a_key_keeps_its_slot_through_changes_and_rests_it_after() {
    let (keyring, projects, project) = keyring(1);
    let slot = |n| keyring.snapshot(id(n)).find(id(n)).map(Record::slot);
    keyring
        .put(
            vec![(record(1, 5), project)],
            Existing::Refuse,
            hour(1),
            |_| (),
        )
        .unwrap();
    let before = slot(1);
    keyring
        .put(
            vec![(record(1, 6), project)],
            Existing::Replace,
            hour(1),
            |_| (),
        )
        .unwrap();
    let changed = keyring.update(id(1), &projects, |policy| {
        policy.state = KeyState::Disabled;
        project
    });
    assert_eq!(changed.unwrap().hourly_limit.map(Limit::units), Some(6));
    assert_eq!(slot(1), before);
    keyring.remove(id(1), hour(1)).unwrap();
    assert_eq!(
        keyring.remove(id(1), hour(1)),
        Err(KeyChangeError::Unknown(id(1)))
    );
    let full = keyring.put(
        vec![(record(2, 1), project)],
        Existing::Refuse,
        hour(9),
        |_| (),
    );
    assert_eq!(full, Err(KeyChangeError::Full { max_keys: 1 }));
    keyring
        .put(
            vec![(record(2, 1), project)],
            Existing::Refuse,
            hour(10),
            |_| (),
        )
        .unwrap();
    assert_eq!(slot(2), before);
}

#[test]
fn origins_are_listed_by_live_keys_alone() {
    let (keyring, projects, project) = keyring(10);
    let mut listing = record(1, 1);
    listing.policy.origins = OriginList::parse(["https://a.test"]).unwrap();
    listing.policy.expires_at = Some(u64::MAX);
    keyring
        .put(vec![(listing, project)], Existing::Refuse, hour(1), |_| ())
        .unwrap();
    assert!(keyring.lists_origin(b"https://a.test", 1 << 40));
    let set = |state| {
        keyring
            .update(id(1), &projects, |p| {
                p.state = state;
                project
            })
            .unwrap()
    };
    set(KeyState::Disabled);
    assert!(!keyring.lists_origin(b"https://a.test", 0));
    set(KeyState::Active);
    assert!(keyring.lists_origin(b"https://a.test", 0));
    keyring.remove(id(1), hour(1)).unwrap();
    assert!(!keyring.lists_origin(b"https://a.test", 0));
}

#[test]
fn what_was_replaced_is_dropped_by_the_writer_once_unread() {
    let (keyring, _, project) = keyring(10);
    keyring
        .put(
            vec![(record(1, 1), project)],
            Existing::Refuse,
            hour(1),
            |_| (),
        )
        .unwrap();
    let held = keyring.snapshot(id(1));
    keyring
        .put(
            vec![(record(1, 2), project)],
            Existing::Replace,
            hour(1),
            |_| (),
        )
        .unwrap();
    assert_eq!(keyring.write().retired.len(), 1, "still read");
    assert_eq!(
        held.find(id(1)).and_then(Record::limit),
        Some(1),
        "wholly the old key"
    );
    drop(held);
    keyring.reclaim();
    assert!(keyring.write().retired.is_empty());
}

#[test]
fn readers_see_wholly_the_old_or_wholly_the_new_key() {
    let (keyring, _, project) = keyring(100_000);
    let changes: u64 = if cfg!(miri) { 20 } else { 2000 };
    let put = |n, round| {
        let mut record = record(n, round);
        record.policy.expires_at = Some(round);
        record.policy.origins = OriginList::parse([format!("https://r{round}.test")]).unwrap();
        keyring
            .put(vec![(record, project)], Existing::Replace, hour(1), |_| ())
            .unwrap();
    };
    put(1, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 2..changes {
                put(1, round);
                // Others come and go, so that the keyring grows meanwhile.
                put(round, round);
            }
        });
        let read = || {
            let mut last = 0;
            while !writer.is_finished() {
                let snapshot = keyring.snapshot(id(1));
                let record = snapshot.find(id(1)).expect("it is always there");
                let round = record.limit().unwrap();
                assert_eq!(record.expires_at(), Some(round));
                let origin = format!("https://r{round}.test");
                assert!(
                    snapshot
                        .lists(record)
                        .unwrap()
                        .origins
                        .lists(origin.as_bytes())
                );
                assert!(round >= last, "never back");
                last = round;
            }
        };
        std::thread::scope(|readers| {
            readers.spawn(read);
            readers.spawn(read);
        });
    });
    keyring.reclaim();
    let writer = keyring.write();
    assert!(writer.retired.is_empty() && writer.retired_roots.is_empty());
}
