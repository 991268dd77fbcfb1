//! The kinds of peer that are tried: in each row the fastest counts.

use std::hint::black_box;

use engine::Reason;

use crate::form::Key;
use crate::keys::Drawn;
use crate::peer::limit::{Counter, Governor, Limit};
use crate::peer::map::{Dash, Map, Papaya, Scc, SccIndex, Whole};
use crate::peer::{Peer, Record};
use crate::subject::{Scene, Subject};

/// A kind of peer.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The map of the keys.
    pub keys: &'static str,
    /// The map of the failures.
    pub failures: &'static str,
    /// What limits a key.
    pub limit: &'static str,
    /// Sets one up.
    pub set_up: fn(&Scene<'_>) -> Box<dyn Subject>,
}

impl Kind {
    /// What it is made of.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} + {} + {}", self.keys, self.failures, self.limit)
    }
}

macro_rules! kind {
    ($keys:ident, $failures:ident, $limit:ident) => {
        Kind {
            keys: <$keys<u8, u8, ahash::RandomState> as Map<u8, u8>>::NAME,
            failures: <$failures<u8, u8, ahash::RandomState> as Map<u8, u8>>::NAME,
            limit: <$limit as Limit>::NAME,
            set_up: |scene| {
                type Subject = Peer<
                    $keys<crate::peer::Digest, Record<$limit>, crate::peer::DigestHasher>,
                    $failures<std::net::IpAddr, crate::peer::Failures, ahash::RandomState>,
                    $limit,
                >;
                Box::new(Subject::new(scene))
            },
        }
    };
}

/// Every map for the keys with every map for the failures and both limits; but
/// for scc's index, which is made for reading, as a map of failures.
pub const KINDS: [Kind; 24] = [
    kind!(Dash, Dash, Counter),
    kind!(Dash, Dash, Governor),
    kind!(Dash, Papaya, Counter),
    kind!(Dash, Papaya, Governor),
    kind!(Dash, Scc, Counter),
    kind!(Dash, Scc, Governor),
    kind!(Papaya, Dash, Counter),
    kind!(Papaya, Dash, Governor),
    kind!(Papaya, Papaya, Counter),
    kind!(Papaya, Papaya, Governor),
    kind!(Papaya, Scc, Counter),
    kind!(Papaya, Scc, Governor),
    kind!(Scc, Dash, Counter),
    kind!(Scc, Dash, Governor),
    kind!(Scc, Papaya, Counter),
    kind!(Scc, Papaya, Governor),
    kind!(Scc, Scc, Counter),
    kind!(Scc, Scc, Governor),
    kind!(SccIndex, Dash, Counter),
    kind!(SccIndex, Dash, Governor),
    kind!(SccIndex, Papaya, Counter),
    kind!(SccIndex, Papaya, Governor),
    kind!(SccIndex, Scc, Counter),
    kind!(SccIndex, Scc, Governor),
];

/// The same with one lock around each map.
pub const WHOLE: Kind = kind!(Whole, Whole, Counter);

/// governor alone: one limiter, and nothing else of what a decision needs.
pub struct GovernorAlone(Governor);

impl GovernorAlone {
    /// A limiter as every key has one.
    #[must_use]
    pub fn new(scene: &Scene<'_>) -> Self {
        Self(Governor::new(scene.state.hourly_limit()))
    }
}

impl Subject for GovernorAlone {
    fn decide(&self, _request: &Drawn) -> Reason {
        match black_box(self.0.take(0)) {
            Some(_) => Reason::Allowed,
            None => Reason::HourlyLimit,
        }
    }

    fn change(&self, _key: &Key, _hourly_limit: u32) {}
}
