//! Keys that come, change and go, and what that does to their hours.

use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;

use engine::{
    Clock, Engine, Hour, KeyChangeError, KeyPolicy, KeyRecord, KeyState, Limit, OriginList,
    Request, SecretKey, ServerSecret,
};

const HOUR_S: u64 = 3600;
/// The start of an hour.
const START: u64 = 497_222 * HOUR_S;

struct World {
    engine: Engine,
    keys: Vec<SecretKey>,
}

impl World {
    /// An engine with room for `max_keys` keys, and three keys that are not in
    /// it yet.
    fn new(max_keys: u32) -> Self {
        let engine = Engine::builder(ServerSecret::from_bytes([7; 32]))
            .clock(Clock::manual(START))
            .max_keys(max_keys)
            .build()
            .unwrap();
        let prefix = "tk_live".parse().unwrap();
        let keys = std::iter::repeat_with(|| SecretKey::generate(&prefix).unwrap())
            .take(3)
            .collect();
        Self { engine, keys }
    }

    fn at(&self, unix_s: u64) {
        self.engine.clock().set(unix_s);
    }

    /// A key of two units an hour.
    fn record(&self, key: usize) -> KeyRecord {
        let key = &self.keys[key];
        let mut policy = KeyPolicy::new("p".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(2).unwrap());
        KeyRecord {
            id: key.id(),
            digest: self.engine.secret().digest_key(key.expose().as_bytes()),
            policy,
        }
    }

    fn insert(&self, keys: &[usize]) -> Result<(), KeyChangeError> {
        let records = keys.iter().map(|&key| self.record(key)).collect();
        self.engine.insert_keys(records)
    }

    fn remove(&self, key: usize) {
        self.engine.remove_key(self.keys[key].id()).unwrap();
    }

    fn state(&self, key: usize) -> Option<KeyState> {
        let policy = self.engine.key_policy(self.keys[key].id());
        policy.map(|policy| policy.state)
    }

    /// How many requests of one unit a key gets through at the clock's time.
    fn spend(&self, key: usize) -> usize {
        let request = Request::new(Ipv4Addr::LOCALHOST).api_key(self.keys[key].expose().as_bytes());
        (0..3)
            .filter(|_| self.engine.decide(&request).is_allowed())
            .count()
    }
}

#[test]
fn a_key_that_comes_back_finds_its_hour_as_it_left_it() {
    let world = World::new(3);
    world.insert(&[0, 1]).unwrap();
    assert_eq!((world.spend(0), world.spend(1)), (2, 2));
    for _ in 0..3 {
        world.remove(0);
        world.insert(&[0]).unwrap();
        assert_eq!(world.spend(0), 0, "nothing is refilled");
    }
    let used = world.engine.used(world.keys[0].id(), Hour::of(START));
    assert_eq!(used, Some(2));
    world.at(START + HOUR_S);
    assert_eq!(world.spend(0), 2);
    // Nor while all the clock says is that it has rested long enough.
    world.remove(0);
    world.at(START + 20 * HOUR_S);
    world.at(START + HOUR_S);
    world.insert(&[0]).unwrap();
    assert_eq!(world.spend(0), 0);
}

#[test]
fn keys_that_come_back_and_new_ones_are_added_together_or_not_at_all() {
    let world = World::new(2);
    world.insert(&[0, 1]).unwrap();
    assert_eq!((world.spend(0), world.spend(1)), (2, 2));
    world.remove(0);
    let full = Err(KeyChangeError::Full { max_keys: 2 });
    assert_eq!(world.insert(&[0, 2]), full, "the slot is for one of them");
    assert_eq!(world.insert(&[2]), full, "it rests");
    assert_eq!((world.state(0), world.state(2)), (None, None));
    world.insert(&[0]).unwrap();
    assert_eq!(world.spend(0), 0);

    // A slot that has rested goes to its own key all the same.
    world.remove(0);
    world.remove(1);
    world.at(START + 9 * HOUR_S);
    assert_eq!(world.insert(&[2, 0, 1]), full);
    world.insert(&[2, 1]).unwrap();
    world.at(START);
    assert_eq!(world.spend(1), 0, "that of key 1 is no other's");
    assert_eq!(world.insert(&[0]), full);
}

