//! To the unit: what was charged is recorded, or counted as lost.

use std::net::IpAddr;
use std::path::PathBuf;

use engine::{Clock, KeyPolicy, Request, SecretKey, ServerSecret};
use store::{Actor, StoredKey, UsageQuery};

use super::*;

const NOW: u64 = 1_790_000_000;

/// A store and an engine that counts, by a clock that is set by hand.
struct Place {
    folder: tempfile::TempDir,
    secret: ServerSecret,
    store: Store,
    clock: Clock,
    engine: Engine,
    keys: Vec<SecretKey>,
    charged: u64,
}

fn place(file: bool) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let secret = ServerSecret::from_bytes([7; 32]);
    let store = Store::create(&folder.path().join("tokenkit.db"), &secret).unwrap();
    let clock = Clock::manual(NOW / 3600 * 3600);
    let mut place = Place {
        engine: engine(&secret, &clock, None),
        folder,
        secret,
        store,
        clock,
        keys: Vec::new(),
        charged: 0,
    };
    if file {
        place.engine = place.another();
    }
    for _ in 0..3 {
        place.mint();
    }
    place
}

fn engine(secret: &ServerSecret, clock: &Clock, ledger: Option<PathBuf>) -> Engine {
    let failures = engine::FailureConfig {
        max_addresses: 70,
        ..engine::FailureConfig::default()
    };
    let builder = Engine::builder(secret.clone())
        .clock(clock.clone())
        .failures(failures)
        .max_keys(100);
    match ledger {
        None => builder,
        Some(file) => builder.ledger(file),
    }
    .build()
    .unwrap()
}

impl Place {
    /// Another engine over the ledger's file.
    fn another(&self) -> Engine {
        let file = self.folder.path().join("tokenkit.ledger");
        engine(&self.secret, &self.clock, Some(file))
    }

    fn mint(&mut self) {
        let policy = KeyPolicy::new("shop".parse().unwrap());
        let prefix = "tk_live".parse().unwrap();
        let key = self.engine.mint(&prefix, policy.clone()).unwrap();
        let stored = StoredKey::of(&key, &self.secret, prefix, policy, "".parse().unwrap(), NOW);
        let mut writer = self.store.write(&Actor::system(), NOW).unwrap();
        writer.add_key(&stored).unwrap();
        writer.commit().unwrap();
        self.keys.push(key);
    }

    fn charge(&mut self, key: usize, units: u32) {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let key = self.keys[key].expose().as_bytes();
        let decision = self
            .engine
            .decide(&Request::new(ip).api_key(key).cost(units));
        assert!(decision.is_allowed());
        self.charged += u64::from(units);
    }

    fn collector(&self) -> Collector {
        Collector::new(self.engine.usage_source())
    }

    fn collect(&mut self, collector: &mut Collector) -> Result<usize, StoreError> {
        collector.collect(&self.engine, &mut self.store, self.clock.now())
    }

    fn next_hour(&self, hours: u64) {
        self.clock.set(self.clock.now() + 3600 * hours);
    }

    fn billed(&self) -> u64 {
        let query = UsageQuery {
            to_hour: u32::MAX,
            ..UsageQuery::default()
        };
        let hours = self.store.usage_by_hour(&query).unwrap();
        hours.into_iter().map(|(_, units)| units).sum()
    }

    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store.path()).unwrap()
    }
}

#[test]
fn each_unit_is_recorded_once() {
    for file in [false, true] {
        let mut place = place(file);
        let mut collector = place.collector();
        for round in 0..40_u32 {
            for key in 0..3 {
                place.charge(key, 1 + round * key as u32);
            }
            assert_eq!(place.collect(&mut collector).unwrap(), 3);
            assert_eq!(place.billed(), place.charged);
            assert_eq!(place.collect(&mut collector).unwrap(), 0);
            if round % 3 == 0 {
                place.next_hour(1);
            }
        }
        assert_eq!(
            (collector.unsaved(), collector.overwritten(&place.engine)),
            (0, 0)
        );
    }
}

#[test]
fn any_number_may_record_the_same_ledger() {
    let mut place = place(true);
    let (mut one, mut two) = (place.collector(), place.collector());
    let other = place.another();
    for round in 0..30 {
        place.charge(round % 3, 5);
        if round % 2 == 0 {
            place.collect(&mut one).unwrap();
        }
        if round % 5 == 0 {
            two.collect(&other, &mut place.store, place.clock.now())
                .unwrap();
        }
        // As a server that was killed, and one that starts.
        if round % 7 == 0 {
            one = place.collector();
        }
        place.next_hour(1);
    }
    place.collect(&mut two).unwrap();
    assert_eq!(place.billed(), place.charged);
    assert_eq!(place.engine.usage_overwritten(), 0);
}

#[test]
fn a_store_out_of_reach_for_hours_loses_what_is_counted() {
    for file in [false, true] {
        let mut place = place(file);
        let mut collector = place.collector();
        place.charge(0, 3);
        place.charge(1, 4);
        place.collect(&mut collector).unwrap();
        // The hour goes on, and eleven more, but nothing can be written.
        place.charge(0, 5);
        let before = place.billed();
        let raw = place.raw();
        for hour in 0..12 {
            place.next_hour(1);
            place.charge(0, 10);
            place.charge(2, hour);
            // A store with a table of another program's is not written.
            raw.execute_batch("CREATE TABLE other (x)").unwrap();
            place.collect(&mut collector).unwrap_err();
            raw.execute_batch("DROP TABLE other").unwrap();
            assert_eq!(place.billed(), before);
            let unsaved = collector.unsaved();
            let lost = collector.overwritten(&place.engine);
            assert_eq!(before + unsaved + lost, place.charged, "hour {hour}");
        }
        assert!(collector.overwritten(&place.engine) > 0);
        place.collect(&mut collector).unwrap();
        let lost = collector.overwritten(&place.engine);
        assert_eq!(
            (collector.unsaved(), place.billed() + lost),
            (0, place.charged)
        );
        // Who comes to it later knows the most that may be lost.
        assert!(place.collector().overwritten(&place.engine) >= lost);
    }
}

