//! What keys have used, read out of an engine and of a ledger's file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use engine::{
    Clock, Engine, FailureConfig, Hour, KeyId, KeyPolicy, LedgerView, Request, SecretKey,
    ServerSecret, reset_ledger,
};

const NOW: u64 = 1_790_000_000;

fn failures() -> FailureConfig {
    FailureConfig {
        max_addresses: 70,
        ..FailureConfig::default()
    }
}

fn engine(ledger: Option<&Path>) -> Engine {
    let builder = Engine::builder(ServerSecret::from_bytes([7; 32]))
        .max_keys(2000)
        .failures(failures())
        .clock(Clock::manual(NOW));
    match ledger {
        None => builder.build().unwrap(),
        Some(path) => builder.ledger(path).build().unwrap(),
    }
}

fn mint(engine: &Engine) -> SecretKey {
    let policy = KeyPolicy::new("shop".parse().unwrap());
    engine.mint(&"tk_live".parse().unwrap(), policy).unwrap()
}

fn charge(engine: &Engine, key: &SecretKey, unix_s: u64, cost: u32) {
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let request = Request::new(ip).api_key(key.expose().as_bytes()).cost(cost);
    assert!(engine.decide_at(&request, unix_s).is_allowed());
}

/// What is shown, once for each key and hour.
fn usage(each: impl FnOnce(&mut dyn FnMut(KeyId, Hour, u64))) -> BTreeMap<(KeyId, u32), u64> {
    let mut found = BTreeMap::new();
    each(&mut |id, hour, used| {
        let before = found.insert((id, hour.number()), used);
        assert!(before.is_none_or(|before| before == used));
    });
    found
}

fn of_engine(engine: &Engine) -> BTreeMap<(KeyId, u32), u64> {
    usage(|show| engine.each_usage(show))
}

#[test]
fn all_that_was_used_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    for ledger in [None, Some(folder.path().join("ledger"))] {
        let engine = engine(ledger.as_deref());
        let mut expected = BTreeMap::new();
        for number in 0..1000 {
            let key = mint(&engine);
            for hour in 0..number % 10 {
                let at = NOW + 3600 * hour;
                charge(&engine, &key, at, number as u32);
                if hour == 8 {
                    // Its word held the first hour.
                    expected.remove(&(key.id(), Hour::of(NOW).number()));
                }
                expected.insert((key.id(), Hour::of(at).number()), number);
            }
            // A removed key has used what it has.
            if number % 100 == 3 {
                engine.remove_key(key.id()).unwrap();
            }
        }
        assert_eq!(of_engine(&engine), expected);
        let lost: u64 = (0..1000).filter(|number| number % 10 == 9).sum();
        assert_eq!(engine.usage_overwritten(), lost);
    }
}

#[test]
fn a_ledger_tells_the_same_without_an_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let (one, two) = (engine(Some(&path)), engine(Some(&path)));
    let (of_one, of_two) = (mint(&one), mint(&two));
    charge(&one, &of_one, NOW, 3);
    charge(&two, &of_two, NOW, 4);
    let hour = Hour::of(NOW).number();
    let expected = BTreeMap::from([((of_one.id(), hour), 3), ((of_two.id(), hour), 4)]);
    let view = LedgerView::open(&path).unwrap();
    for found in [
        of_engine(&one),
        of_engine(&two),
        usage(|show| view.each_usage(show)),
    ] {
        assert_eq!(found, expected);
    }
    // They are one source, and no other is. Nothing is written for that, which
    // would be lost with the machine while what was read out is kept.
    let before = std::fs::read(&path).unwrap();
    let source = one.usage_source();
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(two.usage_source(), source);
    assert_eq!(view.usage_source(), source);
    let memory = engine(None);
    assert_ne!(memory.usage_source(), source);
    assert_eq!(memory.usage_source(), memory.usage_source());
    assert_ne!(engine(None).usage_source(), memory.usage_source());
}

#[test]
fn what_is_written_over_is_counted_unless_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let (one, two) = (engine(Some(&path)), engine(Some(&path)));
    let key = mint(&one);
    let hour = |number: u64| NOW + 3600 * number;
    for number in 0..4 {
        charge(&one, &key, hour(number), 10 + number as u32);
    }
    // Another process has saved two hours.
    two.usage_saved(Hour::of(hour(2)));
    for number in 8..11 {
        charge(&one, &key, hour(number), 1);
    }
    assert_eq!(one.usage_overwritten(), 12, "hour 2 was not saved");
    two.usage_saved(Hour::of(hour(1)));
    charge(&one, &key, hour(11), 1);
    for engine in [&one, &two] {
        assert_eq!(engine.usage_overwritten(), 25);
    }

    // A new ledger that keeps the hours keeps that as well.
    let source = one.usage_source();
    drop((one, two));
    reset_ledger(&path, &failures(), true, hour(11)).unwrap();
    let view = LedgerView::open(&path).unwrap();
    assert_eq!(view.usage_source(), source);
    assert_eq!(view.usage_overwritten(), 25);
    assert_eq!(usage(|show| view.each_usage(show)).len(), 4);
    drop(view);
    reset_ledger(&path, &failures(), false, hour(11)).unwrap();
    let view = LedgerView::open(&path).unwrap();
    assert_ne!(view.usage_source(), source);
    assert_eq!(view.usage_overwritten(), 0);
    assert!(usage(|show| view.each_usage(show)).is_empty());
}
