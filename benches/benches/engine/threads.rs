//! Several threads at once, and a thread that decides while another changes
//! keys: the engine beside its fastest peer.

use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::time::Duration;

use criterion::Criterion;
use engine::Engine;
use tokenkit_benches::contest::{Contest, median};
use tokenkit_benches::field::{Field, first_of_each_map};
use tokenkit_benches::figures::Figures;
use tokenkit_benches::harness;
use tokenkit_benches::keys::Keys;
use tokenkit_benches::kinds::{KINDS, Kind};
use tokenkit_benches::row::{Draw, Row, State};
use tokenkit_benches::subject::{self, BareHash, Scene, Subject};
use tokenkit_benches::threads::{self, HOT_LIMIT, Part};

use crate::show;

/// Keys of which each thread has its own part.
const SIZES: [usize; 2] = [10_000, 1_000_000];
/// Keys that are hot one after the other: a budget can be used up only once.
const HOT_KEYS: usize = 40_000;
/// Keys that are changed while others are asked for.
const CHANGED_KEYS: usize = 1_000_000;

pub(crate) fn run(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut criterion = harness::criterion();
    let mut candidates = Field::all_kinds();
    for size in SIZES {
        own(&mut criterion, figures, size, &mut candidates);
    }
    hot(&mut criterion, figures);
    changes(&mut criterion, figures, &candidates);
    criterion.final_summary();
    Ok(())
}

/// Each thread has its own keys and addresses.
fn own(criterion: &mut Criterion, figures: &mut Figures, size: usize, candidates: &mut Vec<Kind>) {
    let keys = OnceCell::new();
    let keys = || keys.get_or_init(|| Keys::draw(size));
    let scene = || Scene::new(keys(), State::Open);
    let engine = OnceCell::new();
    let engine = || -> &Engine { engine.get_or_init(|| subject::engine(&scene())) };
    let fastest: OnceCell<Side> = OnceCell::new();
    let name = format!("threads/own/{size}");
    let mut group = harness::group(criterion, &name);
    for count in threads::counts() {
        let parts = OnceCell::new();
        let parts = || -> &[Part] { parts.get_or_init(|| threads::parts(keys(), count)) };
        let (scaling, hash_scaling) = (Cell::new(None), Cell::new(None));
        let make = |_: &mut Figures| {
            let side = fastest.get_or_init(|| Side::fastest(&scene(), candidates));
            let mut contest = Contest::default();
            contest.lane("engine", "", |n| threads::own(engine(), parts(), n));
            contest.lane("one", "", |n| threads::own(engine(), &parts()[..1], n));
            contest.lane("peer", side.kind.name(), |n| {
                threads::own(&*side.subject, parts(), n)
            });
            // What the machine gives: the engine's time is the first of both.
            contest.lane("hash", "", |n| threads::own(&BareHash, parts(), n));
            contest.lane("hash_one", "", |n| {
                threads::own(&BareHash, &parts()[..1], n)
            });
            contest
        };
        let told = harness::bench_with(
            &mut group,
            (&name, &count.to_string()),
            figures,
            make,
            |c| {
                let times = |ratio: f64| count as f64 / ratio;
                scaling.set(c.ratio("one").map(times));
                let hash = c.ratio("hash_one").zip(c.ratio("hash"));
                hash_scaling.set(hash.map(|(one, all)| times(one / all)));
            },
        );
        for (what, value) in [("scaling", &scaling), ("hash_scaling", &hash_scaling)] {
            if let Some(value) = value.get() {
                figures.add(&format!("{name}/{count}/{what}"), value, "ratio");
            }
        }
        show(told);
    }
    group.finish();
    if let Some(side) = fastest.into_inner() {
        *candidates = side.ranked;
    }
}

/// A peer, set up.
struct Side {
    kind: Kind,
    subject: Box<dyn Subject>,
    /// Of each map for the keys the fastest kind.
    ranked: Vec<Kind>,
}

impl Side {
    /// The fastest with as many threads as are measured.
    fn fastest(scene: &Scene<'_>, candidates: &[Kind]) -> Self {
        let count = threads::counts().len();
        let parts = threads::parts(scene.keys, threads::counts()[count - 1]);
        let time = |subject: &dyn Subject| threads::own(subject, &parts, 50_000);
        Self::fastest_by(scene, candidates, time)
    }

