//! The check beside one that tries every order: small histories of a counter
//! that is right, and the same with something in them changed.

use crate::check::{Fault, check};
use crate::record::Event;

const LIMIT: u64 = 3;
/// Hours that share a place.
const HOURS: [u64; 3] = [5, 13, 21];
/// Times of a history lie below.
const TIMES: u64 = 16;

/// An hour and what of it is used.
type Word = (u64, u64);

/// What an exact counter makes of a charge: the word behind it, whether it is
/// admitted, and what is left.
fn charged(word: Word, hour: u64, cost: u64) -> (Word, bool, u64) {
    if word.0 > hour {
        return (word, false, 0);
    }
    let used = if word.0 == hour { word.1 } else { 0 };
    match used + cost {
        after if after > LIMIT => (word, false, LIMIT - used),
        after => ((hour, after), true, LIMIT - after),
    }
}

/// Whether some order of what is left explains it all, from a word and a time
/// on.
fn some_order(word: Word, now_ns: u64, left: &mut Vec<Event>) -> bool {
    for at in 0..left.len() {
        let event = left.swap_remove(at);
        let (next, admitted, remaining) = charged(word, event.hour, event.cost);
        let now_ns = now_ns.max(event.start_ns);
        let is_next = (admitted, remaining) == (event.admitted, event.left)
            && now_ns <= event.end_ns
            && some_order(next, now_ns, left);
        // Back to where it was.
        left.push(event);
        let last = left.len() - 1;
        left.swap(at, last);
        if is_next {
            return true;
        }
    }
    left.is_empty()
}

/// What a right counter answered, each at a moment between its start and its
/// end.
fn history(random: &mut fastrand::Rng) -> Vec<Event> {
    let mut moments: Vec<u64> = (0..random.usize(1..=7))
        .map(|_| random.u64(..TIMES))
        .collect();
    moments.sort_unstable();
    let (mut word, mut front) = ((0, 0), 0);
    let mut events = Vec::new();
    for moment in moments {
        front = HOURS.len().min(front + usize::from(random.u8(..) < 64));
        let hour = HOURS[random.usize(..=front.min(HOURS.len() - 1))];
        // More than the limit too, which is refused whatever is used.
        let cost = random.u64(..=LIMIT + 1);
        let (next, admitted, left) = charged(word, hour, cost);
        word = next;
        events.push(Event {
            start_ns: moment - random.u64(..=moment),
            end_ns: random.u64(moment..TIMES),
            key: 0,
            hour,
            cost,
            admitted,
            left,
        });
    }
    events
}

/// One thing in a history made another.
fn change(events: &mut [Event], random: &mut fastrand::Rng) {
    let at = random.usize(..events.len());
    let event = &mut events[at];
    match random.u8(..6) {
        0 => event.end_ns = random.u64(event.start_ns..=event.end_ns),
        1 => event.start_ns = random.u64(event.start_ns..=event.end_ns),
        2 => event.left = random.u64(..=LIMIT),
        3 => event.cost = random.u64(..=LIMIT + 1),
        4 => event.admitted ^= true,
        _ => event.hour = HOURS[random.usize(..HOURS.len())],
    }
}

fn checked(events: &[Event]) -> Result<(), Fault> {
    check(&[LIMIT], &mut events.to_vec()).map(drop)
}

#[test]
fn a_right_counter_is_never_called_wrong() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..100_000 {
        let events = history(&mut random);
        let found = checked(&events);
        assert_eq!(found, Ok(()), "{events:#?}");
    }
}

#[test]
fn what_no_order_explains_is_found_and_nothing_else() {
    let mut random = fastrand::Rng::with_seed(2);
    let (mut explained, mut faulty) = (0_u64, 0_u64);
    for _ in 0..100_000 {
        let mut events = history(&mut random);
        for _ in 0..random.usize(1..=3) {
            change(&mut events, &mut random);
        }
        let found = checked(&events);
        let is_explained = some_order((0, 0), 0, &mut events);
        assert_eq!(found.is_ok(), is_explained, "{found:?}: {events:#?}");
        *(if is_explained {
            &mut explained
        } else {
            &mut faulty
        }) += 1;
    }
    assert!(explained > 10_000 && faulty > 10_000);
}
