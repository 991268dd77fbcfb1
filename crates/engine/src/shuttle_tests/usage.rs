//! What was used is shown while keys go, come back, and have their block split.

use shuttle::sync::Arc;
use shuttle::thread;

use super::explore;
use super::world::World;
use crate::time::HOUR_S;

const AT: u64 = 500_000 * HOUR_S;
/// Keys that are charged first, of which one goes.
const CHARGED: usize = 8;
const GOES: usize = 3;
/// With these there are more than a block holds.
const MORE: std::ops::Range<usize> = CHARGED..14;

fn usage_is_shown_while_keys_change() {
    let world = Arc::new(World::new(64, MORE.end as u8, AT));
    for key in 0..CHARGED {
        world.insert(key, 10);
        assert!(world.decide(key, AT, 1).is_allowed());
    }
    let changing = {
        let world = world.clone();
        thread::spawn(move || {
            world.engine.remove_key(world.id(GOES)).unwrap();
            let more = MORE.map(|key| world.record(key, 10)).collect();
            world.engine.insert_keys(more).unwrap();
            world.insert(GOES, 10);
        })
    };
    for _ in 0..3 {
        let mut shown = Vec::new();
        world
            .engine
            .each_usage(|id, _, used| shown.push((id, used)));
        for key in 0..CHARGED {
            assert!(shown.contains(&(world.id(key), 1)), "{key} was left out");
        }
    }
    changing.join().unwrap();
}

#[test]
fn no_use_is_left_out() {
    explore("usage that is shown", &[usage_is_shown_while_keys_change]);
}