    fn fastest_by(
        scene: &Scene<'_>,
        candidates: &[Kind],
        time: impl Fn(&dyn Subject) -> Duration,
    ) -> Self {
        let mut tried: Vec<(f64, Kind)> = Vec::new();
        for kind in candidates {
            let subject = (kind.set_up)(scene);
            let times: Vec<f64> = (0..5).map(|_| time(&*subject).as_secs_f64()).collect();
            tried.push((median(&times), *kind));
        }
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ranked = tried.into_iter().map(|(_, kind)| kind).collect();
        let ranked = first_of_each_map(ranked);
        let kind = ranked.first().copied().unwrap_or(KINDS[0]);
        Self {
            kind,
            subject: (kind.set_up)(scene),
            ranked,
        }
    }
}

/// All threads ask for one key, whose limit is reached half-way.
fn hot(criterion: &mut Criterion, figures: &mut Figures) {
    let keys = OnceCell::new();
    let keys = || keys.get_or_init(|| Keys::draw(HOT_KEYS));
    let scene = || Scene::new(keys(), State::Open);
    let engine = OnceCell::new();
    let engine = || -> &Engine { engine.get_or_init(|| subject::engine(&scene())) };
    let of_engine = Cell::new(0);
    let of_peer = Cell::new(0);
    let side: OnceCell<Side> = OnceCell::new();
    let name = "threads/hot";
    let mut group = harness::group(criterion, name);
    for count in threads::counts() {
        let over = Cell::new(0_u64);
        let of_trial = Cell::new(0);
        let make = |_: &mut Figures| {
            let side = side.get_or_init(|| {
                Side::fastest_by(&scene(), &Field::all_kinds(), |subject| {
                    hot_run(subject, keys(), count, 1, &of_trial, &mut |_| ())
                })
            });
            let mut contest = Contest::default();
            contest.lane("engine", "", |n| {
                hot_run(engine(), keys(), count, n, &of_engine, &mut |admitted| {
                    let limit = u64::from(HOT_LIMIT);
                    assert!(admitted >= limit, "only {admitted} of {limit} admitted");
                    over.set(over.get() + admitted - limit);
                })
            });
            contest.lane("peer", side.kind.name(), |n| {
                hot_run(&*side.subject, keys(), count, n, &of_peer, &mut |_| ())
            });
            contest
        };
        let told = harness::bench(&mut group, name, &count.to_string(), figures, make);
        if told.is_some() {
            assert_eq!(over.get(), 0, "units beyond the limit");
            figures.add(&format!("{name}/{count}/over"), over.get() as f64, "units");
        }
        show(told);
    }
    group.finish();
}

/// As many hot keys, one after the other, as `decisions` of each thread take;
/// the time that so many would have taken.
fn hot_run(
    subject: &dyn Subject,
    keys: &Keys,
    threads: usize,
    decisions: u64,
    used: &Cell<usize>,
    admitted: &mut dyn FnMut(u64),
) -> Duration {
    let each = 2 * u64::from(HOT_LIMIT) / threads as u64;
    let rounds = decisions.div_ceil(each);
    let mut taken = Duration::ZERO;
    for _ in 0..rounds {
        let at = used.replace(used.get() + 1) % keys.all().len();
        subject.change(&keys.all()[at], HOT_LIMIT);
        let requests = keys.requests_few(Row::Allowed, Draw::Hot, at..at + 1, 1024);
        let hot = threads::hot(subject, &requests, threads);
        admitted(hot.admitted);
        taken += hot.taken;
    }
    taken.mul_f64(decisions as f64 / (rounds * each) as f64)
}

/// One thread decides, while another changes a thousand keys a second or none.
fn changes(criterion: &mut Criterion, figures: &mut Figures, candidates: &[Kind]) {
    let keys = OnceCell::new();
    let keys = || keys.get_or_init(|| Keys::draw(CHANGED_KEYS));
    let parts = OnceCell::new();
    let parts = || -> &[Part] { parts.get_or_init(|| threads::parts(keys(), 1)) };
    let name = "changes";
    let mut group = harness::group(criterion, name);
    for who in ["engine", "peer"] {
        let subject = OnceCell::new();
        let make = |_: &mut Figures| {
            let scene = Scene::new(keys(), State::Open);
            let (subject, what) = subject.get_or_init(|| match who {
                "engine" => {
                    let engine: Box<dyn Subject> = Box::new(subject::engine(&scene));
                    (engine, String::new())
                }
                _ => {
                    let side = Side::fastest(&scene, &candidates[..candidates.len().min(2)]);
                    (side.subject, side.kind.name())
                }
            });
            let mut contest = Contest::default();
            contest.lane("changing", what, |n| {
                let run = || threads::own(&**subject, parts(), n);
                threads::while_changing(&**subject, keys(), run).0
            });
            contest.lane("quiet", what, |n| threads::own(&**subject, parts(), n));
            contest
        };
        show(harness::bench(&mut group, name, who, figures, make));
    }
    group.finish();
}
