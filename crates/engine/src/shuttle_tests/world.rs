//! An engine and its keys, the same in every schedule.

use crate::builder::FailureConfig;
use crate::decision::Decision;
use crate::engine::Engine;
use crate::failures::Seeds;
use crate::key::{KeyId, SecretKey, ServerSecret};
use crate::keyring::Keyring;
use crate::ledger::{Ledger, UsageLine};
use crate::net::CidrList;
use crate::policy::{KeyPolicy, KeyRecord, Limit};
use crate::request::Request;
use crate::time::Clock;

/// The address of all who ask; it is never blocked.
const CLIENT: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 2, 1);

/// The engine, without keys but for those that it was asked to have.
pub(super) struct World {
    pub(super) engine: Engine,
    keys: Vec<SecretKey>,
}

impl World {
    /// Room for `slots` keys in the engine; `keys` of them may be spoken of.
    pub(super) fn new(slots: u32, keys: u8, unix_s: u64) -> Self {
        let secret = || ServerSecret::from_bytes([7; 32]);
        let failures = FailureConfig {
            max_addresses: 7,
            exempt: CidrList::parse(["192.0.2.0/24"]).unwrap(),
            ..FailureConfig::default()
        };
        let built = Engine::builder(secret())
            .failures(failures)
            .max_keys(slots)
            .clock(Clock::manual(unix_s));
        let mut engine = built.build().unwrap();
        // What a builder seeds by chance: by seeds that stay.
        engine.keyring = Keyring::new([1, 2, 3, 4], slots);
        engine.ledger = Ledger::in_memory(slots, 1, Seeds([5, 6])).unwrap();
        let prefix = "tk_live".parse().unwrap();
        let key = |number: u8| SecretKey::derived(&prefix, &secret(), &[number; 16]);
        Self {
            engine,
            keys: (0..keys).map(key).collect(),
        }
    }

    pub(super) fn id(&self, key: usize) -> KeyId {
        self.keys[key].id()
    }

    /// A key with a limit.
    pub(super) fn record(&self, key: usize, limit: u64) -> KeyRecord {
        let mut policy = KeyPolicy::new("shop".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(limit).unwrap());
        let text = self.keys[key].expose();
        KeyRecord {
            id: self.id(key),
            digest: self.engine.secret().digest_key(text.as_bytes()),
            policy,
        }
    }

    pub(super) fn insert(&self, key: usize, limit: u64) {
        let record = self.record(key, limit);
        self.engine.insert_keys(vec![record]).unwrap();
    }

    pub(super) fn decide(&self, key: usize, unix_s: u64, cost: u32) -> Decision {
        let text = self.keys[key].expose();
        let request = Request::new(CLIENT).api_key(text.as_bytes()).cost(cost);
        self.engine.decide_at(&request, unix_s)
    }

    /// The slot of a key, if the engine has it.
    pub(super) fn slot(&self, key: usize) -> Option<u32> {
        let keys = self.engine.keyring.read();
        let found = keys.find(keys.spot(self.id(key)))?;
        Some(found.record().slot())
    }

    pub(super) fn usage(&self) -> UsageLine<'_> {
        self.engine.ledger.usage()
    }
}
