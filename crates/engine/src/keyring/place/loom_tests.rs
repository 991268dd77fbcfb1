//! Models of a place that is filled while two look at it.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::keyring::record::sample;
use crate::sync::bounded_in_turns;

const NUMBER: u64 = 7;

type Fill = fn(&Place, &Record);
type Look = fn(&Place) -> Option<&Record>;

/// As the writer at turn does.
fn fill(place: &Place, record: &Record) {
    // SAFETY: there is no other writer.
    unsafe { place.fill(record) };
}

/// As a decision does.
fn look(place: &Place) -> Option<&Record> {
    let is_there = place.see(KeyId::from_bits(NUMBER)) == Seen::Sought;
    is_there.then(|| place.record().expect("what was seen stays"))
}

fn two_look_while_it_is_filled(fill: Fill, look: Look) {
    bounded_in_turns(3, move || {
        let place = Arc::new(Place::empty());
        let readers = [(); 2].map(|()| {
            let place = place.clone();
            thread::spawn(move || {
                let before = look(&place).map(is_whole);
                let after = look(&place).map(is_whole);
                assert!(before.is_none() || after.is_some(), "it went");
            })
        });
        fill(&place, &sample(NUMBER, 1));
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(look(&place).is_some());
    });
}

fn is_whole(record: &Record) {
    let whole = sample(NUMBER, 1);
    let (digest, slot) = (whole.digest(), whole.slot());
    let is_whole = record.id() == whole.id() && record.digest() == digest && record.slot() == slot;
    assert!(is_whole, "a part of a record");
}

#[test]
fn loom_who_sees_the_id_sees_the_record() {
    two_look_while_it_is_filled(fill, look);
}

/// The broken twin: the id publishes nothing.
#[test]
#[should_panic(expected = "Concurrent read and write accesses")]
fn loom_finds_the_fault_of_a_relaxed_id() {
    let relaxed: Fill = |place, record| {
        // SAFETY: there is no other writer.
        unsafe { place.write_but_id(record) };
        place.id().store(record.id().to_bits(), Ordering::Relaxed);
    };
    two_look_while_it_is_filled(relaxed, look);
}

/// Another: who sees the id acquires nothing by it.
#[test]
#[should_panic(expected = "Concurrent read and write accesses")]
fn loom_finds_the_fault_of_a_relaxed_look() {
    let relaxed: Look = |place| {
        let is_there = place.id().load(Ordering::Relaxed) == NUMBER;
        // SAFETY: what the model is to refute.
        is_there.then(|| unsafe { place.whole() })
    };
    two_look_while_it_is_filled(fill, relaxed);
}

/// And one more: the id comes first.
#[test]
#[should_panic(expected = "Concurrent read and write accesses")]
fn loom_finds_the_fault_of_the_id_before_the_record() {
    let early: Fill = |place, record| {
        place.id().store(record.id().to_bits(), Ordering::Release);
        // SAFETY: what the model is to refute.
        unsafe { place.write_but_id(record) };
    };
    two_look_while_it_is_filled(early, look);
}
