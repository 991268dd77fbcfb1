//! Contests as criterion's benchmarks.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};

use crate::contest::Contest;
use crate::figures::{Figures, is_quick};

/// Criterion, with time for all lanes of a contest in each sample.
#[must_use]
pub fn criterion() -> Criterion {
    let (warm_up, measure, samples) = if is_quick() {
        (100, 400, 10)
    } else {
        (500, 6000, 20)
    };
    Criterion::default()
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measure))
        .sample_size(samples)
        .without_plots()
        .configure_from_args()
}

/// A group of contests.
pub fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// One contest, made only if the filter lets it through: criterion takes
/// samples of its first lane, and each sample is a round. Returns what it told
/// in a line.
pub fn bench<'a>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    group_name: &str,
    name: &str,
    figures: &mut Figures,
    make: impl FnOnce(&mut Figures) -> Contest<'a>,
) -> Option<String> {
    bench_with(group, (group_name, name), figures, make, |_| ())
}

/// The same, and shows the contest when it is over.
pub fn bench_with<'a>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (group_name, name): (&str, &str),
    figures: &mut Figures,
    make: impl FnOnce(&mut Figures) -> Contest<'a>,
    over: impl FnOnce(&Contest<'a>),
) -> Option<String> {
    let mut make = Some(make);
    let mut contest = None;
    group.bench_function(name, |bencher| {
        if let Some(make) = make.take() {
            // Once before criterion looks at its watch, for this sets all up.
            contest.insert(make(figures)).round(1000);
        }
        if let Some(contest) = &mut contest {
            bencher.iter_custom(|decisions| contest.round(decisions));
        }
    });
    let contest = contest?;
    over(&contest);
    Some(contest.tell(&format!("{group_name}/{name}"), figures))
}