#[test]
fn a_clock_that_was_ahead_strands_no_slot_but_one_that_was_charged() {
    let world = World::new(2);
    world.insert(&[0, 1]).unwrap();
    world.at(START + 1000 * HOUR_S);
    assert_eq!(world.spend(0), 2);
    world.remove(0);
    world.at(START);
    world.remove(1);
    let full = Err(KeyChangeError::Full { max_keys: 2 });
    assert_eq!(world.insert(&[2]), full);
    // One rests from when the clock was right again. The other was charged in an
    // hour that the clock may come to again, with its key, which must find there
    // what it used.
    world.at(START + 8 * HOUR_S);
    assert_eq!(world.insert(&[2]), full);
    world.at(START + 9 * HOUR_S);
    world.insert(&[2]).unwrap();
    let mint = || {
        let policy = world.record(2).policy;
        world.engine.mint(&"tk_live".parse().unwrap(), policy)
    };
    assert!(mint().is_err());
    // What was counted ahead of time is no later key's.
    for hour in 9..17 {
        world.at(START + hour * HOUR_S);
        assert_eq!(world.spend(2), 2, "hour {hour}");
    }
    world.at(START + 1009 * HOUR_S);
    mint().unwrap();
}

#[test]
fn nothing_brings_a_revoked_key_back() {
    let world = World::new(3);
    world.insert(&[0]).unwrap();
    let id = world.keys[0].id();
    world.engine.set_key_state(id, KeyState::Revoked).unwrap();
    let active = |policy: &mut KeyPolicy| policy.state = KeyState::Active;
    let changed = world.engine.update_key(id, active).unwrap();
    assert_eq!(changed.state, KeyState::Revoked);
    let replaced = |policy: &mut KeyPolicy| *policy = world.record(0).policy;
    world.engine.update_key(id, replaced).unwrap();
    assert_eq!(world.state(0), Some(KeyState::Revoked));
    world.engine.put_keys(vec![world.record(0)]).unwrap();
    assert_eq!(world.state(0), Some(KeyState::Revoked));
    assert_eq!(world.spend(0), 0);
    // What else is asked for along with it is done.
    let unlimited = |policy: &mut KeyPolicy| policy.hourly_limit = None;
    let changed = world.engine.update_key(id, unlimited).unwrap();
    assert_eq!(
        (changed.state, changed.hourly_limit),
        (KeyState::Revoked, None)
    );
}

#[test]
fn a_change_that_panics_changes_nothing() {
    let world = World::new(3);
    let mut record = world.record(0);
    record.policy.origins = OriginList::parse(["https://a.test"]).unwrap();
    let before = record.policy.clone();
    world.engine.insert_keys(vec![record]).unwrap();
    let id = world.keys[0].id();
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = world.engine.update_key(id, |policy| {
            *policy = KeyPolicy::new("q".parse().unwrap());
            policy.state = KeyState::Disabled;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    }));
    assert!(caught.is_err());
    assert_eq!(world.engine.key_policy(id), Some(before.clone()));
    assert!(world.engine.lists_origin(b"https://a.test", START));
    assert_eq!(world.spend(0), 2);
    // And the next change finds nobody in its way.
    let disabled = |policy: &mut KeyPolicy| policy.state = KeyState::Disabled;
    let changed = world.engine.update_key(id, disabled).unwrap();
    assert_eq!(
        changed,
        KeyPolicy {
            state: KeyState::Disabled,
            ..before
        }
    );
    assert!(!world.engine.lists_origin(b"https://a.test", START));
    world.remove(0);
    world.insert(&[0, 1, 2]).unwrap();
}
