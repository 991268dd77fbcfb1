//! Changes to the keyring, one by one and in bulk, while others decide: every
//! answer is of a keyring that was in force at some moment of the call.

use shuttle::sync::Arc;
use shuttle::thread;

use super::world::World;
use super::{History, explore, is_found};
use crate::decision::Reason;
use crate::origin::OriginList;
use crate::policy::{KeyRecord, Limit};
use crate::time::HOUR_S;

const AT: u64 = 500_000 * HOUR_S;

/// What a key is told to have: its limit and its project. `None` where it is
/// unknown.
type State = Option<(u64, &'static str)>;

/// Keys that each writer changes one by one, then those that come together.
const MOVED: usize = 0;
const GONE: usize = 1;
const MANY: std::ops::Range<usize> = 2..26;

/// Of `MANY`, the one that is there before.
const KEPT: usize = 2;
/// One that is not.
const CAME: usize = 17;

struct Keys {
    world: World,
    moved: History<State>,
    gone: History<State>,
    kept: History<State>,
    came: History<State>,
}

impl Keys {
    fn new() -> Self {
        let world = World::new(64, MANY.end as u8, AT);
        for (key, limit) in [(MOVED, 10), (GONE, 20), (KEPT, 30)] {
            world.insert(key, limit);
        }
        Self {
            world,
            moved: History::new([
                Some((10, "shop")),
                Some((11, "bank")),
                Some((12, "shop")),
                Some((13, "bank")),
            ]),
            gone: History::new([Some((20, "shop")), None, Some((21, "bank")), None]),
            kept: History::new([Some((30, "shop")), Some((31, "bank"))]),
            came: History::new([None, Some((31, "bank"))]),
        }
    }

    fn record(&self, key: usize, state: &State) -> KeyRecord {
        let (limit, project) = state.unwrap();
        let mut record = self.world.record(key, limit);
        record.policy.project = project.parse().unwrap();
        record
    }

    fn asked(&self, key: usize) -> State {
        let decision = self.world.decide(key, AT, 0);
        if decision.reason() == Reason::UnknownKey {
            return None;
        }
        let limit = decision.budget().unwrap().limit;
        let project = self.world.engine.project(decision.project().unwrap());
        let known = ["shop", "bank"].into_iter().find(|name| *name == project);
        Some((limit, known.unwrap()))
    }

    /// Asks for each key in turn, twice.
    fn ask(&self) {
        let mut last = [0; 4];
        for _ in 0..2 {
            let [moved, gone, kept, came] = &mut last;
            self.moved.ask(moved, || self.asked(MOVED));
            self.came.ask(came, || self.asked(CAME));
            self.gone.ask(gone, || self.asked(GONE));
            self.kept.ask(kept, || self.asked(KEPT));
        }
    }

    /// Puts, updates, and puts with a list, which has a copy of its block made.
    fn change_one(&self, put: fn(&World, KeyRecord)) {
        let world = &self.world;
        self.moved
            .next(|state| put(world, self.record(MOVED, state)));
        self.moved.next(|state| {
            let (limit, project) = state.unwrap();
            let changed = world.engine.update_key(world.id(MOVED), |policy| {
                policy.hourly_limit = Limit::try_from(limit).ok();
                policy.project = project.parse().unwrap();
            });
            changed.unwrap();
        });
        self.moved.next(|state| {
            let mut record = self.record(MOVED, state);
            record.policy.origins = OriginList::parse(["https://a.example"]).unwrap();
            put(world, record);
        });
    }

    /// Removes a key, puts in many at once, and brings the one back for a while.
    fn change_many(&self) {
        let world = &self.world;
        let remove = |_: &State| world.engine.remove_key(world.id(GONE)).unwrap();
        self.gone.next(remove);
        self.kept.next(|state| {
            self.came.next(|_| {
                let many = MANY.map(|key| self.record(key, state)).collect();
                world.engine.put_keys(many).unwrap();
            });
        });
        self.gone.next(|state| put(world, self.record(GONE, state)));
        self.gone.next(remove);
    }
}

fn put(world: &World, record: KeyRecord) {
    world.engine.put_keys(vec![record]).unwrap();
}

/// Two change keys, three ask for them.
fn three_ask_while_two_change(put: fn(&World, KeyRecord)) {
    let keys = Arc::new(Keys::new());
    let ask = || {
        let keys = keys.clone();
        thread::spawn(move || keys.ask())
    };
    let mut threads = vec![ask(), ask(), ask()];
    let changed = keys.clone();
    threads.push(thread::spawn(move || changed.change_one(put)));
    let changed = keys.clone();
    threads.push(thread::spawn(move || changed.change_many()));
    for thread in threads {
        thread.join().unwrap();
    }
    for (key, history) in [
        (MOVED, &keys.moved),
        (GONE, &keys.gone),
        (KEPT, &keys.kept),
        (CAME, &keys.came),
    ] {
        assert_eq!(keys.asked(key), *history.last(), "key {key}");
    }
    let engine = &keys.world.engine;
    assert_eq!(engine.stats(AT).keys, MANY.len() + 1);
}

#[test]
fn every_answer_is_of_a_keyring_in_force() {
    explore(
        "a keyring that changes",
        &[|| three_ask_while_two_change(put)],
    );
}

/// The broken twin: a key is replaced in two steps, and is nowhere in between.
#[test]
fn finds_the_fault_of_replacing_in_two_steps() {
    is_found(&["of no moment"], || {
        three_ask_while_two_change(|world, record| {
            world.engine.remove_key(record.id).unwrap();
            put(world, record);
        });
    });
}
