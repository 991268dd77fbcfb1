//! What the threads of a round ask for, and who answers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Engine, Request, SecretKey};

use crate::record::{Event, now_ns};

/// Something that charges hours.
pub(crate) trait Charges: Sync {
    /// Whether a cost is admitted at a time, and what is left.
    fn charge(&self, key: u64, unix_s: u64, cost: u32) -> (bool, u64);
}

/// Hours of a round: two for each place of a ring, and one more.
pub(crate) const HOURS: u64 = 17;
/// From one round to the next, so that none meets what another left behind.
pub(crate) const HOURS_APART: u64 = HOURS + 8;
/// The first hour of the first round.
pub(crate) const FIRST_HOUR: u64 = 497_222;
/// What each key may use in an hour, in turn: a third of what is asked for
/// or so, and as much as is asked for.
pub(crate) const LIMITS: [u64; 3] = [1500, 400, 9000];

/// One round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) first_hour: u64,
    /// Decisions of each thread.
    pub(crate) each: u64,
}

/// The keys' engine and the keys.
pub(crate) struct Doors<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) keys: &'a [SecretKey],
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Charges for Doors<'_> {
    fn charge(&self, key: u64, unix_s: u64, cost: u32) -> (bool, u64) {
        let key = self.keys[key as usize].expose().as_bytes();
        let request = Request::new(CLIENT).api_key(key).cost(cost);
        let decision = self.engine.decide_at(&request, unix_s);
        let left = decision.budget().map(|budget| budget.remaining);
        (decision.is_allowed(), left.expect("every key is limited"))
    }
}

/// The hour that it is for all threads of a round.
pub(crate) struct Hands(AtomicU64);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Round {
    /// What one thread does: asks, and writes down what it was told. The first
    /// thread moves the hands on.
    pub(crate) fn run(&self, by: &impl Charges, hands: &Hands, thread: u64) -> Vec<Event> {
        let mut random = fastrand::Rng::with_seed(self.seed ^ thread << 48);
        let mut events = Vec::with_capacity(self.each as usize);
        for turn in 0..self.each {
            if thread == 0 {
                // Relaxed, here and below: any hour will do.
                hands.0.store(turn * HOURS / self.each, Ordering::Relaxed);
            }
            let back = if random.u8(..) < 32 {
                random.u64(1..=9)
            } else {
                0
            };
            let front = hands.0.load(Ordering::Relaxed);
            let hour = self.first_hour + front.saturating_sub(back);
            let key = random.u64(..LIMITS.len() as u64);
            let cost = random.u32(..6);
            let unix_s = hour * 3600 + random.u64(..3600);
            let start_ns = now_ns();
            let (admitted, left) = by.charge(key, unix_s, cost);
            events.push(Event {
                start_ns,
                end_ns: now_ns(),
                key,
                hour,
                cost: u64::from(cost),
                admitted,
                left,
            });
        }
        events
    }

    /// The whole round, by so many threads begun together.
    pub(crate) fn run_all(&self, by: &impl Charges, threads: u64) -> Vec<Event> {
        let (barrier, hands) = (Barrier::new(threads as usize), Hands::new());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    let (barrier, hands) = (&barrier, &hands);
                    scope.spawn(move || {
                        barrier.wait();
                        self.run(by, hands, thread)
                    })
                })
                .collect();
            let events = threads.into_iter().map(|thread| thread.join().unwrap());
            events.flatten().collect()
        })
    }
}
