//! What a decision costs on one thread: every outcome, table size and draw,
//! and batches. The engine is what criterion measures; within each of its
//! samples the bare hash, the fastest peer and others are measured too, so
//! that ratios hold whatever else the machine does.

use std::cell::OnceCell;
use std::error::Error;

use criterion::Criterion;
use tokenkit_benches::field::{Field, lanes};
use tokenkit_benches::figures::{Figures, is_quick};
use tokenkit_benches::harness;
use tokenkit_benches::keys::{Drawn, Keys};
use tokenkit_benches::kinds::Kind;
use tokenkit_benches::row::{Draw, Row};
use tokenkit_benches::subject::Way;

use crate::show;

/// Numbers of keys: the first fits the caches, the last is past all of them.
const SIZES: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const MILLION: usize = 1_000_000;
/// Those of a quick run.
const QUICK_SIZES: [usize; 2] = [10_000, 1_000_000];
/// Requests in a batch.
const BATCHES: [usize; 4] = [8, 16, 64, 256];

pub(crate) fn run(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut criterion = harness::criterion();
    let sizes = if is_quick() { &QUICK_SIZES[..] } else { &SIZES };
    let mut candidates = Field::all_kinds();
    for &size in sizes {
        candidates = decide(&mut criterion, figures, size, candidates);
    }
    criterion.final_summary();
    Ok(())
}

/// All rows of one table size. Nothing is set up that the filter leaves out.
/// Returns the kinds of peer, the fastest first.
fn decide(
    criterion: &mut Criterion,
    figures: &mut Figures,
    size: usize,
    candidates: Vec<Kind>,
) -> Vec<Kind> {
    let keys = OnceCell::new();
    let keys = || keys.get_or_init(|| Keys::draw(size));
    let field_cell = OnceCell::new();
    let field = || field_cell.get_or_init(|| Field::new(keys(), candidates.clone()));
    let uniform = OnceCell::new();
    let uniform =
        || -> &[Drawn] { uniform.get_or_init(|| keys().requests(Row::Allowed, Draw::Uniform)) };
    // A table of a million keys, to stand beside a larger one.
    let small_keys = OnceCell::new();
    let small_keys = || small_keys.get_or_init(|| Keys::draw(MILLION));
    let small_field = OnceCell::new();
    let small_requests = OnceCell::new();

    for draw in Draw::ALL {
        let name = format!("decide/{size}/{draw}");
        let mut group = harness::group(criterion, &name);
        for &row in rows(size, draw) {
            let requests = OnceCell::new();
            let requests = || match (row, draw) {
                (Row::Allowed, Draw::Uniform) => uniform(),
                _ => requests.get_or_init(|| keys().requests(row, draw)),
            };
            let make = |figures: &mut Figures| {
                let mut contest = field().contest(row, requests(), figures);
                if size > MILLION {
                    let small = small_field.get_or_init(|| Field::new(small_keys(), Vec::new()));
                    let requests = small_requests.get_or_init(|| small_keys().requests(row, draw));
                    contest.lane(lanes::MILLION, "", small.engine(row, Way::Lone, requests));
                }
                contest
            };
            let row = row.to_string();
            show(harness::bench(&mut group, &name, &row, figures, make));
        }
        group.finish();
    }

    let name = format!("batch/{size}");
    let mut group = harness::group(criterion, &name);
    for batch in BATCHES {
        let make = |figures: &mut Figures| field().batch(batch, uniform(), figures);
        let batch = batch.to_string();
        show(harness::bench(&mut group, &name, &batch, figures, make));
    }
    group.finish();
    match field_cell.get() {
        Some(field) => field.ranked(),
        None => candidates,
    }
}

/// The rows of a size and draw. Draws differ for who finds a key, so the other
/// outcomes stand once; and the largest table is there for that alone.
fn rows(size: usize, draw: Draw) -> &'static [Row] {
    match (draw, size > MILLION) {
        (Draw::Uniform, false) => &Row::ALL,
        (Draw::Uniform, true) | (_, false) => &[Row::Allowed],
        (_, true) => &[],
    }
}
