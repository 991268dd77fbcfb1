//! What is measured: something that decides about drawn requests.

use std::hint::black_box;

use engine::{
    CidrList, Clock, Engine, FailureConfig, KeyPolicy, KeyRecord, Limit, Reason, Request,
    SecretKey, ServerSecret,
};

use crate::form::Key;
use crate::keys::{Drawn, Keys};

/// The server secret of both subjects.
pub const SECRET: [u8; 32] = [0x5A; 32];
/// Failures within the window that block an address: the most there is, so
/// that a run may make many before it has to forget them.
pub const THRESHOLD: u32 = 4094;
/// The window, and the length of a block, in seconds.
pub const WINDOW_S: u32 = 300;
/// Every key expires; in how many seconds from its making.
pub const LIFE_S: u64 = 86_400;

/// Something that decides.
pub trait Subject {
    /// Sets it up with the keys, each with this hourly limit and without any
    /// failures.
    ///
    /// # Panics
    ///
    /// Where the system gives too little memory.
    fn set_up(keys: &Keys, hourly_limit: u32) -> Self;

    /// Decides about one request at the present time.
    fn decide(&self, request: &Drawn) -> Reason;
}

impl Subject for Engine {
    fn set_up(keys: &Keys, hourly_limit: u32) -> Self {
        let count = keys.all().len() as u32;
        let engine = Engine::builder(ServerSecret::from_bytes(SECRET))
            .max_keys(count)
            .failures(FailureConfig {
                threshold: THRESHOLD,
                window_s: WINDOW_S,
                block_s: WINDOW_S,
                exempt: CidrList::default(),
                // Every address has room: what is measured is counting, not
                // making room.
                max_addresses: 2 * count,
            })
            .build()
            .expect("memory for the tables");
        engine
            .insert_keys(records(&engine, keys, hourly_limit))
            .expect("keys drawn at random differ");
        engine
    }

    fn decide(&self, request: &Drawn) -> Reason {
        let mut asked = Request::new(request.client());
        if let Some(key) = request.key() {
            asked = asked.api_key(key);
        }
        let decision = Engine::decide(self, &asked);
        // The whole decision has to be made, not only its reason.
        black_box(&decision);
        decision.reason()
    }
}

/// The keys as records.
fn records(engine: &Engine, keys: &Keys, hourly_limit: u32) -> Vec<KeyRecord> {
    let mut policy = KeyPolicy::new("bench".parse().expect("a good name"));
    policy.hourly_limit = Limit::try_from(u64::from(hourly_limit)).ok();
    policy.expires_at = Some(Clock::System.now() + LIFE_S);
    let record = |key: &Key| {
        let text = std::str::from_utf8(key).expect("keys are ASCII");
        KeyRecord {
            id: text.parse::<SecretKey>().expect("keys have the form").id(),
            digest: engine.secret().digest_key(key),
            policy: policy.clone(),
        }
    };
    keys.all().iter().map(record).collect()
}
