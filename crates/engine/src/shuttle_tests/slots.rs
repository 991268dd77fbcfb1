//! A key goes, and nine hours later another one gets its slot.

use shuttle::sync::Arc;
use shuttle::thread;

use super::charges::{Book, FIRST, SAME_WORD, decided};
use super::is_found;
use super::world::World;
use crate::time::{HOUR_S, Hour};

const OLD: usize = 0;
const NEW: usize = 1;
/// The last hour that the old key is charged in, and nine more.
const LATER: u64 = FIRST + 1 + 9;

/// There is one slot. The old key is charged while it goes; the new one is
/// asked for while it comes, at its own hours and at the old key's.
fn a_slot_goes_to_another_key(insert: fn(&World)) {
    let world = Arc::new(World::new(1, 2, FIRST * HOUR_S));
    world.insert(OLD, 2);
    let book = Arc::new(Book::default());
    let charging = |charges: &'static [(usize, u64)]| {
        let (world, book) = (world.clone(), book.clone());
        thread::spawn(move || {
            for &(key, hour) in charges {
                book.note(decided(&world, key, hour, 1));
            }
        })
    };
    let removing = {
        let world = world.clone();
        thread::spawn(move || world.engine.remove_key(world.id(OLD)).unwrap())
    };
    let charged = [
        charging(&[(OLD, FIRST), (OLD, FIRST)]),
        charging(&[(OLD, FIRST), (OLD, FIRST + 1)]),
    ];
    for thread in charged.into_iter().chain([removing]) {
        thread.join().unwrap();
    }
    book.check();
    let before = book.admitted(OLD, FIRST);

    // No decision takes nine hours.
    world.engine.clock().set(LATER * HOUR_S);
    let inserting = {
        let world = world.clone();
        thread::spawn(move || insert(&world))
    };
    let charged = [
        charging(&[(NEW, LATER), (NEW, FIRST), (NEW, LATER)]),
        charging(&[(OLD, FIRST), (NEW, LATER), (NEW, SAME_WORD)]),
        charging(&[(NEW, FIRST + 1), (OLD, FIRST), (NEW, LATER)]),
    ];
    for thread in charged.into_iter().chain([inserting]) {
        thread.join().unwrap();
    }
    book.check();
    assert_eq!(book.admitted(OLD, FIRST), before, "it was gone");
    for hour in FIRST..=LATER {
        let used = world.engine.used(world.id(NEW), Hour::of(hour * HOUR_S));
        // None where a later hour has the word.
        let own = book.admitted(NEW, hour);
        assert_eq!(used.unwrap_or(own), own, "inherited in hour {hour}");
    }
}

fn insert(world: &World) {
    world.insert(NEW, 2);
}

/// As the engine does it.
pub(super) fn a_new_key_inherits_nothing() {
    a_slot_goes_to_another_key(insert);
}

/// The broken twin: the slot is emptied once the new key has it.
#[test]
fn finds_the_fault_of_emptying_a_slot_that_was_given() {
    is_found(&["no order explains", "inherited"], || {
        a_slot_goes_to_another_key(|world| {
            insert(world);
            let ring = world.engine.ledger.ring(world.slot(NEW).unwrap()).unwrap();
            ring.clear(world.usage());
        });
    });
}
