//! What is measured: something that decides about drawn requests.

use std::hint::black_box;

use engine::{
    CidrList, Clock, Decision, Engine, FailureConfig, KeyPolicy, KeyRecord, Limit, Reason, Request,
    SecretKey, ServerSecret,
};

use crate::form::Key;
use crate::keys::{self, Drawn, Keys};
use crate::row::State;

/// The server secret of all subjects.
pub const SECRET: [u8; 32] = [0x5A; 32];
/// The window in seconds.
pub const WINDOW_S: u32 = 300;
/// How long an address stays blocked, in seconds: longer than any run.
pub const BLOCK_S: u32 = 86_400;
/// Every key expires; in how many seconds from its making.
pub const LIFE_S: u64 = 1_000_000_000;
/// Addresses that failed before, besides the clients.
pub const OTHERS: u32 = 1_000_000;

/// What a subject is set up with.
#[derive(Clone)]
pub struct Scene<'k> {
    /// The keys that it knows.
    pub keys: &'k Keys,
    /// What it is like.
    pub state: State,
    /// Addresses that failed once, and of which no request comes.
    pub others: u32,
    /// Where it reads the time.
    pub clock: Clock,
}

impl<'k> Scene<'k> {
    /// The keys, a million addresses that failed, and the system's clock.
    #[must_use]
    pub fn new(keys: &'k Keys, state: State) -> Self {
        Self {
            keys,
            state,
            others: OTHERS,
            clock: Clock::System,
        }
    }

    /// Addresses that the engine's table, which never grows, has room for: a
    /// million, and more where each client may fail, for what is measured is
    /// counting, not making room.
    pub(crate) fn max_addresses(&self) -> u32 {
        (2 * self.keys.all().len() as u32).clamp(OTHERS, 2 * OTHERS)
    }

    /// Lets the other addresses fail, and blocks those that shall be.
    pub(crate) fn prepare<S: Subject + ?Sized>(&self, subject: &S) {
        let others = (0..self.others).map(|number| (keys::other(number), 1));
        let threshold = self.state.threshold();
        let blocked = (0..self.state.blocked()).map(|number| (keys::blocked(number), threshold));
        for (client, failures) in others.chain(blocked) {
            for _ in 0..failures {
                subject.decide(&Drawn::guess(client));
            }
        }
    }
}

/// Something that decides.
pub trait Subject: Send + Sync {
    /// Decides about one request at the present time.
    fn decide(&self, request: &Drawn) -> Reason;

    /// Decides about all of them, asked in some way if it knows more than one;
    /// how many have the outcome.
    fn decide_all(&self, requests: &[Drawn], outcome: Reason, _way: Way) -> u64 {
        count(requests, outcome, |request| self.decide(request))
    }

    /// Changes the policy of a key that it knows: a limit of so much.
    fn change(&self, key: &Key, hourly_limit: u32);
}

/// Hashes each key and admits it: what no subject can do without, to tell what
/// the machine gives to several threads at once.
pub struct BareHash;

impl Subject for BareHash {
    fn decide(&self, request: &Drawn) -> Reason {
        black_box(request.key().map(|key| blake3::keyed_hash(&SECRET, key)));
        Reason::Allowed
    }

    fn change(&self, _key: &Key, _hourly_limit: u32) {}
}

impl Subject for Box<dyn Subject> {
    fn decide(&self, request: &Drawn) -> Reason {
        (**self).decide(request)
    }

    // The loop is the subject's own, so that only its start is indirect.
    fn decide_all(&self, requests: &[Drawn], outcome: Reason, way: Way) -> u64 {
        (**self).decide_all(requests, outcome, way)
    }

    fn change(&self, key: &Key, hourly_limit: u32) {
        (**self).change(key, hourly_limit);
    }
}

/// How the engine is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One request after the other, the time read for each.
    Lone,
    /// One request after the other, the time read once.
    AtTime,
    /// So many requests at once.
    Batch(usize),
}

