//! A flood of guesses from ever new addresses: memory stays what it was, and
//! whoever was blocked before stays blocked.
//!
//! `TK_TEST_ADDRESSES` says from how many, 2,000,000 unless set;
//! `TK_TEST_SECONDS` and `TK_TEST_SEED` as elsewhere. Alone in its program,
//! whose memory it looks at.

#![forbid(unsafe_code)]
#![cfg(all(not(miri), target_os = "linux"))]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use engine::{Clock, Engine, FailureConfig, Reason, Request, ServerSecret};
use tests::long::{Progress, Run};

const NOW: u64 = 1_790_000_000;
/// Blocked before the flood, a 65th of what the table holds.
const BLOCKED: u32 = 1000;
const MAX_ADDRESSES: u32 = 65_536;
/// In which failures are counted: the shortest.
const WINDOW_S: u32 = 12;
/// Addresses between two looks at the memory and the blocks.
const TURN: u64 = 500_000;
/// What the process may grow by: far less than it would take to remember a
/// single turn's addresses.
const MOST_KIB: u64 = 1024;

/// Memory of this process that is in use.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.unwrap().parse().unwrap()
}

/// The address of a number: every other one a /64 of its own.
fn address(number: u64) -> IpAddr {
    if number.is_multiple_of(2) {
        // Without those of the blocked: a network is none of theirs.
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(number | 1 << 61) << 64 | 1))
    } else {
        let spread = (number as u32).wrapping_mul(0x9E37_79B9);
        IpAddr::V4(Ipv4Addr::from_bits(spread | 1 << 31))
    }
}

fn blocked(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 | number))
}

fn guess(engine: &Engine, ip: IpAddr) -> Reason {
    engine.decide(&Request::new(ip).api_key(b"guess")).reason()
}

#[test]
fn a_flood_of_addresses_takes_no_memory_and_frees_nobody() {
    let failures = FailureConfig {
        threshold: 3,
        window_s: WINDOW_S,
        block_s: 86_400,
        max_addresses: MAX_ADDRESSES,
        ..FailureConfig::default()
    };
    let block_s = u64::from(failures.block_s);
    let clock = Clock::manual(NOW);
    let engine = Engine::builder(ServerSecret::from_bytes([6; 32]))
        .failures(failures)
        .clock(clock.clone())
        .build()
        .unwrap();
    for number in 0..BLOCKED {
        for _ in 0..3 {
            assert_eq!(guess(&engine, blocked(number)), Reason::MalformedKey);
        }
    }
    // Every page of the table is touched, so that it counts from now on.
    for number in 0..u64::from(MAX_ADDRESSES) * 4 {
        guess(&engine, address(u64::MAX / 4 - number));
    }
    let before_kib = resident_kib();
    let mut progress = Progress::new("addresses", Run::from_env("TK_TEST_ADDRESSES", 2_000_000));
    let first = progress.next_seed() >> 4;
    let (mut done, mut most_kib) = (0, before_kib);
    while progress.goes_on() {
        // The clock goes on, so that the windows of the flood's first run out
        // after the second turn; but never so far that the blocks end.
        let gone_s = done / TURN * u64::from(WINDOW_S / 2);
        clock.set(NOW + gone_s.min(block_s - 1));
        for number in done..done + TURN {
            let reason = guess(&engine, address(first + number));
            assert_eq!(reason, Reason::MalformedKey, "number {number} is new");
        }
        done += TURN;
        most_kib = most_kib.max(resident_kib());
        for number in 0..BLOCKED {
            let reason = guess(&engine, blocked(number));
            assert_eq!(reason, Reason::IpBlocked, "{number} after {done}");
        }
        progress.add(TURN);
    }
    eprintln!("proved: from {before_kib} KiB to at most {most_kib} KiB");
    assert!(
        most_kib <= before_kib + MOST_KIB,
        "{before_kib} KiB, then {most_kib}"
    );
    let stats = engine.stats(clock.now());
    assert_eq!(stats.blocked_addresses, BLOCKED as usize, "nobody besides");
    clock.set(NOW + block_s);
    assert_eq!(guess(&engine, blocked(0)), Reason::MalformedKey);
}
