//! The table, one thread at a time, and under many.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::sync::{AtomicU64, Ordering};

const SEEDS: Seeds = Seeds([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
const NOW: u64 = 1_790_000_000;

struct Table(Vec<Line>);

impl Table {
    fn new(addresses: u32) -> Self {
        let lines = sets_for(addresses) as usize * LINES_PER_SET;
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self(std::iter::repeat_with(line).take(lines).collect())
    }

    fn view(&self) -> Failures<'_> {
        Failures::new(&self.0, self.0.len() / LINES_PER_SET)
    }

    fn fail(&self, ip: u32, now: u64, window: &Window) -> Recorded {
        let place = self.view().place(SEEDS, addr(ip));
        plain(place.record(place.look(), now, window))
    }

    fn blocked(&self, ip: u32, now: u64) -> Option<u64> {
        let place = self.view().place(SEEDS, addr(ip));
        place.look().blocked_until(now)
    }
}

/// As the answer goes: the failure that blocks is counted like the others.
fn plain(recorded: Recorded) -> Recorded {
    match recorded {
        Recorded::Began { .. } => Recorded::Counted,
        other => other,
    }
}

fn addr(ip: u32) -> ClientAddr {
    IpAddr::V4(Ipv4Addr::from(ip)).into()
}

#[test]
fn the_threshold_blocks_and_the_block_ends() {
    let table = Table::new(64);
    let window = Window::new(3, 300, 60);
    for _ in 0..3 {
        assert_eq!(table.blocked(1, NOW), None);
        assert_eq!(table.fail(1, NOW, &window), Recorded::Counted);
    }
    let until = NOW + 60;
    assert_eq!(table.blocked(1, NOW), Some(until));
    assert_eq!(table.blocked(1, until - 1), Some(until));
    assert_eq!(
        table.fail(1, until - 1, &window),
        Recorded::Blocked { until }
    );
    assert_eq!(table.blocked(1, until), None);
    assert_eq!(table.view().count_blocked(NOW), 1);
    assert_eq!(table.view().count_blocked(until), 0);
    // The count starts again from nothing, though the window is not over.
    for _ in 0..3 {
        assert_eq!(table.fail(1, until, &window), Recorded::Counted);
    }
    assert_eq!(table.blocked(1, until), Some(until + 60));
}

#[test]
fn nothing_older_than_the_window_counts() {
    let window = Window::new(2, 300, 60);
    // The bucket of NOW begins at NOW: both ends of the window are exact.
    assert_eq!(NOW % 25, 0);
    for (later, blocks) in [
        (0, true),
        (24, true),
        (299, true),
        (300, false),
        (10_000, false),
    ] {
        let table = Table::new(64);
        table.fail(1, NOW, &window);
        table.fail(1, NOW + later, &window);
        assert_eq!(table.blocked(1, NOW + later).is_some(), blocks, "{later}");
    }
}

/// Each bucket counts while it is one of the last twelve, and never again:
/// neither a lap nor many laps later.
#[test]
fn a_failure_counts_for_twelve_buckets_from_wherever_it_stands() {
    let window = Window::new(MAX_THRESHOLD, 300, 60);
    let buckets = if cfg!(miri) { 2 } else { 12 };
    for first in (0..buckets).map(|bucket| NOW + bucket * 25) {
        let table = Table::new(64);
        table.fail(1, first, &window);
        let place = table.view().place(SEEDS, addr(1));
        for later in (0..1500).step_by(25).chain([1 << 20, 1 << 36]) {
            let counted = u64::from(later < 300);
            let failures = place.look().failures(first + later, &window);
            assert_eq!(failures, counted, "{first} and {later} s");
        }
    }
}

#[test]
fn unblocking_starts_from_nothing() {
    let table = Table::new(64);
    let window = Window::new(2, 300, 60);
    assert!(!table.view().place(SEEDS, addr(1)).unblock(NOW));
    table.fail(1, NOW, &window);
    assert!(
        !table.view().place(SEEDS, addr(1)).unblock(NOW),
        "not blocked yet"
    );
    table.fail(1, NOW, &window);
    assert!(table.view().place(SEEDS, addr(1)).unblock(NOW));
    assert_eq!(table.blocked(1, NOW), None);
    table.fail(1, NOW, &window);
    assert_eq!(table.blocked(1, NOW), None);
    table.fail(1, NOW, &window);
    assert!(table.blocked(1, NOW).is_some());
}

#[test]
fn addresses_do_not_share_counts() {
    let (addresses, room) = if cfg!(miri) { (6, 8) } else { (2000, 8192) };
    let table = Table::new(room);
    let window = Window::new(2, 300, 60);
    for ip in 0..addresses {
        table.fail(ip, NOW, &window);
    }
    for ip in 0..addresses {
        assert_eq!(table.blocked(ip, NOW), None, "{ip}");
    }
    table.fail(5, NOW, &window);
    let blocked = (0..addresses).filter(|&ip| table.blocked(ip, NOW).is_some());
    assert_eq!(blocked.collect::<Vec<_>>(), [5]);
}

#[test]
fn a_flood_of_addresses_takes_what_matters_least() {
    // One set.
    let table = Table::new(WAYS as u32);
    let window = Window::new(3, 300, 10_000);
    for ip in 0..3 {
        for _ in 0..3 {
            table.fail(ip, NOW, &window);
        }
    }
    table.fail(100, NOW, &window);
    table.fail(100, NOW, &window);
    let flood = if cfg!(miri) { 20 } else { 10_000 };
    for ip in 1000..1000 + flood {
        table.fail(ip, NOW, &window);
    }
    for ip in 0..3 {
        assert!(table.blocked(ip, NOW).is_some(), "blocks stand");
    }
    // Two failures outlast those with one.
    table.fail(100, NOW, &window);
    assert!(table.blocked(100, NOW).is_some());
    // Once the window has run out, even many failures give way first.
    let later = NOW + 300;
    table.fail(200, NOW, &window);
    table.fail(200, NOW, &window);
    for ip in 2000..2008 {
        table.fail(ip, later, &window);
    }
    table.fail(200, later, &window);
    assert_eq!(table.blocked(200, later), None);
}

#[test]
fn no_address_gives_way_while_its_set_has_room() {
    // One set.
    let table = Table::new(WAYS as u32);
    let window = Window::new(2, 300, 60);
    for ip in 0..WAYS as u32 {
        // Each an hour before the others, none of whose failures count then.
        table.fail(ip, NOW - 3600 * u64::from(ip), &window);
    }
    for ip in 0..WAYS as u32 {
        let at = NOW - 3600 * u64::from(ip);
        table.fail(ip, at, &window);
        assert_eq!(table.blocked(ip, at), Some(at + 60), "{ip}");
    }
}

#[test]
fn a_set_full_of_blocks_gives_up_the_one_that_ends_first() {
    let table = Table::new(WAYS as u32);
    let window = Window::new(1, 300, 1000);
    for ip in 0..WAYS as u32 {
        table.fail(ip, NOW + u64::from(ip), &window);
    }
    table.fail(500, NOW + 100, &window);
    assert!(table.blocked(500, NOW + 100).is_some());
    assert_eq!(table.blocked(0, NOW + 100), None);
    for ip in 1..WAYS as u32 {
        assert!(table.blocked(ip, NOW + 100).is_some());
    }
}

#[test]
fn no_number_of_failures_outweighs_a_block() {
    // At the beginning of time, when a block ends at a small number.
    let table = Table::new(WAYS as u32);
    let once = Window::new(1, 300, 60);
    let often = Window::new(1000, 300, 60);
    for ip in 0..WAYS as u32 - 1 {
        for _ in 0..200 {
            table.fail(ip, 1, &often);
        }
    }
    table.fail(100, 1, &once);
    table.fail(200, 1, &often);
    assert_eq!(table.blocked(100, 1), Some(61));
}

/// Where an address lies is written into a ledger's file, which other builds of
/// the engine read: the same seeds must lead them to the same place.
#[test]
fn the_mixing_is_what_it_was() {
    // An even number is made the odd one after it.
    let odd = Seeds([SEEDS.0[0], SEEDS.0[1] + 1]);
    for (unit, mixed) in [
        (0, 0x8C96_6A86_6E91_00AF),
        (1, 0x18C4_3513_1D2C_515F),
        (u64::MAX, 0x6032_0E00_3B83_671C),
    ] {
        assert_eq!([SEEDS.mix(unit), odd.mix(unit)], [mixed; 2]);
    }
}

#[test]
fn a_damaged_way_is_mended_by_whoever_takes_it() {
    let window = Window::new(3, 300, 60);
    // The line of tags reached a file and that of a way did not; or a word
    // holds what was never written.
    type Damage = fn(&Table);
    let damages: [Damage; 3] = [
        |table| table.0[1].0[0].store(0, Ordering::SeqCst),
        |table| table.0[1].0[0].store(u64::MAX, Ordering::SeqCst),
        |table| {
            // The tag of way 2 names way 1.
            let tag = &table.0[0].0[2];
            let word = tag.load(Ordering::SeqCst);
            tag.store(word & !(7 << 13) | 1 << 13, Ordering::SeqCst);
        },
    ];
    for damage in damages {
        let table = Table::new(WAYS as u32);
        for ip in 0..WAYS as u32 {
            table.fail(ip, NOW, &window);
        }
        damage(&table);
        for ip in 500..520 {
            let counted = (0..10).filter(|_| table.fail(ip, NOW, &window) == Recorded::Counted);
            assert_eq!(counted.count(), 3);
        }
    }
}

#[test]
fn beyond_the_last_second_that_fits_a_block_stands() {
    let table = Table::new(64);
    let window = Window::new(3, 300, 60);
    let milliseconds = NOW * 1000;
    let counted = (0..10).filter(|_| table.fail(1, milliseconds, &window) == Recorded::Counted);
    assert_eq!(counted.count(), 3);
    assert!(table.blocked(1, u64::MAX).is_some());
}

#[test]
fn the_largest_threshold_is_counted_to_the_last() {
    let threshold = if cfg!(miri) { 100 } else { MAX_THRESHOLD };
    let table = Table::new(64);
    let window = Window::new(threshold, 300, 60);
    let tries = threshold as usize + 5;
    let counted = (0..tries).filter(|_| table.fail(1, NOW, &window) == Recorded::Counted);
    assert_eq!(counted.count(), threshold as usize);
}

#[test]
fn exactly_the_threshold_is_counted_under_many_threads() {
    let threads = if cfg!(miri) { 3 } else { 8 };
    let rounds = if cfg!(miri) { 2 } else { 200 };
    let window = Window::new(10, 300, 60);
    for round in 0..rounds {
        // A small table, so that the first failures race for a way.
        let table = Table::new(1);
        let counted: usize = std::thread::scope(|scope| {
            let fail = || {
                (0..6)
                    .filter(|_| table.fail(round, NOW, &window) == Recorded::Counted)
                    .count()
            };
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(fail)).collect();
            handles.into_iter().map(|h| h.join().unwrap()).sum()
        });
        assert_eq!(counted, 10.min(threads * 6));
        assert!(table.blocked(round, NOW).is_some());
    }
}
