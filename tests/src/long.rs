//! How long a test runs: short at a desk and in CI, long where it is asked to,
//! by the same body.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// How much a test does, and from which seed on.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// So many of what it counts.
    pub count: u64,
    /// No longer than this.
    pub at_most: Duration,
    /// Where it begins.
    pub seed: u64,
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is {text:?}: it has to be a number")))
}

impl Run {
    /// As the variable `count` says, `TK_TEST_SECONDS` and `TK_TEST_SEED`;
    /// where they are not set, so many as `usual`, however long that takes,
    /// from a seed that is drawn.
    ///
    /// # Panics
    ///
    /// Where one of them is no number.
    #[must_use]
    pub fn from_env(count: &str, usual: u64) -> Self {
        let seconds = number("TK_TEST_SECONDS");
        Self {
            count: number(count).unwrap_or(usual),
            at_most: seconds.map_or(Duration::MAX, Duration::from_secs),
            seed: number("TK_TEST_SEED")
                .unwrap_or_else(|| RandomState::new().build_hasher().finish()),
        }
    }
}

/// How often a long run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How far a run is. Says so on standard error now and then, and what it was at
/// the end: `proved: 1000000 operations in 14.2 s, seed 7`.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    run: Run,
    done: u64,
    turns: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Begins now.
    #[must_use]
    pub fn new(what: &'static str, run: Run) -> Self {
        let now = Instant::now();
        eprintln!("{} {what}, seed {}", run.count, run.seed);
        Self {
            what,
            run,
            done: 0,
            turns: 0,
            began: now,
            told: now,
        }
    }

    /// Whether there is more to do.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.done < self.run.count && self.began.elapsed() < self.run.at_most
    }

    /// The seed of the next turn: the run's own is that of the first.
    pub fn next_seed(&mut self) -> u64 {
        let turn = self.turns;
        self.turns += 1;
        // An odd factor, so that no two turns of a run share a seed.
        self.run
            .seed
            .wrapping_add(turn.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// So much is done.
    pub fn add(&mut self, done: u64) {
        self.done += done;
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let per_s = self.done as f64 / self.began.elapsed().as_secs_f64();
            eprintln!(
                "{} of {} {}, {per_s:.0} a second",
                self.done, self.run.count, self.what
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // The rest of a turn that failed is not counted.
        let seconds = self.began.elapsed().as_secs_f64();
        eprintln!(
            "proved: {} {} in {seconds:.1} s, seed {}",
            self.done, self.what, self.run.seed
        );
    }
}
