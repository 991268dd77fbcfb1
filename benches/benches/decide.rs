//! What a decision costs, on one thread: every row at two sizes, the engine
//! and its peer in one run, and the bare hash that neither can do without.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::Engine;
use tokenkit_benches::keys::{Keys, Row};
use tokenkit_benches::peer::Peer;
use tokenkit_benches::runner::{Runner, Stage};
use tokenkit_benches::subject::{SECRET, Subject};

/// One size fits the caches, the other does not.
const SIZES: [usize; 2] = [10_000, 1_000_000];

fn decide(criterion: &mut Criterion) {
    for size in SIZES {
        let keys = Keys::draw(size);
        let mut engine = Stage::<Engine>::new(&keys);
        let mut peer = Stage::<Peer>::new(&keys);
        let mut group = criterion.benchmark_group(format!("decide/{size}"));
        for row in Row::ALL {
            bench(&mut group, "engine", &keys, &mut engine, row);
            bench(&mut group, "peer", &keys, &mut peer, row);
        }
        group.finish();
    }
}

fn bench<S: Subject>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    subject: &str,
    keys: &Keys,
    stage: &mut Stage<'_, S>,
    row: Row,
) {
    // Made only if the filter lets the row through, and not within what
    // criterion takes the time of: its first sample sets the others' length.
    let mut runner = None;
    group.bench_function(BenchmarkId::new(subject, row), |bencher| {
        let runner = runner.get_or_insert_with(|| {
            let mut runner = Runner::new(keys, row);
            runner.warm_up(stage);
            runner
        });
        bencher.iter_custom(|decisions| runner.run(stage, decisions));
    });
}

fn hash(criterion: &mut Criterion) {
    let keys = Keys::draw(SIZES[0]);
    let mut upcoming = keys.all().iter().cycle();
    let mut group = criterion.benchmark_group("hash");
    group.bench_function(BenchmarkId::new("blake3", "key"), |bencher| {
        bencher.iter(|| black_box(upcoming.next().map(|key| blake3::keyed_hash(&SECRET, key))));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(2))
        .measurement_time(Duration::from_secs(4))
        .sample_size(50);
    targets = decide, hash
}
criterion_main!(benches);
