//! The directory, without a file.

use std::collections::{HashMap, HashSet};
use std::thread;

use super::place::Place;
use super::plain::{Shared, hour, key};
use super::{LedgerFault, SlotsError};
use crate::sync::Ordering;

const KEYS: usize = if cfg!(miri) { 12 } else { 150 };

#[test]
fn processes_that_meet_agree_on_every_slot() {
    let shared = Shared::new(4 * KEYS);
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let claimed = thread::scope(|scope| {
        let claim = |from: usize| {
            let (shared, keys) = (&shared, &keys);
            scope.spawn(move || -> HashMap<_, _> {
                let (first, rest) = keys.split_at(from);
                let all = rest.iter().chain(first);
                all.map(|key| (*key, shared.claim(*key, 20))).collect()
            })
        };
        [0, KEYS / 3, KEYS / 2]
            .map(claim)
            .map(|thread| thread.join().unwrap())
    });
    assert_eq!(claimed[0], claimed[1]);
    assert_eq!(claimed[0], claimed[2]);
    let slots: HashSet<_> = claimed[0].values().collect();
    assert_eq!(slots.len(), KEYS, "a slot of its own for each key");
}

#[test]
fn no_line_is_given_out_beyond_the_room() {
    let shared = Shared::new(3);
    let key_at = |n| shared.with(|directory| directory.claim(key(n), hour(20)));
    assert!(key_at(0).is_ok());
    assert_eq!(key_at(1), Err(LedgerFault::NoRoom(0)));
    assert!(key_at(0).is_ok(), "what is there is there");
    assert_ne!(SlotsError::Full, SlotsError::Fault(LedgerFault::NoRoom(0)));
}

/// The clock was ahead when the key was removed.
#[test]
fn a_slot_given_back_ahead_of_time_rests_from_now() {
    let shared = Shared::new(64);
    let before = shared.claim(key(0), 500);
    shared.give_back(key(0), 500);
    // Each looks under all heads, for there are 16.
    assert_ne!(shared.claim(key(1), 20), before);
    assert_ne!(shared.claim(key(2), 28), before);
    assert_eq!(shared.claim(key(3), 29), before, "since hour 20");
}

/// A process that does not follow the others still charges the key.
#[test]
fn a_ring_that_is_charged_does_not_rest() {
    let shared = Shared::new(64);
    let before = shared.claim(key(0), 20);
    shared.give_back(key(0), 20);
    shared.count(before, hour(27), 1);
    assert_ne!(shared.claim(key(1), 35), before);
    assert_eq!(shared.claim(key(2), 36), before);
}

/// Others may take lines while a walk is under way: what it was told before is
/// no bound.
#[test]
fn a_walk_shows_what_came_meanwhile() {
    let shared = Shared::new(64);
    for n in 0..6 {
        shared.claim(key(n), 20);
    }
    shared.say_taken(1);
    let mut shown = 0;
    shared.with(|directory| {
        assert!(directory.each(&mut |_, _| {
            shown += 1;
            Ok(true)
        }));
    });
    assert_eq!(shown, 6);
}

/// Of two processes that give a key up the later one counts.
#[test]
fn a_slot_rests_from_when_it_was_last_given_back() {
    let shared = Shared::new(64);
    let before = shared.claim(key(0), 20);
    shared.give_back(key(0), 20);
    shared.give_back(key(0), 24);
    assert_ne!(shared.claim(key(1), 32), before);
    assert_eq!(shared.claim(key(2), 33), before);
}

/// Lines that a counter of before the machine stopped knows nothing of.
#[test]
fn lines_that_are_led_to_are_not_given_out_again() {
    let shared = Shared::new(64);
    let slots: Vec<_> = (0..5).map(|n| shared.claim(key(n), 20)).collect();
    for slot in &slots {
        shared.count(*slot, hour(20), 4);
    }
    shared.give_back(key(4), 20);
    shared.with(|directory| {
        directory.control.taken().store(1, Ordering::Relaxed);
        directory.control.resting().store(0, Ordering::Relaxed);
        directory.recover(Some(7));
        assert_eq!(directory.control.resting().load(Ordering::Relaxed), 1);
        // Once for a start of the machine.
        directory.control.resting().store(0, Ordering::Relaxed);
        directory.recover(Some(7));
        assert_eq!(directory.control.resting().load(Ordering::Relaxed), 0);
        // Each time where the system does not tell.
        directory.recover(None);
        assert_eq!(directory.control.resting().load(Ordering::Relaxed), 1);
    });
    for n in 5..10 {
        let new = shared.claim(key(n), 20);
        assert!(!slots.contains(&new), "{new} is another key's");
        assert_eq!(shared.ring(new).used(hour(20)), Some(0));
    }
    for (n, slot) in slots.iter().enumerate() {
        assert_eq!(shared.claim(key(n), 20), *slot);
    }
}

