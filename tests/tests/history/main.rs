//! What threads, and processes over one ledger's file, are told while hours
//! roll over: written down with the time at which each was asked and answered,
//! and checked against what one exact counter can have said.
//!
//! `TK_TEST_DECISIONS` says how many decisions to make, 2,000,000 by threads
//! and a fifth by processes unless set; `TK_TEST_SECONDS` ends a run earlier,
//! `TK_TEST_SEED` says where it begins. With `--nocapture` a long run tells how
//! far it is.

#![forbid(unsafe_code)]
#![cfg(all(not(miri), target_os = "linux"))]
mod broken;
mod check;
mod every_order;
mod load;
mod processes;
mod record;

use std::path::Path;

use engine::{Engine, Hour, KeyPolicy, KeyRecord, Limit, SecretKey, ServerSecret};
use tests::long::{Progress, Run};

use broken::{Impatient, TwoWords};
use check::{Fault, Seen, check};
use load::{Charges, Doors, FIRST_HOUR, HOURS, HOURS_APART, LIMITS, Round};
use processes::Decider;
use record::Event;

const THREADS: u64 = 4;
const PROCESSES: u64 = 3;
/// Decisions of a thread in a round.
const EACH: u64 = 50_000;

fn keys() -> Vec<SecretKey> {
    let numbers = 0..LIMITS.len() as u64;
    numbers.map(|n| tests::keys::key("tk_live", n)).collect()
}

fn engine(ledger: Option<&Path>) -> Engine {
    let mut builder = Engine::builder(ServerSecret::from_bytes([3; 32])).max_keys(1 << 12);
    if let Some(path) = ledger {
        builder = builder.ledger(path);
    }
    let engine = builder.build().unwrap();
    let records = keys().into_iter().zip(LIMITS).map(|(key, limit)| {
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(limit).unwrap());
        KeyRecord {
            id: key.id(),
            digest: engine.secret().digest_key(key.expose().as_bytes()),
            policy,
        }
    });
    engine.insert_keys(records.collect()).unwrap();
    engine
}

/// The round that is next.
fn next_round(progress: &mut Progress, number: u64) -> Round {
    Round {
        seed: progress.next_seed(),
        first_hour: FIRST_HOUR + number * HOURS_APART,
        each: EACH,
    }
}

/// Checks a round, and what its counters say afterwards.
fn checked(engine: &Engine, round: &Round, events: &mut [Event]) -> Seen {
    let seen = check(&LIMITS, events).unwrap_or_else(|fault| panic!("{round:?}: {fault:?}"));
    let last = round.first_hour + HOURS;
    for (number, key) in keys().iter().enumerate() {
        for hour in last - 8..last {
            let of = |event: &&Event| event.key == number as u64 && event.hour == hour;
            let admitted = events.iter().filter(of).filter(|event| event.admitted);
            let sum = admitted.map(|event| event.cost).sum();
            let used = engine.used(key.id(), Hour::of(hour * 3600));
            assert_eq!(used, Some(sum), "{round:?}: key {number}, hour {hour}");
        }
    }
    seen
}

/// Not that all was refused, or all admitted, or one thing asked after the
/// other, which the poorest counter gets right. Of threads that share a single
/// processor every tenth or so begins while another waits within its decision;
/// one in a thousand is asked for.
fn met_everything(seen: Seen) {
    for count in [seen.admitted, seen.refused, seen.overtaken, seen.roll_overs] {
        assert!(count > 0, "{seen:?}");
    }
    assert!(seen.met * 1000 > seen.admitted + seen.refused, "{seen:?}");
    let Seen {
        admitted,
        refused,
        overtaken,
        roll_overs,
        met,
    } = seen;
    eprintln!(
        "proved: {admitted} admitted, {refused} refused ({overtaken} for nothing but a later hour \
         in their place), {roll_overs} roll-overs, {met} begun while another was at the same word"
    );
}

#[test]
fn threads_are_told_what_one_counter_says() {
    let mut progress = Progress::new("decisions", Run::from_env("TK_TEST_DECISIONS", 2_000_000));
    let (engine, keys) = (engine(None), keys());
    let doors = Doors {
        engine: &engine,
        keys: &keys,
    };
    let (mut seen, mut number) = (Seen::default(), 0);
    while progress.goes_on() {
        let round = next_round(&mut progress, number);
        let mut events = round.run_all(&doors, THREADS);
        seen += checked(&engine, &round, &mut events);
        progress.add(events.len() as u64);
        number += 1;
    }
    met_everything(seen);
}

#[test]
fn processes_are_told_what_one_counter_says() {
    let mut run = Run::from_env("TK_TEST_DECISIONS", 2_000_000);
    run.count /= 5;
    let mut progress = Progress::new("decisions of processes", run);
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let engine = engine(Some(&ledger));
    let mut deciders: Vec<_> = (0..PROCESSES)
        .map(|number| Decider::start(&ledger, number))
        .collect();
    let (mut seen, mut number) = (Seen::default(), 0);
    while progress.goes_on() {
        let round = next_round(&mut progress, number);
        deciders
            .iter_mut()
            .for_each(|decider| decider.begin(&round));
        let mut events: Vec<_> = deciders.iter_mut().flat_map(Decider::events).collect();
        assert_eq!(events.len() as u64, EACH * PROCESSES);
        seen += checked(&engine, &round, &mut events);
        progress.add(events.len() as u64);
        number += 1;
    }
    deciders.into_iter().for_each(Decider::end);
    met_everything(seen);
}

/// Runs in the processes alone.
#[test]
fn as_a_child() {
    processes::be_a_child();
}

/// Rounds of a broken counter, until the check finds it out.
fn found_out<C: Charges + Default>() -> Fault {
    let mut rounds = (0..500).map(|seed| {
        let round = Round {
            seed,
            first_hour: FIRST_HOUR,
            each: 2000,
        };
        check(&LIMITS, &mut round.run_all(&C::default(), THREADS))
    });
    let fault = rounds.find_map(Result::err);
    fault.expect("a broken counter is found out")
}

#[test]
fn a_count_apart_from_its_hour_is_found_out() {
    let fault = found_out::<TwoWords>();
    assert!(!matches!(fault, Fault::RefusedInVain(_)), "{fault:?}");
}

#[test]
fn a_count_that_refuses_when_it_is_busy_is_found_out() {
    let fault = found_out::<Impatient>();
    assert!(matches!(fault, Fault::RefusedInVain(_)), "{fault:?}");
}
