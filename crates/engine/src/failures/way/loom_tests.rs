//! Models of one way under two threads: what happens between a look at its
//! state and a count in it.

use std::sync::Arc;

use loom::thread;

use super::super::window::BUCKETS;
use super::*;
use crate::sync::{bounded, bounded_in_one_order, bounded_in_turns, whole_in_turns};

const NOW: u64 = 1_790_000_000;
const WINDOW_S: u32 = 300;
const BLOCK_S: u32 = 60;
/// A block that began at `NOW` has ended, and the bucket is the same still.
const AFTER_BLOCK: u64 = NOW + BLOCK_S as u64;
const _: () = assert!(BLOCK_S < WINDOW_S / BUCKETS as u32);

/// The two lines of a way that is an address's: the first tag's and the first
/// state's eras agree.
struct Lines([Line; 2]);

impl Lines {
    fn new() -> Arc<Self> {
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Arc::new(Self([line(), line()]))
    }

    fn way(&self) -> Way<'_> {
        Way::new(Tag(0), &self.0)
    }

    fn is_blocked(&self, now: u64) -> bool {
        self.way().state().is_blocked(now)
    }
}

/// How a failure is counted. Nobody gives the way up.
type Add = fn(Way<'_>, u64, &Window) -> Recorded;

fn add(way: Way<'_>, now: u64, window: &Window) -> Recorded {
    way.add(now, window).expect("the way is the address's")
}

/// The broken twin of [`Way::add`], for failures of one bucket: the state is not
/// looked at again before the swap.
fn add_in_any_state(way: Way<'_>, now: u64, window: &Window) -> Recorded {
    let Bucket { at, lap } = window.current(now);
    loop {
        let state = way.state();
        if let Some(until) = state.blocked_until(now) {
            return Recorded::Blocked { until };
        }
        let label = way.label(state, lap);
        let word = way.bucket(at);
        let mut seen = word.load(Ordering::Acquire);
        let counted = loop {
            let next = count(seen, label) + 1;
            let labelled = label << COUNT_BITS | next;
            match word.compare_exchange(seen, labelled, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => break next,
                Err(now_there) => seen = now_there,
            }
        };
        if counted < window.threshold() {
            return Recorded::Counted;
        }
        let until = window.block_end(now);
        if way.replace(state, state.next(until)) {
            return Recorded::Began { until };
        }
    }
}

/// Begins a block, ends it and counts a failure after it, while another failure
/// that was looked up before the block may be counted.
fn through_a_block_that_is_lifted(add: Add) {
    bounded_in_turns(3, move || {
        let lines = Lines::new();
        let window = Window::new(2, WINDOW_S, BLOCK_S);
        add(lines.way(), NOW, &window);
        let theirs = lines.clone();
        let other = thread::spawn(move || {
            let way = theirs.way();
            add(way, NOW, &window);
            assert!(way.unblock(NOW));
            add(way, NOW, &window)
        });
        add(lines.way(), NOW, &window);
        let theirs = other.join().unwrap();
        // Whoever's failure began the block, theirs comes after it.
        assert!(!matches!(theirs, Recorded::Blocked { .. }));
        add(lines.way(), NOW, &window);
        assert!(lines.is_blocked(NOW), "a count was taken away");
    });
}

#[test]
fn loom_a_failure_through_a_whole_block() {
    through_a_block_that_is_lifted(add);
}

/// The broken twin. Loom must find that the late failure overwrites a count
/// which was made after the block.
#[test]
#[should_panic(expected = "a count was taken away")]
fn loom_finds_the_fault_of_counting_in_any_state() {
    through_a_block_that_is_lifted(add_in_any_state);
}

/// The same where the block ends by time: of the two failures that come then,
/// one may have looked before it began.
fn through_a_block_that_ends(add: Add) {
    bounded_in_turns(3, move || {
        let lines = Lines::new();
        let window = Window::new(2, WINDOW_S, BLOCK_S);
        add(lines.way(), NOW, &window);
        let theirs = lines.clone();
        let other = thread::spawn(move || {
            add(theirs.way(), NOW, &window);
            add(theirs.way(), AFTER_BLOCK, &window)
        });
        add(lines.way(), AFTER_BLOCK, &window);
        other.join().unwrap();
        // Mine was the second and began a block, or both came after theirs.
        assert!(lines.is_blocked(AFTER_BLOCK), "a count was taken away");
    });
}

#[test]
fn loom_a_failure_through_a_block_that_ends() {
    through_a_block_that_ends(add);
}

/// The broken twin, likewise.
#[test]
#[should_panic(expected = "a count was taken away")]
fn loom_finds_the_fault_of_counting_in_any_state_over_time() {
    through_a_block_that_ends(add_in_any_state);
}

#[test]
fn loom_two_failures_after_a_block() {
    whole_in_turns(|| {
        let lines = Lines::new();
        let window = Window::new(2, WINDOW_S, BLOCK_S);
        for _ in 0..2 {
            add(lines.way(), NOW, &window);
        }
        assert!(lines.is_blocked(NOW) && !lines.is_blocked(AFTER_BLOCK));
        let theirs = lines.clone();
        let other = thread::spawn(move || add(theirs.way(), AFTER_BLOCK, &window));
        let mine = add(lines.way(), AFTER_BLOCK, &window);
        let told = [mine, other.join().unwrap()];
        // They count afresh: the one is the first, and the other blocks.
        let until = AFTER_BLOCK + u64::from(BLOCK_S);
        assert!(told.contains(&Recorded::Counted));
        assert!(told.contains(&Recorded::Began { until }));
        assert!(lines.is_blocked(AFTER_BLOCK));
    });
}

/// Two threads, each of which counts in a bucket before it reads the other's:
/// whoever does so last must find the threshold reached.
///
/// The earlier of two buckets never counts the later one, so two failures alone
/// cannot miss each other. It takes a thread that has one in the oldest bucket
/// and one in the newest, around another's in the middle.
fn neither_sees_the_other() {
    let lines = Lines::new();
    let window = Window::new(3, WINDOW_S, 2 * WINDOW_S);
    let [oldest, middle, newest] = [0, 1, 2].map(|n| NOW + n * u64::from(WINDOW_S) / BUCKETS);
    let theirs = lines.clone();
    let other = thread::spawn(move || {
        for now in [oldest, newest] {
            add(theirs.way(), now, &window);
        }
    });
    for _ in 0..2 {
        add(lines.way(), middle, &window);
    }
    other.join().unwrap();
    assert!(lines.is_blocked(newest), "nobody saw them all");
}

#[test]
fn loom_two_threads_in_three_buckets() {
    bounded_in_one_order(5, neither_sees_the_other);
}

/// The broken twin: the same steps as loom takes them by itself, which is as if
/// SeqCst were Acquire and Release. Loom must find that it is needed.
#[test]
#[should_panic(expected = "nobody saw them all")]
fn loom_finds_the_fault_of_acquire_and_release_alone() {
    bounded(3).check(neither_sees_the_other);
}