/// Of a slot that went from one key to another the machine's stop left the new
/// key's word on the disk, and of the old one's what it was before. Whichever
/// of their nodes is the first, and whether the new key is there or gone again.
#[test]
fn a_slot_that_was_given_on_is_one_keys_after_the_machine_stopped() {
    for (old, new, is_held) in [(0, 1, true), (1, 0, true), (0, 1, false), (1, 0, false)] {
        let shared = Shared::new(64);
        // Their nodes, in this order.
        for n in 0..2 {
            shared.claim(key(n), 10);
            shared.give_back(key(n), if n == old { 10 } else { 15 });
        }
        let before = shared.word(key(old)).load(Ordering::Relaxed);
        // The new key's own went to another before.
        shared
            .word(key(new))
            .store(Place::Nowhere.word(), Ordering::Relaxed);
        let slot = shared.claim(key(new), 20);
        assert_eq!(Place::of(before), {
            let since = hour(10);
            Place::Resting { slot, since }
        });
        shared.count(slot, hour(20), 5);
        if !is_held {
            shared.give_back(key(new), 20);
        }
        shared.word(key(old)).store(before, Ordering::Relaxed);
        shared.with(|directory| {
            directory.control.resting().store(0, Ordering::Relaxed);
            directory.recover(Some(7));
            let resting = directory.control.resting().load(Ordering::Relaxed);
            assert_eq!(resting, u64::from(!is_held));
        });
        let olds = shared.claim(key(old), 20);
        assert_ne!(olds, slot, "two keys, one slot");
        assert_eq!(shared.ring(olds).used(hour(20)), Some(0));
        assert_eq!(shared.claim(key(new), 20), slot);
        assert_eq!(shared.ring(slot).used(hour(20)), Some(5));
    }
}

/// Keys of which each has what it had, and no two the same, as they were found.
#[test]
fn a_whole_directory_is_left_as_it_is_after_the_machine_stopped() {
    let shared = Shared::new(64);
    for n in 0..9 {
        shared.claim(key(n), 20);
        if n % 3 == 0 {
            shared.give_back(key(n), 20 + n as u32);
        }
    }
    let words = || [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|n| shared.word(key(n)).load(Ordering::Relaxed));
    let before = words();
    shared.with(|directory| directory.recover(Some(7)));
    assert_eq!(words(), before);
}

/// Numbers that no slot has, the same in several nodes, and nodes that are shown
/// without end.
#[test]
fn nonsense_is_left_within_its_bounds_after_the_machine_stopped() {
    let beyond = |slot| Place::Resting {
        slot,
        since: hour(20),
    };
    for word in [
        Place::Held(u32::MAX),
        beyond(u32::MAX),
        beyond(0),
        Place::Held(0),
        beyond(64),
    ] {
        for branches in [0, 2 << 32 | 2] {
            let shared = Shared::new(64);
            for n in 0..9 {
                shared.claim(key(n), 20);
                shared.word(key(n)).store(word.word(), Ordering::Relaxed);
            }
            for line in shared.nodes() {
                for at in [2, 3, 6, 7] {
                    line.0[at].fetch_or(branches, Ordering::Relaxed);
                }
            }
            shared.with(|directory| {
                directory.recover(Some(7));
                for counted in [directory.control.room(), directory.control.taken()] {
                    assert!(counted.load(Ordering::Relaxed) <= 64);
                }
            });
        }
    }
}

#[test]
fn circles_and_nonsense_are_told() {
    let shared = Shared::new(64);
    for n in 0..6 {
        shared.claim(key(n), 20);
    }
    // Every branch of every node leads to the first node.
    for line in shared.nodes() {
        for word in [2, 3, 6, 7] {
            line.0[word].store(2 << 32 | 2, Ordering::Relaxed);
        }
    }
    let claimed = shared.with(|directory| directory.claim(key(40), hour(20)));
    assert_eq!(claimed, Err(LedgerFault::Damaged));
    // Whatever number of lines is said to be taken.
    for taken in [64, u64::MAX] {
        shared.say_taken(taken);
        shared.with(|directory| assert!(!directory.each(&mut |_, _| Ok(true))));
    }
    // A branch that leads beyond the end.
    for line in shared.nodes() {
        for word in [2, 3, 6, 7] {
            line.0[word].store(u64::MAX, Ordering::Relaxed);
        }
    }
    let claimed = shared.with(|directory| directory.claim(key(40), hour(20)));
    assert_eq!(claimed, Err(LedgerFault::CutShort));
}
