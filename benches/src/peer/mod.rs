//! The peer: the engine's checks, in its order, put together from well-kept
//! crates as a service would: digests in a concurrent map, a limit in each
//! key's record, failures in a second map. It answers what a client must be
//! told, as the engine does.
//!
//! Which map and which limit is open: [`kinds`](crate::kinds) has those that
//! are tried. The rest is as fast as its parts allow: digests are their own
//! hash, addresses go through `ahash`, what few keys have (lists) lies outside
//! of the record, the clock is the coarse one, and whether an address is
//! blocked is read without a lock.

mod failures;
pub mod limit;
pub mod map;

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::net::IpAddr;

use ahash::RandomState;
use engine::{Clock, Reason};

use crate::form::{self, Key, PREFIX};
use crate::keys::Drawn;
use crate::subject::{LIFE_S, SECRET, Scene, Subject};
pub use failures::Failures;
use limit::Limit;
use map::Map;

/// A digest of a key or a token. Whoever does not know the server's secret
/// cannot choose it, so its first word is as good a hash as any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    fn of(secret: &[u8]) -> Self {
        Self(blake3::keyed_hash(&SECRET, secret).into())
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Takes a word for its own hash.
#[derive(Default)]
pub struct FirstWord(u64);

impl Hasher for FirstWord {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// How digests are hashed.
pub type DigestHasher = BuildHasherDefault<FirstWord>;

/// What is kept of a key.
pub struct Record<L> {
    project: u32,
    limit: u32,
    expires_at: Option<u64>,
    /// Empty lists allow all.
    lists: Option<Box<Lists>>,
    revoked: bool,
    disabled: bool,
    require_origin: bool,
    limiter: L,
}

/// What few keys have.
#[derive(Default)]
struct Lists {
    origins: Vec<String>,
    ips: Vec<IpAddr>,
}

impl<L: Limit> Record<L> {
    fn new(limit: u32, now: u64) -> Self {
        Self {
            project: 1,
            limit,
            expires_at: Some(now + LIFE_S),
            lists: None,
            revoked: false,
            disabled: false,
            require_origin: false,
            limiter: L::new(limit),
        }
    }
}

/// What is kept of a session, by its token's digest.
pub struct Session {
    project: u32,
    user: u32,
    expires_at: Option<u64>,
}

/// What a request says.
struct Asked<'a> {
    key: Option<&'a [u8]>,
    client: IpAddr,
    origin: Option<&'a str>,
    bearer: Option<&'a [u8]>,
    needs_user: bool,
}

/// What the peer answers: as much as a service must tell its client and those
/// behind it.
pub struct Answer {
    /// What was decided.
    pub reason: Reason,
    /// The key's project, once the key is known.
    pub project: Option<u32>,
    /// The user of an admitted request.
    pub user: Option<u32>,
    /// What is left to the key, where that was looked at.
    pub budget: Option<Budget>,
    /// Seconds to wait.
    pub retry_after_s: u64,
}

/// What is left of a key's hour.
pub struct Budget {
    /// Units for each hour.
    pub limit: u32,
    /// Units left.
    pub remaining: u32,
    /// Seconds until the next hour.
    pub reset_s: u64,
}

impl Answer {
    /// A refusal that tells nothing else.
    fn refusal(reason: Reason) -> Self {
        Self {
            reason,
            project: None,
            user: None,
            budget: None,
            retry_after_s: 0,
        }
    }
}

/// The peer, of some map for the keys, one for the failures, and a limit.
pub struct Peer<K, F, L> {
    prefixes: Vec<&'static [u8]>,
    exempt: Vec<IpAddr>,
    threshold: u32,
    clock: Clock,
    keys: K,
    sessions: dashmap::DashMap<Digest, Session, DigestHasher>,
    failures: F,
    limit: std::marker::PhantomData<L>,
}

