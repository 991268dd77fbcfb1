//! The peer: the engine's checks, in its order, put together from well-known
//! parts as a service would: digests in a DashMap, a governor limiter in each
//! key's record, failures in a second DashMap. It answers what a client must be
//! told, as the engine does.
//!
//! Where there was a choice the faster part was taken: `ahash` in place of the
//! maps' SipHash, a limiter of the key's own in place of a keyed one (limits
//! differ by key, and a keyed one would be a third map), the coarse clock.

use std::hint::black_box;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ahash::RandomState;
use dashmap::DashMap;
use engine::{Clock, Reason};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::form::{self, PREFIX};
use crate::keys::{Drawn, Keys};
use crate::subject::{LIFE_S, SECRET, Subject, THRESHOLD, WINDOW_S};

/// A limiter that says what it leaves.
type Limiter = DefaultDirectRateLimiter<StateInformationMiddleware>;

/// What is kept of a key.
struct Record {
    project: u32,
    revoked: bool,
    disabled: bool,
    expires_at: Option<u64>,
    require_origin: bool,
    origins: Vec<String>,
    ips: Vec<IpAddr>,
    limit: u32,
    limiter: Limiter,
}

/// The failures of an address: one count for each twelfth of the window.
#[derive(Default)]
struct Failures {
    counts: [(u64, u32); 12],
    blocked_until: u64,
}

impl Failures {
    fn count(&mut self, now: u64) {
        let bucket = now / u64::from(WINDOW_S / 12);
        let place = &mut self.counts[(bucket % 12) as usize];
        if place.0 != bucket {
            *place = (bucket, 0);
        }
        place.1 += 1;
        let live = |(at, _): &&(u64, u32)| at + 12 > bucket;
        let failures: u32 = self
            .counts
            .iter()
            .filter(live)
            .map(|(_, count)| count)
            .sum();
        if failures >= THRESHOLD {
            self.counts = Default::default();
            self.blocked_until = now + u64::from(WINDOW_S);
        }
    }
}

/// What is kept of a session, by its token's digest.
struct Session {
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

/// The peer.
pub struct Peer {
    prefixes: Vec<&'static [u8]>,
    exempt: Vec<IpAddr>,
    keys: DashMap<[u8; 32], Record, RandomState>,
    sessions: DashMap<[u8; 32], Session, RandomState>,
    failures: DashMap<IpAddr, Failures, RandomState>,
}

impl Peer {
    fn check(&self, asked: &Asked<'_>) -> Answer {
        let client = asked.client;
        let Some(key) = asked.key.filter(|key| !key.trim_ascii().is_empty()) else {
            return Answer::refusal(Reason::MissingKey);
        };
        let now = Clock::System.now();
        if let Some(failures) = self.failures.get(&client)
            && now < failures.blocked_until
            && !self.exempt.contains(&client)
        {
            return Answer {
                retry_after_s: failures.blocked_until - now,
                ..Answer::refusal(Reason::IpBlocked)
            };
        }
        if !form::is_key(key, &self.prefixes) {
            return self.guess(client, now, Reason::MalformedKey);
        }
        let Some(record) = self.keys.get(&digest(key)) else {
            return self.guess(client, now, Reason::UnknownKey);
        };
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
        let origin_ok = match asked.origin {
            Some(origin) => record.origins.is_empty() || record.origins.iter().any(|o| o == origin),
            None => !record.require_origin,
        };
        if !origin_ok {
            return refusal(Reason::OriginDenied);
        }
        if !record.ips.is_empty() && !record.ips.contains(&client) {
            return refusal(Reason::IpDenied);
        }
        let mut user = None;
        if asked.needs_user || asked.bearer.is_some() {
            let token = asked.bearer.filter(|token| !token.trim_ascii().is_empty());
            user = token
                .and_then(|token| self.sessions.get(&digest(token)))
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
        match record.limiter.check() {
            Ok(state) => Answer {
                user,
                budget: budget(state.remaining_burst_capacity()),
                ..refusal(Reason::Allowed)
            },
            Err(_) => Answer {
                retry_after_s: reset_s,
                budget: budget(0),
                ..refusal(Reason::HourlyLimit)
            },
        }
    }

    fn guess(&self, client: IpAddr, now: u64, reason: Reason) -> Answer {
        if !self.exempt.contains(&client) {
            self.failures.entry(client).or_default().count(now);
        }
        Answer::refusal(reason)
    }
}

/// The digest of a key or a token.
fn digest(key: &[u8]) -> [u8; 32] {
    blake3::keyed_hash(&SECRET, key).into()
}

impl Subject for Peer {
    fn set_up(keys: &Keys, hourly_limit: u32) -> Self {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let quota = Quota::per_hour(NonZeroU32::new(hourly_limit).unwrap_or(NonZeroU32::MIN));
        let expires_at = Some(Clock::System.now() + LIFE_S);
        let peer = Self {
            prefixes: vec![PREFIX, b"tk_test"],
            exempt: Vec::new(),
            keys: DashMap::with_capacity_and_hasher(keys.all().len(), hasher.clone()),
            sessions: DashMap::with_hasher(hasher.clone()),
            failures: DashMap::with_hasher(hasher),
        };
        for key in keys.all() {
            let record = Record {
                project: 1,
                revoked: false,
                disabled: false,
                expires_at,
                require_origin: false,
                origins: Vec::new(),
                ips: Vec::new(),
                limit: quota.burst_size().get(),
                limiter: RateLimiter::direct(quota).with_middleware(),
            };
            peer.keys.insert(digest(key), record);
        }
        peer
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn asked(key: Option<&[u8]>) -> Asked<'_> {
        Asked {
            key,
            client: CLIENT,
            origin: None,
            bearer: None,
            needs_user: false,
        }
    }