/// Whoever writes to the file, or a disk that errs, spoils one row.
#[test]
fn a_damaged_row_keeps_no_other_from_being_recorded() {
    let mut place = place(true);
    let mut collector = place.collector();
    for key in 0..3 {
        place.charge(key, 2);
    }
    place.collect(&mut collector).unwrap();
    let damaged = place.keys[1].id();
    let raw = place.raw();
    let set = "UPDATE usage SET used = used + ?2 WHERE key = ?1";
    let spoil = |by: i64| raw.execute(set, (damaged.to_string(), by)).unwrap();
    spoil(-1);
    for key in 0..3 {
        place.charge(key, 5);
    }
    let seen_at = |place: &Place| {
        let source = place.engine.usage_source();
        place.store.usage_seen_at(&source).unwrap()
    };
    place.clock.set(place.clock.now() + 60);
    for _ in 0..2 {
        let error = place.collect(&mut collector).unwrap_err().to_string();
        let hour = Hour::of(place.clock.now()).number();
        assert!(error.contains(&format!("{damaged}-{hour}")), "{error}");
        assert_eq!(collector.unsaved(), 5);
        let of_others: i64 = raw
            .query_row(
                "SELECT sum(used) FROM usage WHERE key <> ?1",
                [damaged.to_string()],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(of_others, 14);
        // No other key's hours stay open for it.
        assert_eq!(seen_at(&place), Some(place.clock.now()));
    }
    // Who shows usage says which row it is.
    let all = UsageQuery {
        to_hour: u32::MAX,
        limit: 9,
        ..UsageQuery::default()
    };
    let error = place.store.usage(&all).unwrap_err().to_string();
    assert!(error.contains(&format!("{damaged}-")), "{error}");
    // As it was written once more, it goes on; also for who begins anew.
    spoil(1);
    place.next_hour(1);
    let mut collector = place.collector();
    place.collect(&mut collector).unwrap();
    assert_eq!((collector.unsaved(), place.billed()), (0, place.charged));
    assert_eq!(collector.overwritten(&place.engine), 0);
}

#[test]
fn a_store_restored_from_a_backup_gets_what_the_ledger_still_has() {
    let mut place = place(true);
    let backup = place.folder.path().join("backup.db");
    place.charge(0, 1);
    let raw = place.raw();
    raw.execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    let mut collector = place.collector();
    for _ in 0..3 {
        place.charge(0, 2);
        place.next_hour(1);
        place.collect(&mut collector).unwrap();
    }
    let restored = Store::open(&backup, &place.secret).unwrap();
    place.store = restored;
    assert_eq!(place.billed(), 0);
    let mut collector = place.collector();
    place.collect(&mut collector).unwrap();
    assert_eq!(place.billed(), place.charged);
}

#[test]
fn a_clock_that_steps_back_loses_nothing() {
    let mut place = place(false);
    let mut collector = place.collector();
    for step in [0_i64, 3, -2, 4, -3, 1, -1, 2] {
        let now = place.clock.now().checked_add_signed(3600 * step).unwrap();
        place.clock.set(now);
        for key in 0..3 {
            place.charge(key, 7);
        }
        place.collect(&mut collector).unwrap();
        assert_eq!(place.billed(), place.charged);
    }
}

/// Each reads out as a command does, which knows of nothing but the ledger and
/// the store.
#[test]
fn a_clock_that_was_ahead_once_hides_nothing_from_who_begins() {
    let mut place = place(true);
    for step in [0_i64, 24, -23, 0, 1, 2, 100, -101, 1, 8] {
        let now = place.clock.now().checked_add_signed(3600 * step).unwrap();
        place.clock.set(now);
        for key in 0..3 {
            place.charge(key, 7);
        }
        let mut collector = place.collector();
        place.collect(&mut collector).unwrap();
        assert_eq!(place.billed(), place.charged, "{step} hours on");
        let open_from = place.store.usage_final_before(now).unwrap();
        assert!(open_from <= Some(Hour::of(now).number()));
    }
}

#[test]
fn a_clock_that_went_back_over_an_hour_s_edge_and_on_again_hides_nothing() {
    let mut place = place(true);
    let edge = place.clock.now();
    place.clock.set(edge + 30);
    place.charge(0, 7);
    let mut collector = place.collector();
    place.collect(&mut collector).unwrap();
    place.clock.set(edge - 30);
    place.charge(1, 5);
    // Killed, so that another begins.
    place.clock.set(edge + 40);
    let mut collector = place.collector();
    place.collect(&mut collector).unwrap();
    assert_eq!(place.billed(), place.charged);
}

#[test]
fn an_hour_and_its_units_fit_into_one_word() {
    for (hour, units) in [(0, 0), (1, 1), (u32::MAX >> 4, (1 << 36) - 1), (7, 1 << 35)] {
        let word = Recorded::new(hour, units);
        assert_eq!((word.hour(), word.units()), (hour, units));
    }
    assert_eq!(Recorded::new(3, u64::MAX).hour(), 3);
}
