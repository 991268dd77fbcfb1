//! Models of the table under two threads: a set has two ways here.

use std::net::{IpAddr, Ipv4Addr};

use loom::sync::Arc;
use loom::thread;

use super::*;

const SEEDS: Seeds = Seeds([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
const NOW: u64 = 1_790_000_000;

fn addr(ip: u32) -> ClientAddr {
    IpAddr::V4(Ipv4Addr::from(ip)).into()
}

fn table() -> Arc<Vec<Line>> {
    let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
    Arc::new(std::iter::repeat_with(line).take(LINES_PER_SET).collect())
}

fn fail(table: &[Line], ip: u32, window: &Window) -> Recorded {
    Failures::new(table).record(SEEDS, addr(ip), NOW, window)
}

fn blocked(table: &[Line], ip: u32) -> bool {
    Failures::new(table)
        .blocked_until(SEEDS, addr(ip), NOW)
        .is_some()
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn loom_two_failures_at_the_threshold() {
    model(|| {
        let table = table();
        let window = Window::new(2, 300, 60);
        assert_eq!(fail(&table, 1, &window), Recorded::Counted);
        let theirs = table.clone();
        let other = thread::spawn(move || fail(&theirs, 1, &window));
        let mine = fail(&table, 1, &window);
        let theirs = other.join().unwrap();
        let counted = [mine, theirs]
            .iter()
            .filter(|r| **r == Recorded::Counted)
            .count();
        assert_eq!(
            counted, 1,
            "one failure made the threshold, the other came after"
        );
        assert!(blocked(&table, 1));
    });
}

#[test]
fn loom_two_first_failures_share_a_way() {
    model(|| {
        let table = table();
        let window = Window::new(2, 300, 60);
        let theirs = table.clone();
        let other = thread::spawn(move || fail(&theirs, 1, &window));
        assert_eq!(fail(&table, 1, &window), Recorded::Counted);
        assert_eq!(other.join().unwrap(), Recorded::Counted);
        assert!(blocked(&table, 1), "neither failure was lost");
    });
}

#[test]
fn loom_three_first_failures() {
    model(|| {
        let table = table();
        let window = Window::new(2, 300, 60);
        let spawn = || {
            let table = table.clone();
            thread::spawn(move || fail(&table, 1, &window))
        };
        let others = [spawn(), spawn()];
        let mut all = vec![fail(&table, 1, &window)];
        all.extend(others.map(|other| other.join().unwrap()));
        let counted = all.iter().filter(|r| **r == Recorded::Counted).count();
        assert_eq!(counted, 2);
        assert!(blocked(&table, 1));
    });
}

#[test]
fn loom_failure_against_eviction() {
    model(|| {
        let table = table();
        let window = Window::new(2, 300, 60);
        // Both ways taken; 1 has a failure more to lose than 2 and 3 have.
        fail(&table, 1, &window);
        fail(&table, 2, &window);
        let theirs = table.clone();
        let other = thread::spawn(move || fail(&theirs, 3, &window));
        let mine = fail(&table, 1, &window);
        assert_eq!(other.join().unwrap(), Recorded::Counted);
        assert_eq!(mine, Recorded::Counted);
        assert!(!blocked(&table, 3), "nobody inherits another's failures");
        assert!(!blocked(&table, 2));
    });
}

#[test]
fn loom_block_end_against_new_failure() {
    model(|| {
        let table = table();
        let window = Window::new(1, 300, 60);
        assert_eq!(fail(&table, 1, &window), Recorded::Counted);
        let theirs = table.clone();
        let other = thread::spawn(move || Failures::new(&theirs).unblock(SEEDS, addr(1), NOW));
        let mine = fail(&table, 1, &window);
        assert!(other.join().unwrap());
        // Before the unblocking it was refused, after it it counts afresh.
        assert_eq!(blocked(&table, 1), mine == Recorded::Counted);
    });
}

/// The broken twin: the threshold checked in one step and counted in another.
/// Loom must find the failure too many.
#[test]
#[should_panic(expected = "two counted")]
fn loom_finds_the_fault_of_check_then_count() {
    model(|| {
        let count = Arc::new(AtomicU64::new(1));
        let fail = |count: &AtomicU64| {
            let seen = count.load(Ordering::SeqCst);
            count.store(seen + 1, Ordering::SeqCst);
            seen + 1 <= 2
        };
        let theirs = count.clone();
        let other = thread::spawn(move || fail(&theirs));
        let mine = fail(&count);
        assert!(!(mine && other.join().unwrap()), "two counted");
    });
}