    /// A peer whose only record was changed, and its answer.
    fn with(change: impl FnOnce(&mut Record), origin: Option<&str>) -> Reason {
        let keys = Keys::draw(1);
        let peer = Peer::set_up(&keys, 1);
        peer.keys.alter(&digest(&keys.all()[0]), |_, mut record| {
            change(&mut record);
            record
        });
        let answer = peer.check(&Asked {
            origin,
            ..asked(Some(&keys.all()[0]))
        });
        assert_eq!(answer.project, Some(1));
        answer.reason
    }

    #[test]
    fn it_does_the_engine_s_checks() {
        assert_eq!(with(|_| (), None), Reason::Allowed);
        assert_eq!(with(|r| r.revoked = true, None), Reason::RevokedKey);
        assert_eq!(with(|r| r.disabled = true, None), Reason::DisabledKey);
        assert_eq!(with(|r| r.expires_at = Some(1), None), Reason::ExpiredKey);
        assert_eq!(
            with(|r| r.require_origin = true, None),
            Reason::OriginDenied
        );
        let listed = |r: &mut Record| r.origins.push("https://a.test".into());
        assert_eq!(with(listed, Some("https://b.test")), Reason::OriginDenied);
        assert_eq!(with(listed, Some("https://a.test")), Reason::Allowed);
        let elsewhere = |r: &mut Record| r.ips.push(Ipv4Addr::BROADCAST.into());
        assert_eq!(with(elsewhere, None), Reason::IpDenied);
    }

    #[test]
    fn users_are_asked_for_their_sessions() {
        let keys = Keys::draw(1);
        let peer = Peer::set_up(&keys, 9);
        for (token, project, expires_at) in [
            (&b"good"[..], 1, None),
            (b"late", 1, Some(1)),
            (b"other", 2, None),
        ] {
            let session = Session {
                project,
                user: 7,
                expires_at,
            };
            peer.sessions.insert(digest(token), session);
        }
        let with = |bearer, needs_user| {
            let answer = peer.check(&Asked {
                bearer,
                needs_user,
                ..asked(Some(&keys.all()[0]))
            });
            assert_eq!(answer.user, (bearer == Some(b"good")).then_some(7));
            answer.reason
        };
        assert_eq!(with(None, true), Reason::BearerRequired);
        assert_eq!(with(Some(b" "), true), Reason::BearerRequired);
        for token in [&b"none"[..], b"late", b"other"] {
            assert_eq!(with(Some(token), true), Reason::BearerInvalid);
            assert_eq!(with(Some(token), false), Reason::Allowed);
        }
        assert_eq!(with(Some(b"good"), true), Reason::Allowed);
    }

    #[test]
    fn the_budget_is_told() {
        let keys = Keys::draw(1);
        let peer = Peer::set_up(&keys, 2);
        for (reason, remaining) in [
            (Reason::Allowed, 1),
            (Reason::Allowed, 0),
            (Reason::HourlyLimit, 0),
        ] {
            let answer = peer.check(&asked(Some(&keys.all()[0])));
            let budget = answer.budget.unwrap();
            assert_eq!((answer.reason, budget.remaining), (reason, remaining));
            assert_eq!(budget.limit, 2);
            assert!((1..=3600).contains(&budget.reset_s));
        }
    }

    #[test]
    fn guesses_block() {
        let mut peer = Peer::set_up(&Keys::draw(1), 1);
        let guess = asked(Some(b"guess"));
        for _ in 0..THRESHOLD {
            assert_eq!(peer.check(&guess).reason, Reason::MalformedKey);
        }
        assert_eq!(peer.check(&guess).reason, Reason::IpBlocked);
        assert_eq!(peer.check(&asked(None)).reason, Reason::MissingKey);
        peer.exempt.push(CLIENT);
        assert_eq!(peer.check(&guess).reason, Reason::MalformedKey);
    }
}
