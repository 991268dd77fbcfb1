//! Several threads that decide at once.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::Reason;

use crate::keys::{Drawn, Keys};
use crate::row::{Draw, Row};
use crate::subject::{Subject, Way};

/// Threads that are measured: powers of two up to the processors there are,
/// two at least.
#[must_use]
pub fn counts() -> Vec<usize> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let powers = std::iter::successors(Some(1), |count| Some(count * 2));
    powers
        .take_while(|count| *count <= processors.max(2))
        .collect()
}

/// The requests of one thread, and how far it is through them.
pub struct Part {
    requests: Vec<Drawn>,
    at: AtomicUsize,
}

impl Part {
    /// The next requests, at most so many.
    fn take(&self, most: u64) -> &[Drawn] {
        // Relaxed: only one thread at a time goes through a part, and threads
        // begin and end between.
        let at = self.at.load(Ordering::Relaxed);
        let left = &self.requests[at..];
        let count = usize::try_from(most).map_or(left.len(), |most| most.min(left.len()));
        let next = (at + count) % self.requests.len();
        self.at.store(next, Ordering::Relaxed);
        &left[..count]
    }
}

/// The requests of threads, each with its own part of keys and addresses.
#[must_use]
pub fn parts(keys: &Keys, threads: usize) -> Vec<Part> {
    let share = keys.all().len() / threads;
    let requests = |thread| {
        let part = thread * share..(thread + 1) * share;
        keys.requests_among(Row::Allowed, Draw::Uniform, part)
    };
    let part = |thread| Part {
        requests: requests(thread),
        at: AtomicUsize::new(0),
    };
    (0..threads).map(part).collect()
}

/// Decisions that each thread makes at least, that their beginning together
/// may not count.
const LEAST: u64 = 20_000;

/// Every thread goes through its requests; the time until the last has made
/// `decisions` of them, as it is in a run that is long enough.
///
/// # Panics
///
/// Where an answer is not `allowed`.
pub fn own(subject: &dyn Subject, parts: &[Part], decisions: u64) -> Duration {
    let meet = Meeting::of(parts.len());
    let long = decisions.max(LEAST);
    let taken = spanned(parts.len(), |thread| {
        meet.all();
        let start = Instant::now();
        let mut left = long;
        while left > 0 {
            let leg = parts[thread].take(left);
            let as_expected = subject.decide_all(leg, Reason::Allowed, Way::Lone);
            assert_eq!(as_expected, leg.len() as u64, "requests that are allowed");
            left -= as_expected;
        }
        (start, Instant::now())
    });
    taken.mul_f64(decisions as f64 / long as f64)
}

/// Runs a thread for each number; from the first start to the last end.
fn spanned(threads: usize, run: impl Fn(usize) -> (Instant, Instant) + Sync) -> Duration {
    let run = &run;
    let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads).map(|n| scope.spawn(move || run(n))).collect();
        let own = run(0);
        let joined = spawned.into_iter().map(std::thread::ScopedJoinHandle::join);
        std::iter::once(own)
            .chain(joined.map(|span| span.expect("a thread that decides")))
            .collect()
    });
    let start = spans.iter().map(|span| span.0).min();
    let end = spans.iter().map(|span| span.1).max();
    start
        .zip(end)
        .map_or(Duration::ZERO, |(start, end)| end - start)
}

/// Where threads wait for each other, awake: what follows is timed.
struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
}

impl Meeting {
    fn of(threads: usize) -> Self {
        let arrived = AtomicUsize::new(0);
        Self { threads, arrived }
    }

    /// Returns once all have come as often as the caller.
    fn all(&self) {
        // AcqRel: whoever leaves sees what the others did before they came.
        let mine = self.arrived.fetch_add(1, Ordering::AcqRel);
        let wanted = (mine / self.threads + 1) * self.threads;
        while self.arrived.load(Ordering::Acquire) < wanted {
            std::hint::spin_loop();
        }
    }
}

/// The limit of a hot key: half of what is asked of it.
pub const HOT_LIMIT: u32 = 50_000;

