//! The engine against its slow twin: random operations, every answer compared,
//! and after each of them what every key has used.
//!
//! `TK_TEST_OPS` says how many operations to run, 1,000,000 unless set;
//! `TK_TEST_SECONDS` ends the run earlier. `TK_TEST_SEED` says where to begin,
//! otherwise that is drawn. With `--nocapture` a long run tells how far it is.
//! Worlds run beside each other, as many as there are processors.
//! A case that fails is told with what it cannot do without; such cases are kept
//! in `kept`.

#![forbid(unsafe_code)]
#![cfg(all(not(miri), target_os = "linux"))]

mod kept;
mod ops;
mod twins;
mod world;

use std::cell::Cell;
use std::sync::Mutex;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tests::long::{Progress, Run};

use ops::Op;
use twins::{Home, Twins};

/// A world is many small things that are made and thrown away.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most operations in one case, on one fresh world.
const OPS_PER_CASE: usize = 800;
/// Cases that are drawn from one seed.
const CASES_PER_SEED: u32 = 100;

/// A case: the set-up, and what happens.
type Case = (Home, (u32, u32), Vec<Op>);

fn case(homes: impl Strategy<Value = Home>) -> impl Strategy<Value = Case> {
    let spans = prop_oneof![
        Just((300_u32, 60_u32)),
        Just((12, 1)),
        Just((12, 30)),
        Just((3600, 300))
    ];
    let op = any::<u64>().no_shrink().prop_map(Op::from_seed);
    (homes, spans, prop::collection::vec(op, 1..=OPS_PER_CASE))
}

/// Runs a case; how many operations it had, each request of several being one.
fn run((home, (window_s, block_s), ops): &Case) -> Result<u64, TestCaseError> {
    let mut twins = Twins::new(*home, *window_s, *block_s);
    for op in ops {
        twins.run(op)?;
    }
    twins.compare_rings()?;
    twins.compare_blocks()?;
    Ok(ops.iter().map(Op::count).sum())
}

/// A runner whose cases depend on the seed alone.
fn runner(seed: u64, config: ProptestConfig) -> TestRunner {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&(!seed).to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes))
}

#[test]
fn the_engine_decides_as_its_twin() {
    let run_length = Run::from_env("TK_TEST_OPS", 1_000_000);
    // An engine asks for huge pages: to clear them for each world would be a
    // tenth of all. A system that has no others refuses, which is as well.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let progress = Mutex::new(Progress::new("operations", run_length));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| compare(&progress));
        }
    });
}

/// Runs cases until there were enough, or until one has failed, be it another's:
/// who fails leaves the lock poisoned.
fn compare(progress: &Mutex<Progress>) {
    let homes = prop_oneof![3 => Just(Home::Memory), 1 => Just(Home::File)];
    let cases = case(homes);
    let mut done = 0;
    while let Ok(mut progress_now) = progress.lock() {
        progress_now.add(done);
        if !progress_now.goes_on() {
            return;
        }
        let seed = progress_now.next_seed();
        drop(progress_now);
        let config = ProptestConfig {
            cases: CASES_PER_SEED,
            max_shrink_iters: 100_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let ops = Cell::new(0);
        let outcome = runner(seed, config).run(&cases, |case| {
            ops.set(ops.get() + run(&case)?);
            Ok(())
        });
        if let Err(error) = outcome {
            let _poisoned = progress.lock();
            panic!("seed {seed}: {error}");
        }
        done = ops.get();
    }
}

/// The comparison can fail: a ledger that is lost with its process is noticed.
#[test]
fn an_engine_that_forgets_is_caught() {
    let config = ProptestConfig {
        cases: 20,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = runner(1, config).run(&case(Just(Home::ForgetfulFile)), |case| {
        run(&case).map(drop)
    });
    let Err(TestError::Fail(reason, _)) = outcome else {
        panic!("not noticed: {outcome:?}");
    };
    assert!(reason.message().contains("has used"), "{reason}");
}
