//! What an engine can do and a trace cannot say.

use engine::{KeyId, KeyPolicy, KeyState, SecretKey};

use super::{Hours, KnownKey, Oracle, over};
use crate::oracle_forms::in_origins;

/// What a removed key had used.
pub(super) struct Rest {
    hours: Hours,
    /// The hour since which it rests.
    since: u64,
    /// Whether it has rested so long that another key may have its counters.
    free: bool,
}

/// What a key that is put in finds of its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// What the contract says: its own, or nothing where it is new.
    Certain,
    /// Its own, or nothing: they rested for nine hours, after which another key
    /// may have got them. Taken to be its own; see [`Oracle::forget`].
    Either,
}

/// Hours after which another key may get what a removed one has used.
const REST_HOURS: u64 = 9;

impl Oracle {
    /// Puts in a key at a time, or another policy for one that is there, which
    /// keeps its counts.
    pub fn put(&mut self, at: u64, secret: &SecretKey, policy: &KeyPolicy) -> Found {
        let id = secret.id();
        let mut known = KnownKey::new(secret, policy);
        if let Some(before) = self.keys.remove(&id) {
            // It needs no other's counters, but the time is read.
            self.let_rest(at, false);
            known.hours = before.hours;
            if before.state == KeyState::Revoked {
                known.state = KeyState::Revoked;
            }
            self.keys.insert(id, known);
            return Found::Certain;
        }
        self.let_rest(at, true);
        let mut found = Found::Certain;
        if let Some(rest) = self.rests.remove(&id) {
            known.hours = rest.hours;
            if rest.free {
                found = Found::Either;
            }
        }
        self.keys.insert(id, known);
        found
    }

    /// Exempts addresses besides those that always are, in place of those that
    /// were.
    pub fn set_exempt(&mut self, blocks: &[&str]) {
        self.exempt_besides = blocks.iter().map(ToString::to_string).collect();
    }

    /// Removes a key at a time; whether it was there.
    pub fn remove(&mut self, at: u64, id: KeyId) -> bool {
        self.let_rest(at, false);
        let Some(known) = self.keys.remove(&id) else {
            return false;
        };
        let rest = Rest {
            hours: known.hours,
            since: at / 3600,
            free: false,
        };
        self.rests.insert(id, rest);
        true
    }

    /// A reading: what was removed in an hour that has not come yet rests from
    /// now on. Others get it only while keys are put in.
    fn let_rest(&mut self, at: u64, put: bool) {
        let hour = at / 3600;
        for rest in self.rests.values_mut() {
            rest.since = rest.since.min(hour);
            rest.free |= put && rest.since + REST_HOURS <= hour;
        }
    }

    /// Forgets what a key has used.
    pub fn forget(&mut self, id: KeyId) {
        if let Some(known) = self.keys.get_mut(&id) {
            known.hours = Hours::default();
        }
    }

    /// Drops every session that has expired at a time.
    pub fn purge(&mut self, at: u64) {
        self.sessions
            .retain(|_, session| !over(session.expires_at, at));
    }

    /// What is known of a key.
    #[must_use]
    pub fn known(&self, id: KeyId) -> Option<&KnownKey> {
        self.keys.get(&id)
    }

    /// The hours that a key's ring holds, by their numbers.
    #[must_use]
    pub fn hours(&self, id: KeyId) -> Vec<u64> {
        let hours = self.known(id).into_iter().flat_map(|known| known.hours);
        hours.map(|(hour, _)| hour).collect()
    }

    /// How many addresses are blocked at a time.
    #[must_use]
    pub fn blocked(&self, at: u64) -> usize {
        let blocked = |address: &&super::Address| at < address.blocked_until;
        self.addresses.values().filter(blocked).count()
    }

    /// Whether the server's list or any live key lists an origin at a time.
    #[must_use]
    pub fn lists_origin(&self, origin: &str, at: u64) -> bool {
        let live = self
            .keys
            .values()
            .filter(|key| key.state == KeyState::Active && !over(key.expires_at, at));
        let mut listed = live.map(|key| in_origins(&key.origins, origin));
        in_origins(&self.origins, origin) || listed.any(|listed| listed)
    }
}

impl KnownKey {
    /// Units used in an hour, by the hour's number; `None` where the ring holds
    /// a later hour in its place.
    #[must_use]
    pub fn used(&self, hour: u64) -> Option<u64> {
        let (held, used) = self.hours[hour as usize % 8];
        match held.cmp(&hour) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Equal => Some(used),
            std::cmp::Ordering::Greater => None,
        }
    }
}