/// Sets up the engine.
///
/// # Panics
///
/// Where the system gives too little memory.
pub fn engine(scene: &Scene<'_>) -> Engine {
    let engine = Engine::builder(ServerSecret::from_bytes(SECRET))
        .max_keys(scene.keys.all().len() as u32)
        .clock(scene.clock.clone())
        .failures(FailureConfig {
            threshold: scene.state.threshold(),
            window_s: WINDOW_S,
            block_s: BLOCK_S,
            exempt: CidrList::default(),
            max_addresses: scene.max_addresses(),
        })
        .build()
        .expect("memory for the tables");
    engine
        .insert_keys(records(&engine, scene))
        .expect("keys drawn at random differ");
    scene.prepare(&engine);
    engine
}

/// The keys as records.
fn records(engine: &Engine, scene: &Scene<'_>) -> Vec<KeyRecord> {
    let mut policy = KeyPolicy::new("bench".parse().expect("a good name"));
    policy.hourly_limit = limit(scene.state.hourly_limit());
    policy.expires_at = Some(scene.clock.now() + LIFE_S);
    let record = |key: &Key| KeyRecord {
        id: parsed(key).id(),
        digest: engine.secret().digest_key(key),
        policy: policy.clone(),
    };
    scene.keys.all().iter().map(record).collect()
}

fn limit(units: u32) -> Option<Limit> {
    Limit::try_from(u64::from(units)).ok()
}

/// A key as the engine reads it.
///
/// # Panics
///
/// Where it has not the form.
pub fn parsed(key: &Key) -> SecretKey {
    let text = std::str::from_utf8(key).expect("keys are ASCII");
    text.parse().expect("keys have the form")
}

/// A drawn request as an adapter would hand it over.
#[inline]
pub fn request(drawn: &Drawn) -> Request<'_> {
    let request = Request::new(drawn.client());
    match drawn.key() {
        Some(key) => request.api_key(key),
        None => request,
    }
}

impl Subject for Engine {
    #[inline]
    fn decide(&self, drawn: &Drawn) -> Reason {
        seen(&Self::decide(self, &request(drawn)))
    }

    fn decide_all(&self, requests: &[Drawn], outcome: Reason, way: Way) -> u64 {
        match way {
            Way::Lone => count(requests, outcome, |drawn| Subject::decide(self, drawn)),
            Way::AtTime => {
                let now = self.clock().now();
                count(requests, outcome, |drawn| {
                    seen(&self.decide_at(&request(drawn), now))
                })
            }
            Way::Batch(size) => decide_batches(self, requests, outcome, size),
        }
    }

    fn change(&self, key: &Key, hourly_limit: u32) {
        self.update_key(parsed(key).id(), |policy| {
            policy.hourly_limit = limit(hourly_limit);
        })
        .expect("the key is known");
    }
}

/// The reason of a decision, all of which has to be made.
#[inline]
fn seen(decision: &Decision) -> Reason {
    black_box(decision);
    decision.reason()
}

#[inline]
fn count(requests: &[Drawn], outcome: Reason, decide: impl Fn(&Drawn) -> Reason) -> u64 {
    let mut as_expected = 0;
    for request in requests {
        as_expected += u64::from(decide(request) == outcome);
    }
    as_expected
}

fn decide_batches(engine: &Engine, drawn: &[Drawn], outcome: Reason, size: usize) -> u64 {
    let mut requests: Vec<Request<'_>> = Vec::with_capacity(size);
    let mut decisions = vec![Decision::default(); size];
    let mut as_expected = 0;
    for drawn in drawn.chunks(size) {
        requests.clear();
        requests.extend(drawn.iter().map(request));
        let decisions = &mut decisions[..drawn.len()];
        engine.decide_batch(&requests, decisions);
        for decision in decisions {
            as_expected += u64::from(seen(decision) == outcome);
        }
    }
    as_expected
}
