//! What is too large for loom: whole structures and the whole engine, three to
//! five threads, several keys, several operations each, in schedules that
//! shuttle draws.
//!
//! By chance, and so no proof: what is shown is how many schedules held. Half of
//! them are drawn step by step (any thread, at any step), the others by
//! priorities that change a few times only (PCT: Burckhardt and others, "A
//! Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS
//! 2010), which finds faults of a few pre-emptions in long runs. Beside each
//! test stands a broken twin, in which both have to find the fault.
//!
//! `TK_TEST_SCHEDULES` says how many schedules a test tries, `TK_TEST_SEED` from
//! which seed they are drawn. One that fails is printed: put
//! `shuttle::replay(scenario, "…")` in the test's place to run it again.
//! Everything that a scenario does follows from its schedule, as is made sure of:
//! seeds are fixed, and time is an argument.
//!
//! # What is scheduled
//!
//! Every step on a word of [`sync`](crate::sync), on a pointer to a block or a
//! bucket and on a record's id, each entry into a generation and its end, and
//! every lock under which such a step is taken. All as if sequentially
//! consistent: whether an ordering is strong enough, loom alone tells.
//!
//! # What is not
//!
//! - What `arc-swap` does inside, and `OnceLock`: one step each.
//! - Plain writes and reads, as of a record that no id names yet: what would
//!   see them too early is found by Miri and ThreadSanitizer.
//! - Counts for gauges, the names of projects, the origins for preflights: they
//!   have locks of the standard library's that hold no step.
//! - Threads' own places: to the system all are one thread, so they share a
//!   shard of the sessions' gate.
//! - A ledger's file, and processes.

mod charges;
mod keyring;
mod slots;
mod usage;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, Runner};

/// Schedules of a test unless `TK_TEST_SCHEDULES` says.
const USUAL: usize = 10_000;
/// Schedules in which a broken twin's fault has to be found, each way.
const FOUND_WITHIN: usize = 50_000;
/// How many times at most, but one, the priorities change.
const DEPTHS: [usize; 3] = [2, 3, 5];

/// Tries the scenarios of a test, and says how many schedules of them held.
pub(crate) fn explore(what: &str, scenarios: &[fn()]) {
    let seed = number("TK_TEST_SEED").map_or(1, |seed| seed as u64);
    let wanted = number("TK_TEST_SCHEDULES").unwrap_or(USUAL);
    let each = (wanted / scenarios.len() / 2).max(DEPTHS.len());
    let mut held = 0;
    for scenario in scenarios {
        let few = RandomScheduler::new_from_seed(seed, 5);
        // The same again for each: else none could be run again.
        run(
            UncontrolledNondeterminismCheckScheduler::new(few),
            *scenario,
        );
        held += run(RandomScheduler::new_from_seed(seed, each), *scenario);
        for depth in DEPTHS {
            let each = each / DEPTHS.len();
            let changes = PctScheduler::new_from_seed(seed, depth, each);
            held += run(changes, *scenario);
        }
    }
    eprintln!("proved: {held} schedules of {what}, seed {seed}");
}

/// Makes sure that a broken twin's fault is found, both ways, by one of the
/// assertions that say so.
pub(crate) fn is_found(says: &[&str], twin: fn()) {
    find(RandomScheduler::new_from_seed(1, FOUND_WITHIN), says, twin);
    find(PctScheduler::new_from_seed(1, 3, FOUND_WITHIN), says, twin);
}

fn find(scheduler: impl Scheduler + 'static, says: &[&str], twin: fn()) {
    let fault = fault_of(|| run(scheduler, twin));
    let is_told = says.iter().any(|says| fault.contains(says));
    assert!(is_told, "another fault was found: {fault}");
}

/// What a run that has to fail fails by.
fn fault_of<T>(run: impl FnOnce() -> T) -> String {
    let Err(fault) = catch_unwind(AssertUnwindSafe(run)) else {
        panic!("the fault was not found");
    };
    let text = fault.downcast_ref::<String>().cloned();
    text.or_else(|| fault.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) -> usize {
    Runner::new(scheduler, Config::new()).run(scenario)
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// The states of one thing, one after the other, as one thread brings them
/// about: what was in force when.
pub(crate) struct History<T> {
    states: Vec<T>,
    /// The last state that is being brought about.
    begun: AtomicUsize,
    /// The last that was.
    done: AtomicUsize,
}

/// As plain numbers: no schedule comes between them.
const PLAIN: Ordering = Ordering::Relaxed;

impl<T: std::fmt::Debug> History<T> {
    /// The first of them is in force already.
    pub(crate) fn new(states: impl Into<Vec<T>>) -> Self {
        Self {
            states: states.into(),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        }
    }

    /// Brings the next one about.
    pub(crate) fn next<R>(&self, change: impl FnOnce(&T) -> R) -> R {
        let next = self.begun.fetch_add(1, PLAIN) + 1;
        let result = change(&self.states[next]);
        self.done.store(next, PLAIN);
        result
    }

    /// Asks, and makes sure that the answer is of a state that was in force at
    /// some moment of the question. Who asks twice never comes to an earlier one:
    /// `last` is the earliest that the answer before can have been of.
    pub(crate) fn ask<A>(&self, last: &mut usize, ask: impl FnOnce() -> A)
    where
        A: std::fmt::Debug,
        T: PartialEq<A>,
    {
        let from = self.done.load(PLAIN).max(*last);
        let answer = ask();
        let to = self.begun.load(PLAIN);
        let of = (from..=to).find(|at| self.states[*at] == answer);
        *last = of.unwrap_or_else(|| {
            let states = &self.states[from..=to];
            panic!("{answer:?} is of no moment of the question: {states:?}")
        });
    }

    /// The last state, all of them having been brought about.
    pub(crate) fn last(&self) -> &T {
        assert_eq!(self.done.load(PLAIN) + 1, self.states.len());
        &self.states[self.states.len() - 1]
    }
}
