//! Models of the directory: each thread is a process of its own.

use std::sync::Arc;

use loom::thread;

use super::place::Place;
use super::plain::{Shared, hour, key};
use crate::key::KeyId;
use crate::sync::{AtomicU64, Ordering, bounded_in_turns, whole_in_turns};

/// Lines of the area: the first is nobody's, then two of nodes and three rings.
const LINES: usize = 6;

fn spawn_claim(shared: &Arc<Shared>, key: KeyId, at: u32) -> thread::JoinHandle<u32> {
    let shared = shared.clone();
    thread::spawn(move || shared.claim(key, at))
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    bounded_in_turns(3, test);
}

#[test]
fn loom_two_processes_claim_one_key() {
    let key = key(0);
    model(move || {
        let shared = Shared::new(LINES);
        let other = spawn_claim(&shared, key, 20);
        let mine = shared.claim(key, 20);
        assert_eq!(mine, other.join().unwrap(), "one key, two slots");
        assert_eq!(mine, shared.claim(key, 20));
    });
}

#[test]
fn loom_two_processes_claim_two_keys_of_one_way() {
    let keys = [key(0), key(1)];
    model(move || {
        let shared = Shared::new(LINES);
        let other = spawn_claim(&shared, keys[0], 20);
        let mine = shared.claim(keys[1], 20);
        let others = other.join().unwrap();
        assert_ne!(mine, others, "two keys, one slot");
        assert_eq!(mine, shared.claim(keys[1], 20));
        assert_eq!(others, shared.claim(keys[0], 20));
    });
}

#[test]
fn loom_a_key_comes_back_while_another_process_gives_it_up() {
    let key = key(0);
    whole_in_turns(move || {
        let shared = Shared::new(LINES);
        let before = shared.claim(key, 20);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || shared.give_back(key, 20))
        };
        assert_eq!(shared.claim(key, 20), before);
        other.join().unwrap();
        assert_eq!(shared.claim(key, 20), before);
    });
}

/// The key whose slot has rested comes back as another key looks for one, in a
/// way that is given.
fn a_rested_slot_goes_to_one_key(take: fn(&Shared) -> u32) {
    let owner = key(0);
    whole_in_turns(move || {
        let shared = Shared::new(LINES);
        let before = shared.claim(owner, 10);
        shared.count(before, hour(10), 7);
        shared.give_back(owner, 10);
        let theirs = shared.clone();
        let other = thread::spawn(move || take(&theirs));
        let own = shared.claim(owner, 20);
        let others = other.join().unwrap();
        assert_ne!(own, others, "two keys, one slot");
        assert_eq!(shared.ring(others).used(hour(10)), Some(0), "inherited");
        let used = shared.ring(own).used(hour(10));
        assert_eq!(used, Some(if own == before { 7 } else { 0 }));
    });
}

#[test]
fn loom_a_rested_slot_goes_to_one_key() {
    a_rested_slot_goes_to_one_key(|shared| shared.claim(key(1), 20));
}

/// The broken twin: looks whether the slot rests, and then writes that it does
/// no more. Loom must find that its own key has taken it up meanwhile.
#[test]
#[should_panic(expected = "two keys, one slot")]
fn loom_finds_the_fault_of_a_rested_slot_that_is_written() {
    a_rested_slot_goes_to_one_key(|shared| {
        let mut taken = None;
        shared.with(|directory| {
            directory.each(&mut |_, node| {
                if let Place::Resting { slot, .. } = node.found() {
                    node.0[1].store(Place::Nowhere.word(), Ordering::SeqCst);
                    shared.ring(slot).begin();
                    taken = Some(slot);
                }
                Ok(true)
            })
        });
        taken.unwrap_or_else(|| shared.claim(key(1), 20))
    });
}

#[test]
fn loom_a_rested_slot_goes_to_one_of_two_new_keys() {
    let keys = [key(0), key(1), key(2)];
    model(move || {
        let shared = Shared::new(LINES);
        shared.claim(keys[0], 10);
        shared.give_back(keys[0], 10);
        let other = spawn_claim(&shared, keys[1], 20);
        let mine = shared.claim(keys[2], 20);
        assert_ne!(mine, other.join().unwrap(), "two keys, one slot");
    });
}

/// Two claim the key that gets a rested slot: neither sees what lay there.
#[test]
fn loom_whoever_finds_a_slot_given_finds_it_empty() {
    let keys = [key(0), key(1)];
    model(move || {
        let shared = Shared::new(LINES);
        let before = shared.claim(keys[0], 10);
        shared.count(before, hour(10), 7);
        shared.give_back(keys[0], 10);
        let claim = move |shared: &Shared| {
            let slot = shared.claim(keys[1], 20);
            assert_eq!(shared.ring(slot).used(hour(10)), Some(0), "inherited");
            slot
        };
        let theirs = shared.clone();
        let other = thread::spawn(move || claim(&theirs));
        let mine = claim(&shared);
        assert_eq!(mine, other.join().unwrap(), "one key, two slots");
    });
}

/// The broken twin: looks whether the branch is free, then writes. Loom must
/// find the key that so gets two nodes.
#[test]
#[should_panic(expected = "one key, two nodes")]
fn loom_finds_the_fault_of_a_branch_that_is_written() {
    model(|| {
        let branch = Arc::new(AtomicU64::new(0));
        let lead = |branch: &AtomicU64, node: u64| {
            let there = branch.load(Ordering::SeqCst);
            if there != 0 {
                return there;
            }
            branch.store(node, Ordering::SeqCst);
            node
        };
        let theirs = branch.clone();
        let other = thread::spawn(move || lead(&theirs, 2));
        let mine = lead(&branch, 3);
        assert_eq!(mine, other.join().unwrap(), "one key, two nodes");
    });
}
