//! Runs a row over a subject for as many decisions as asked, checks every
//! answer, and tells the time that the decisions took.

use std::time::{Duration, Instant};

use engine::{Clock, Hour};

use crate::keys::{Drawn, Keys, Row};
use crate::subject::{Subject, THRESHOLD};

/// A subject and what was done to it. Set up when it is first run, and anew
/// where a row needs another state than the one before left behind.
pub struct Stage<'k, S> {
    keys: &'k Keys,
    /// The subject and the hourly limit of its keys.
    subject: Option<(S, u32)>,
    /// Failures that it may have counted.
    failures: u64,
}

impl<'k, S: Subject> Stage<'k, S> {
    /// An empty stage for a subject that will hold the keys.
    #[must_use]
    pub fn new(keys: &'k Keys) -> Self {
        Self {
            keys,
            subject: None,
            failures: 0,
        }
    }

    /// The subject in a state that the row can start from, and the decisions
    /// that may be made before an address could be blocked.
    fn ready(&mut self, row: Row) -> (&S, u64) {
        // Each address comes once in so many requests, and twice in a round
        // that begins in the middle of another's.
        let most = self.keys.all().len() as u64 * u64::from(THRESHOLD / 2);
        let limit = row.hourly_limit();
        let spent = row.counts_failures() && self.failures >= most;
        let kept = self.subject.take().filter(|kept| kept.1 == limit && !spent);
        if kept.is_none() {
            self.failures = 0;
        }
        let room = if row.counts_failures() {
            most - self.failures
        } else {
            u64::MAX
        };
        let (subject, _) = self
            .subject
            .insert(kept.unwrap_or_else(|| (S::set_up(self.keys, limit), limit)));
        (subject, room)
    }
}

/// A row, under way through its requests.
pub struct Runner {
    row: Row,
    requests: Vec<Drawn>,
    /// The next request.
    at: usize,
    /// The hour in which the budgets were used up.
    used_up: Option<Hour>,
}

impl Runner {
    /// Draws the row's requests.
    #[must_use]
    pub fn new(keys: &Keys, row: Row) -> Self {
        Self {
            row,
            requests: keys.requests(row),
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
            let (subject, room) = stage.ready(self.row);
            let leg = left.min(room);
            self.use_up(subject);
            let start = self.at;
            let (taken, as_expected) = self.measured_leg(subject, leg);
            if self.row.counts_failures() {
                stage.failures += leg;
            }
            if self.hour_turned() {
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
            for request in &upcoming[..count] {
                as_expected += u64::from(subject.decide(request) == outcome);
            }
            left -= count as u64;
            self.at = (self.at + count) % self.requests.len();
        }
        (start.elapsed(), as_expected)
    }

    /// For the limited row: uses up every key's budget of this hour, unless
    /// that was done. A pass over the requests charges each key they name.
    fn use_up<S: Subject>(&mut self, subject: &S) {
        let hour = Hour::of(Clock::System.now());
        if self.row == Row::Limited && self.used_up != Some(hour) {
            for request in &self.requests {
                subject.decide(request);
            }
            self.used_up = Some(hour);
        }
    }

    /// Whether the hour turned since the budgets were used up.
    fn hour_turned(&self) -> bool {
        self.row == Row::Limited && self.used_up != Some(Hour::of(Clock::System.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;
    use engine::{Engine, Reason};

    const KEYS: usize = 64;

    #[test]
    fn both_subjects_answer_every_row_rightly() {
        let keys = Keys::draw(KEYS);
        let mut engine = Stage::<Engine>::new(&keys);
        let mut peer = Stage::<Peer>::new(&keys);
        // More failures than block every address.
        let most = KEYS as u64 * u64::from(THRESHOLD) + 1;
        // Twice over, for a row must not depend on the one before it.
        for row in [Row::ALL, Row::ALL].concat() {
            let decisions = if row.counts_failures() { most } else { 1000 };
            Runner::new(&keys, row).run(&mut engine, decisions);
            Runner::new(&keys, row).run(&mut peer, decisions);
        }
    }

    /// Fast, and wrong once in a while.
    struct Careless(std::cell::Cell<u32>);

    impl Subject for Careless {
        fn set_up(_keys: &Keys, _hourly_limit: u32) -> Self {
            Self(std::cell::Cell::new(0))
        }

        fn decide(&self, _request: &Drawn) -> Reason {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 500 {
                Reason::MissingKey
            } else {
                Reason::Allowed
            }
        }
    }

    #[test]
    #[should_panic(expected = "of 1000 requests of allowed")]
    fn one_wrong_answer_fails_the_run() {
        let keys = Keys::draw(KEYS);
        Runner::new(&keys, Row::Allowed).run(&mut Stage::<Careless>::new(&keys), 1000);
    }
}
