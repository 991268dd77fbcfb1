//! Runs a row over a subject for as many decisions as asked, checks every
//! answer, and tells the time that the decisions took.

use std::time::{Duration, Instant};

use engine::Hour;

use crate::keys::{Drawn, Keys};
use crate::row::{Row, State};
use crate::subject::{Scene, Subject, Way};

/// A subject and what was done to it. Set up when it is first run, and anew
/// where a row needs another state than the one before left behind.
pub struct Stage<'k, S> {
    scene: Scene<'k>,
    set_up: fn(&Scene<'_>) -> S,
    subject: Option<S>,
    /// Failures that it may have counted.
    failures: u64,
}

impl<'k, S: Subject> Stage<'k, S> {
    /// A stage for a subject that is not set up yet.
    #[must_use]
    pub fn new(scene: Scene<'k>, set_up: fn(&Scene<'_>) -> S) -> Self {
        Self {
            scene,
            set_up,
            subject: None,
            failures: 0,
        }
    }

    /// The keys that its subject knows.
    #[must_use]
    pub fn keys(&self) -> &'k Keys {
        self.scene.keys
    }

    /// The subject, ready for rows that count no failures.
    pub fn subject(&mut self, state: State) -> &S {
        self.ready(state, 0).0
    }

    /// The subject in a state, with room for failures, and how much: how many
    /// may come before an address could be blocked.
    fn ready(&mut self, state: State, failures: u64) -> (&S, u64) {
        // Each address comes once in so many requests, and twice in a round
        // that begins in the middle of another's.
        let most = self.keys().all().len() as u64 * u64::from(state.threshold() / 2);
        if self.scene.state != state || failures > 0 && self.failures >= most {
            // Before the next is made, for both may not fit into memory.
            self.subject = None;
        }
        if self.subject.is_none() {
            self.failures = 0;
            self.scene.state = state;
        }
        let leg = failures.min(most - self.failures.min(most));
        self.failures += leg;
        let subject = self
            .subject
            .get_or_insert_with(|| (self.set_up)(&self.scene));
        (subject, leg)
    }

    fn hour(&self) -> Hour {
        Hour::of(self.scene.clock.now())
    }
}

/// A row, under way through its requests.
pub struct Runner<'r> {
    row: Row,
    way: Way,
    requests: &'r [Drawn],
    /// The next request.
    at: usize,
    /// The hour in which the budgets were used up.
    used_up: Option<Hour>,
}

impl<'r> Runner<'r> {
    /// Goes through requests that were drawn for the row.
    #[must_use]
    pub fn new(row: Row, way: Way, requests: &'r [Drawn]) -> Self {
        Self {
            row,
            way,
            requests,
            at: 0,
            used_up: None,
        }
    }

    /// Sets up what the row needs and passes once over all requests, so that
    /// what is timed afterwards touches nothing for the first time.
    ///
    /// # Panics
    ///
    /// Where an answer is not the row's outcome.
    pub fn warm_up<S: Subject>(&mut self, stage: &mut Stage<'_, S>) {
        self.run(stage, self.requests.len() as u64);
    }

    /// Makes `decisions` decisions; the time they took, all else left out.
    ///
    /// # Panics
    ///
    /// Where an answer is not the row's outcome.
    pub fn run<S: Subject>(&mut self, stage: &mut Stage<'_, S>, decisions: u64) -> Duration {
        let mut left = decisions;
        let mut total = Duration::ZERO;
        while left > 0 {
            let hour = stage.hour();
            let failures = if self.row.counts_failures() { left } else { 0 };
            let (subject, room) = stage.ready(self.row.state(), failures);
            let leg = if failures > 0 { room } else { left };
            self.use_up(subject, hour);
            let start = self.at;
            let (taken, as_expected) = self.measured_leg(subject, leg);
            if self.row == Row::Limited && stage.hour() != hour {
                // The budgets came back on the way: once more.
                self.at = start;
                continue;
            }
            assert_eq!(
                as_expected, leg,
                "of {leg} requests of {}, so many had its outcome",
                self.row
            );
            total += taken;
            left -= leg;
        }
        total
    }

    /// One timed leg: its time, and how many answers were the expected.
    ///
    /// A function of its own, and of this name, for what counts instructions:
    /// it counts those within.
    #[inline(never)]
    fn measured_leg<S: Subject>(&mut self, subject: &S, decisions: u64) -> (Duration, u64) {
        let outcome = self.row.outcome();
        let mut left = decisions;
        let mut as_expected = 0;
        let start = Instant::now();
        while left > 0 {
            let upcoming = &self.requests[self.at..];
            let count = upcoming
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            as_expected += subject.decide_all(&upcoming[..count], outcome, self.way);
            left -= count as u64;
            self.at = (self.at + count) % self.requests.len();
        }
        (start.elapsed(), as_expected)
    }

    /// For the limited row: uses up every key's budget of this hour, unless
    /// that was done. A pass over the requests charges each key they name.
    fn use_up<S: Subject>(&mut self, subject: &S, hour: Hour) {
        if self.row == Row::Limited && self.used_up != Some(hour) {
            for request in self.requests {
                subject.decide(request);
            }
            self.used_up = Some(hour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Key;
    use crate::kinds::{KINDS, WHOLE};
    use crate::row::Draw;
    use crate::subject;
    use engine::Reason;

    const KEYS: usize = 64;

    fn every_row<S: Subject>(keys: &Keys, set_up: fn(&Scene<'_>) -> S, ways: &[Way]) {
        let scene = Scene {
            others: 10,
            ..Scene::new(keys, State::Open)
        };
        let mut stage = Stage::new(scene, set_up);
        // More failures than block every address.
        let most = KEYS as u64 * u64::from(State::Open.threshold()) + 1;
        // Twice over, for a row must not depend on the one before it.
        for row in [Row::ALL, Row::ALL].concat() {
            let requests = keys.requests(row, Draw::Uniform);
            for &way in ways {
                let decisions = if row.counts_failures() { most } else { 1000 };
                Runner::new(row, way, &requests).run(&mut stage, decisions);
            }
        }
    }

    #[test]
    fn the_engine_answers_every_row_rightly() {
        let keys = Keys::draw(KEYS);
        let ways = [Way::Lone, Way::AtTime, Way::Batch(7), Way::Batch(64)];
        every_row(&keys, subject::engine, &ways);
    }

    #[test]
    fn every_peer_answers_every_row_rightly() {
        let keys = Keys::draw(KEYS);
        for kind in KINDS.into_iter().step_by(5).chain([WHOLE]) {
            every_row(&keys, kind.set_up, &[Way::Lone]);
        }
    }

    /// Fast, and wrong once in a while.
    struct Careless(std::sync::atomic::AtomicU32);

    impl Subject for Careless {
        fn decide(&self, _request: &Drawn) -> Reason {
            // Relaxed: one thread counts alone.
            if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 500 {
                Reason::MissingKey
            } else {
                Reason::Allowed
            }
        }

        fn change(&self, _key: &Key, _hourly_limit: u32) {}
    }

    #[test]
    #[should_panic(expected = "of 1000 requests of allowed")]
    fn one_wrong_answer_fails_the_run() {
        let keys = Keys::draw(KEYS);
        let requests = keys.requests(Row::Allowed, Draw::Uniform);
        let scene = Scene::new(&keys, State::Open);
        let mut stage = Stage::new(scene, |_| Careless(0.into()));
        Runner::new(Row::Allowed, Way::Lone, &requests).run(&mut stage, 1000);
    }
}
