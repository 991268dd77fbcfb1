//! A clock that steps back a second or an hour, leaps a day ahead and comes
//! back, or stands still: no budget is filled again and no block forgotten,
//! with the counters in memory, and in a file that another engine goes on with
//! after each step.

#![forbid(unsafe_code)]
#![cfg(all(not(miri), target_os = "linux"))]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use engine::{
    Clock, Engine, FailureConfig, KeyPolicy, KeyRecord, Limit, Reason, Request, SecretKey,
    ServerSecret,
};
use tempfile::TempDir;

/// The edge of an hour.
const EDGE: u64 = 1_790_002_800;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;
const LIMIT: u64 = 5;
const THRESHOLD: u32 = 3;
const BLOCK_S: u64 = 300;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// An engine, and the clock that is not to be trusted.
struct World {
    engine: Engine,
    clock: Clock,
    folder: Option<TempDir>,
}

fn key() -> SecretKey {
    tests::keys::key("tk_live", 1)
}

impl World {
    fn engine(clock: &Clock, folder: Option<&TempDir>) -> Engine {
        let failures = FailureConfig {
            threshold: THRESHOLD,
            block_s: BLOCK_S as u32,
            max_addresses: 700,
            ..FailureConfig::default()
        };
        let mut builder = Engine::builder(ServerSecret::from_bytes([5; 32]))
            .failures(failures)
            .max_keys(1 << 10)
            .clock(clock.clone());
        if let Some(folder) = folder {
            builder = builder.ledger(folder.path().join("ledger"));
        }
        let engine = builder.build().unwrap();
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(LIMIT).unwrap());
        let record = KeyRecord {
            id: key().id(),
            digest: engine.secret().digest_key(key().expose().as_bytes()),
            policy,
        };
        engine.insert_keys(vec![record]).unwrap();
        engine
    }

    fn new(in_file: bool) -> Self {
        let clock = Clock::manual(EDGE);
        let folder = in_file.then(|| tempfile::tempdir().unwrap());
        Self {
            engine: Self::engine(&clock, folder.as_ref()),
            clock,
            folder,
        }
    }

    /// The clock says something else. Where the counters lie in a file, it is
    /// another engine that reads it.
    fn set(&mut self, unix_s: u64) {
        self.clock.set(unix_s);
        if self.folder.is_some() {
            self.engine = Self::engine(&self.clock, self.folder.as_ref());
        }
    }

    /// How many requests are admitted now, until one is refused.
    fn spend(&mut self, unix_s: u64) -> u64 {
        self.set(unix_s);
        let key = key();
        let request = Request::new(CLIENT).api_key(key.expose().as_bytes());
        for admitted in 0..=LIMIT {
            let decision = self.engine.decide(&request);
            if !decision.is_allowed() {
                assert_eq!(decision.reason(), Reason::HourlyLimit);
                assert_eq!(decision.budget().unwrap().remaining, 0);
                return admitted;
            }
        }
        panic!("more was admitted at {unix_s} than the limit");
    }

    fn guess(&mut self, unix_s: u64) -> (Reason, Option<u32>) {
        self.set(unix_s);
        let guess = Request::new(GUESSER).api_key(b"guess");
        let decision = self.engine.decide(&guess);
        (decision.reason(), decision.retry_after_s())
    }
}

fn in_memory_and_in_a_file(test: impl Fn(&mut World)) {
    for in_file in [false, true] {
        test(&mut World::new(in_file));
    }
}

#[test]
fn a_step_back_refills_nothing() {
    in_memory_and_in_a_file(|world| {
        assert_eq!(world.spend(EDGE - HOUR_S), LIMIT);
        assert_eq!(world.spend(EDGE), LIMIT);
        for back_s in [1, HOUR_S, DAY_S] {
            assert_eq!(world.spend(EDGE - back_s), 0, "{back_s} s back");
            assert_eq!(world.spend(EDGE), 0, "and forth again");
        }
        // Two hours back nothing was used yet: that hour has its own budget.
        assert_eq!(world.spend(EDGE - 2 * HOUR_S), LIMIT);
        assert_eq!(world.spend(EDGE - 2 * HOUR_S), 0);
    });
}

#[test]
fn a_day_ahead_and_back_refills_nothing() {
    in_memory_and_in_a_file(|world| {
        assert_eq!(world.spend(EDGE), LIMIT);
        assert_eq!(world.spend(EDGE + DAY_S), LIMIT);
        for _ in 0..3 {
            assert_eq!(world.spend(EDGE), 0, "its place holds a later hour");
            assert_eq!(world.spend(EDGE + DAY_S), 0);
        }
        // The hours between were nobody's.
        assert_eq!(world.spend(EDGE + HOUR_S), LIMIT);
    });
}

#[test]
fn a_clock_that_stands_admits_one_budget() {
    in_memory_and_in_a_file(|world| {
        assert_eq!(world.spend(EDGE), LIMIT);
        for _ in 0..200 {
            assert_eq!(world.spend(EDGE), 0);
        }
        for _ in 0..THRESHOLD {
            assert_eq!(world.guess(EDGE).0, Reason::MalformedKey);
        }
        for _ in 0..200 {
            let blocked = (Reason::IpBlocked, Some(BLOCK_S as u32));
            assert_eq!(world.guess(EDGE), blocked);
        }
    });
}

#[test]
fn a_block_stands_however_the_clock_steps() {
    in_memory_and_in_a_file(|world| {
        for _ in 0..THRESHOLD {
            assert_eq!(world.guess(EDGE).0, Reason::MalformedKey);
        }
        for back_s in [1, HOUR_S, DAY_S] {
            let wait_s = (BLOCK_S + back_s) as u32;
            let blocked = (Reason::IpBlocked, Some(wait_s));
            assert_eq!(world.guess(EDGE - back_s), blocked, "{back_s} s back");
        }
        // Nobody is blocked a day later; back again, the block goes on.
        assert_eq!(world.guess(EDGE + DAY_S).0, Reason::MalformedKey);
        assert_eq!(world.guess(EDGE + BLOCK_S - 1).0, Reason::IpBlocked);
        assert_eq!(world.guess(EDGE + BLOCK_S).0, Reason::MalformedKey);
    });
}

#[test]
fn threads_under_a_leaping_clock_get_one_budget_an_hour() {
    const THREADS: u64 = 4;
    for in_file in [false, true] {
        let world = World::new(in_file);
        let by_hour = Mutex::new(BTreeMap::<u64, u64>::new());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (world, by_hour) = (&world, &by_hour);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    let key = key();
                    let request = Request::new(CLIENT).api_key(key.expose().as_bytes());
                    for turn in 0..20_000 {
                        if turn % 16 == thread {
                            let steps = [0, 1, HOUR_S, DAY_S, 9 * HOUR_S];
                            let back_s = steps[random.usize(..steps.len())];
                            world.clock.set(EDGE + turn / 1000 * HOUR_S - back_s);
                        }
                        // Read once, so that the hour that pays is known.
                        let now = world.clock.now();
                        if world.engine.decide_at(&request, now).is_allowed() {
                            *by_hour.lock().unwrap().entry(now / HOUR_S).or_default() += 1;
                        }
                    }
                });
            }
        });
        let by_hour = by_hour.into_inner().unwrap();
        for (hour, admitted) in &by_hour {
            assert!(*admitted <= LIMIT, "{admitted} in hour {hour}");
        }
        let spent = by_hour.values().filter(|admitted| **admitted == LIMIT);
        assert!(spent.count() >= 10, "{by_hour:?}");
    }
}