/// What came of threads on one hot key.
pub struct Hot {
    /// From the first start to the last end.
    pub taken: Duration,
    /// Requests that were admitted.
    pub admitted: u64,
}

/// Threads ask for one key together, twice as often as its limit.
///
/// # Panics
///
/// Where an answer is neither `allowed` nor `hourly_limit`.
pub fn hot(subject: &dyn Subject, requests: &[Drawn], threads: usize) -> Hot {
    let each = 2 * HOT_LIMIT as usize / threads;
    let meet = Meeting::of(threads);
    let admitted = AtomicU64::new(0);
    let taken = spanned(threads, |_| {
        meet.all();
        let start = Instant::now();
        let mut allowed = 0;
        for request in requests.iter().cycle().take(each) {
            match subject.decide(request) {
                Reason::Allowed => allowed += 1,
                Reason::HourlyLimit => {}
                other => panic!("a hot key is answered by {other}"),
            }
        }
        let end = Instant::now();
        // Relaxed: read only once the threads have been joined.
        admitted.fetch_add(allowed, Ordering::Relaxed);
        (start, end)
    });
    Hot {
        taken,
        admitted: admitted.into_inner(),
    }
}

/// Changes of policy in a second.
pub const CHANGES_PER_S: u32 = 1000;

/// Runs something while another thread changes keys, evenly spread in time.
/// Returns how many were changed.
pub fn while_changing<R>(subject: &dyn Subject, keys: &Keys, run: impl FnOnce() -> R) -> (R, u64) {
    let (stop, stopped) = mpsc::channel::<()>();
    let begun = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let begun = &begun;
        let changer = scope.spawn(move || {
            let start = Instant::now();
            let mut keys = keys.all().iter().cycle();
            let mut changes = 0_u32;
            loop {
                // Far above what is asked, so that no outcome changes.
                let limit = 1_000_000_000 - changes % 1000;
                if let Some(key) = keys.nth(7919) {
                    subject.change(key, limit);
                }
                changes += 1;
                // Release: pairs with the load below.
                begun.store(true, Ordering::Release);
                let due = start + Duration::from_secs(1) * changes / CHANGES_PER_S;
                let wait = due.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return u64::from(changes);
                }
            }
        });
        while !begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let result = run();
        drop(stop);
        (
            result,
            changer.join().expect("the thread that changes keys"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;
    use crate::row::State;
    use crate::subject::{self, Scene};

    fn subjects(keys: &Keys) -> [Box<dyn Subject>; 2] {
        let scene = Scene {
            others: 10,
            ..Scene::new(keys, State::Open)
        };
        [Box::new(subject::engine(&scene)), (KINDS[0].set_up)(&scene)]
    }

    #[test]
    fn threads_decide_about_their_own_keys() {
        let keys = Keys::draw(64);
        let parts = parts(&keys, 2);
        let of = |part: &Part| {
            part.requests
                .iter()
                .map(|drawn| drawn.key().copied())
                .collect()
        };
        let [first, second]: [std::collections::HashSet<_>; 2] = [of(&parts[0]), of(&parts[1])];
        assert!(first.is_disjoint(&second) && first.len() == 32);
        for subject in subjects(&keys) {
            assert!(own(&*subject, &parts, 1000) > Duration::ZERO);
        }
    }

    #[test]
    fn a_hot_key_admits_its_limit_exactly() {
        let keys = Keys::draw(4);
        let requests = keys.requests_among(Row::Allowed, Draw::Hot, 0..1);
        for subject in subjects(&keys) {
            subject.change(&keys.all()[0], HOT_LIMIT);
            let hot = hot(&*subject, &requests, 2);
            assert_eq!(hot.admitted, u64::from(HOT_LIMIT));
        }
    }

    #[test]
    fn keys_are_changed_meanwhile() {
        let keys = Keys::draw(64);
        for subject in subjects(&keys) {
            let parts = parts(&keys, 1);
            let run = || own(&*subject, &parts, 100_000);
            let (taken, changes) = while_changing(&*subject, &keys, run);
            let due = taken.as_secs_f64() * f64::from(CHANGES_PER_S);
            assert!(changes >= 1 && (changes as f64) < due + 100.0, "{changes}");
        }
    }
}
