//! A change for which the system gives no memory: it is refused, and the keys
//! that are there go on being decided about.

#![cfg(target_os = "linux")]

mod ledger_support;

use std::process::Command;

use engine::{Engine, KeyChangeError, KeyRecord, Reason};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use ledger_support::{NOW, ask, key, record, secret};

/// Set for the process that runs out of memory: it must be no other's.
const CHILD: &str = "TOKENKIT_TEST_OUT_OF_MEMORY";
/// Keys that are there before.
const KEYS: u64 = 2000;
/// What small allocations may take once memory is short.
const SPARE: u64 = 8 << 20;

fn engine() -> Engine {
    let engine = Engine::builder(secret())
        .clock(engine::Clock::manual(NOW))
        .build()
        .unwrap();
    engine.insert_keys(records(0..KEYS)).unwrap();
    engine
}

fn records(numbers: std::ops::Range<u64>) -> Vec<KeyRecord> {
    numbers.map(|n| record(n, None)).collect()
}

/// Bounds the address space to what is in use by now and a little more.
fn bound_memory() -> Rlimit {
    let before = getrlimit(Resource::As);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib: u64 = size.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    let bound = Rlimit {
        current: Some(kib * 1024 + SPARE),
        ..before
    };
    setrlimit(Resource::As, bound).unwrap();
    before
}

/// Runs one test of this file again, in a process of its own.
fn in_a_child(name: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned()
        + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{:?}: {said}", child.status);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn keys_stay_in_force_when_one_more_finds_no_memory() {
    if std::env::var_os(CHILD).is_none() {
        return in_a_child("keys_stay_in_force_when_one_more_finds_no_memory");
    }
    let engine = engine();
    let mut coming = records(KEYS..200_000).into_iter();
    let before = bound_memory();
    let mut added = KEYS;
    let refused = loop {
        let record = coming.next().expect("memory runs out before");
        match engine.insert_keys(vec![record]) {
            Ok(()) => added += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, KeyChangeError::Memory);
    assert_eq!(engine.stats(NOW).keys as u64, added);
    for n in 0..added {
        assert_eq!(ask(&engine, n), Reason::Allowed, "{n}");
    }
    assert_eq!(ask(&engine, added), Reason::UnknownKey);
    // Nor is the refused one half there: it can be added later.
    setrlimit(Resource::As, before).unwrap();
    engine.insert_keys(records(added..added + 1)).unwrap();
    assert_eq!(ask(&engine, added), Reason::Allowed);
}

#[test]
fn of_many_keys_that_find_no_memory_none_comes() {
    if std::env::var_os(CHILD).is_none() {
        return in_a_child("of_many_keys_that_find_no_memory_none_comes");
    }
    let engine = engine();
    let many = records(KEYS - 10..300_000);
    let before = bound_memory();
    // Ten of them are there, and would be replaced.
    assert_eq!(engine.put_keys(many.clone()), Err(KeyChangeError::Memory));
    assert_eq!(engine.stats(NOW).keys as u64, KEYS);
    for n in 0..KEYS {
        assert_eq!(ask(&engine, n), Reason::Allowed, "{n}");
    }
    for n in (KEYS..300_000).step_by(40_000) {
        assert_eq!(engine.key_policy(key(n).id()), None, "{n}");
    }
    setrlimit(Resource::As, before).unwrap();
    engine.put_keys(many).unwrap();
    assert_eq!(engine.stats(NOW).keys, 300_000);
    for n in (0..300_000).step_by(997) {
        assert_eq!(ask(&engine, n), Reason::Allowed, "{n}");
    }
}
