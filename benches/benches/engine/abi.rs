//! What the C interface costs beside the engine's own: the same requests, side
//! by side.

use std::cell::RefCell;
use std::error::Error;

use tokenkit_benches::abi::{Abi, abi};
use tokenkit_benches::contest::Contest;
use tokenkit_benches::field::lanes;
use tokenkit_benches::figures::Figures;
use tokenkit_benches::harness;
use tokenkit_benches::keys::Keys;
use tokenkit_benches::row::{Draw, Row, State};
use tokenkit_benches::runner::{Runner, Stage};
use tokenkit_benches::subject::{self, Scene, Subject, Way};

use crate::show;

/// Keys: as many as fit the caches, for beside what comes from memory a call
/// would cost nothing.
const KEYS: usize = 10_000;
/// Requests of a batch.
const BATCH: usize = 64;

pub(crate) fn run(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut criterion = harness::criterion();
    let keys = Keys::draw(KEYS);
    let engine = RefCell::new(Stage::new(Scene::new(&keys, State::Open), subject::engine));
    let through: RefCell<Stage<'_, Abi>> =
        RefCell::new(Stage::new(Scene::new(&keys, State::Open), abi));
    let name = format!("abi/{KEYS}");
    let mut group = harness::group(&mut criterion, &name);
    let rows = Row::ALL.map(|row| (row.to_string(), row, Way::Lone));
    let batch = (format!("batch{BATCH}"), Row::Allowed, Way::Batch(BATCH));
    for (title, row, way) in rows.into_iter().chain([batch]) {
        let requests = keys.requests(row, Draw::Uniform);
        let (engine, through, requests) = (&engine, &through, &requests);
        let make = move |_: &mut Figures| {
            let mut contest = Contest::default();
            contest.lane(
                lanes::ENGINE,
                "",
                lane(engine, Runner::new(row, way, requests)),
            );
            contest.lane(
                lanes::ABI,
                "",
                lane(through, Runner::new(row, way, requests)),
            );
            contest
        };
        show(harness::bench(&mut group, &name, &title, figures, make));
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// A runner on a stage that others use as well.
fn lane<'a, 'k: 'a, S: Subject>(
    stage: &'a RefCell<Stage<'k, S>>,
    mut runner: Runner<'a>,
) -> impl FnMut(u64) -> std::time::Duration + 'a {
    move |decisions| runner.run(&mut stage.borrow_mut(), decisions)
}