impl<K, F, L> Peer<K, F, L>
where
    K: Map<Digest, Record<L>, Hasher = DigestHasher>,
    F: Map<IpAddr, Failures, Hasher = RandomState>,
    L: Limit,
{
    /// Sets it up.
    pub fn new(scene: &Scene<'_>) -> Self {
        let count = scene.keys.all().len();
        let peer = Self {
            prefixes: vec![PREFIX, b"tk_test"],
            exempt: Vec::new(),
            threshold: scene.state.threshold(),
            clock: scene.clock.clone(),
            keys: K::new(count, DigestHasher::default()),
            sessions: dashmap::DashMap::with_hasher(DigestHasher::default()),
            failures: F::new(scene.others as usize, RandomState::with_seeds(1, 2, 3, 4)),
            limit: std::marker::PhantomData,
        };
        let now = scene.clock.now();
        for key in scene.keys.all() {
            let record = Record::new(scene.state.hourly_limit(), now);
            peer.keys.put(Digest::of(key), record);
        }
        scene.prepare(&peer);
        peer
    }

    fn check(&self, asked: &Asked<'_>) -> Answer {
        let client = asked.client;
        let Some(key) = asked.key.filter(|key| !key.trim_ascii().is_empty()) else {
            return Answer::refusal(Reason::MissingKey);
        };
        let now = self.clock.now();
        if let Some(until) = self.failures.read(&client, Failures::blocked_until)
            && now < until
            && !self.exempt.contains(&client)
        {
            return Answer {
                retry_after_s: until - now,
                ..Answer::refusal(Reason::IpBlocked)
            };
        }
        if !form::is_key(key, &self.prefixes) {
            return self.guess(client, now, Reason::MalformedKey);
        }
        let digest = Digest::of(key);
        let answer = self
            .keys
            .read(&digest, |record| self.known(asked, record, now));
        answer.unwrap_or_else(|| self.guess(client, now, Reason::UnknownKey))
    }

    #[inline]
    fn known(&self, asked: &Asked<'_>, record: &Record<L>, now: u64) -> Answer {
        let refusal = |reason| Answer {
            project: Some(record.project),
            ..Answer::refusal(reason)
        };
        if record.revoked {
            return refusal(Reason::RevokedKey);
        }
        if record.disabled {
            return refusal(Reason::DisabledKey);
        }
        if record.expires_at.is_some_and(|at| at <= now) {
            return refusal(Reason::ExpiredKey);
        }
        let lists = record.lists.as_deref();
        let origin_ok = match asked.origin {
            Some(origin) => lists.is_none_or(|Lists { origins, .. }| {
                origins.is_empty() || origins.iter().any(|listed| listed == origin)
            }),
            None => !record.require_origin,
        };
        if !origin_ok {
            return refusal(Reason::OriginDenied);
        }
        let ip_denied = |Lists { ips, .. }: &Lists| !ips.is_empty() && !ips.contains(&asked.client);
        if lists.is_some_and(ip_denied) {
            return refusal(Reason::IpDenied);
        }
        let mut user = None;
        if asked.needs_user || asked.bearer.is_some() {
            let token = asked.bearer.filter(|token| !token.trim_ascii().is_empty());
            user = token
                .and_then(|token| self.sessions.get(&Digest::of(token)))
                .filter(|session| session.project == record.project)
                .filter(|session| session.expires_at.is_none_or(|at| now < at))
                .map(|session| session.user);
            match (asked.needs_user && user.is_none(), token) {
                (true, None) => return refusal(Reason::BearerRequired),
                (true, Some(_)) => return refusal(Reason::BearerInvalid),
                (false, _) => {}
            }
        }
        let reset_s = 3600 - now % 3600;
        let budget = |remaining| {
            Some(Budget {
                limit: record.limit,
                remaining,
                reset_s,
            })
        };
        match record.limiter.take(now) {
            Some(remaining) => Answer {
                user,
                budget: budget(remaining),
                ..refusal(Reason::Allowed)
            },
            None => Answer {
                retry_after_s: reset_s,
                budget: budget(0),
                ..refusal(Reason::HourlyLimit)
            },
        }
    }

    fn guess(&self, client: IpAddr, now: u64, reason: Reason) -> Answer {
        if !self.exempt.contains(&client) {
            self.failures
                .read_or_default(client, |failures| failures.count(now, self.threshold));
        }
        Answer::refusal(reason)
    }
}

impl<K, F, L> Subject for Peer<K, F, L>
where
    K: Map<Digest, Record<L>, Hasher = DigestHasher>,
    F: Map<IpAddr, Failures, Hasher = RandomState>,
    L: Limit,
{
    fn decide(&self, request: &Drawn) -> Reason {
        let answer = self.check(&Asked {
            key: request.key().map(<[u8; _]>::as_slice),
            client: request.client().into(),
            origin: None,
            bearer: None,
            needs_user: false,
        });
        // The whole answer has to be made, not only its reason.
        black_box(&answer);
        answer.reason
    }

    fn change(&self, key: &Key, hourly_limit: u32) {
        let record = Record::new(hourly_limit, self.clock.now());
        self.keys.put(Digest::of(key), record);
    }
}

#[cfg(test)]
mod tests;
