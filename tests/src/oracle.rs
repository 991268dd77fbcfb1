//! The engine's slow twin: the contract written down once more, as plainly as
//! it reads, with maps and lists, for one thread.
//!
//! It shares no code with the engine but the words of its answers and the
//! checked settings that a trace comes with. Where the contract leaves a case
//! open, the reading taken here is marked as such.
//!
//! What an engine can do and a trace cannot say (keys removed and put in again,
//! sessions purged, budgets read) is in [`more`].

pub mod more;
mod shadows;

use std::collections::HashMap;
use std::convert::Infallible;

use more::Rest;
use shadows::Shadows;

use engine::{FailureConfig, KeyId, KeyPolicy, KeyState, Reason, SecretKey, ShadowScope};
use trace::{Answer, Applied, Ask, Change, Config, Key, Session, Subject, Trace};

use crate::oracle_forms::{Unit, has_form, in_blocks, in_origins, unit};

/// A plain model of the contract.
pub struct Oracle {
    prefixes: Vec<String>,
    /// The server's own list.
    origins: Vec<String>,
    exempt: Vec<String>,
    exempt_besides: Vec<String>,
    failures: FailureConfig,
    /// By the id. What a request shows is compared with each, in the clear.
    keys: HashMap<KeyId, KnownKey>,
    /// By the whole token.
    sessions: HashMap<String, KnownSession>,
    /// By the unit in which addresses are counted.
    addresses: HashMap<Unit, Address>,
    /// What removed keys had used, by the id.
    rests: HashMap<KeyId, Rest>,
    /// What is in shadow, and for whom.
    shadow: Vec<(ShadowScope, Reason)>,
    /// What the last request let through was not refused for.
    shadowed: Option<Reason>,
}

/// A key, and what it has used.
pub struct KnownKey {
    id: KeyId,
    whole: String,
    project: String,
    limit: Option<u64>,
    origins: Vec<String>,
    require_origin: bool,
    ips: Vec<String>,
    expires_at: Option<u64>,
    state: KeyState,
    /// By slot: the hour that it holds, and the units used in it.
    hours: Hours,
}

/// Eight slots: hour `h` is in slot `h % 8`.
type Hours = [(u64, u64); 8];

struct KnownSession {
    project: String,
    user: String,
    expires_at: Option<u64>,
}

#[derive(Default)]
struct Address {
    /// By the bucket's number.
    failures: HashMap<u64, u64>,
    blocked_until: u64,
}

/// Whether something that ends at a second has ended.
fn over(end: Option<u64>, at: u64) -> bool {
    end.is_some_and(|end| at >= end)
}

fn refused(reason: Reason, allow_origin: bool) -> Answer {
    Answer {
        status: Some(reason.status()),
        reason: Some(reason),
        key: Some(None),
        user: Some(None),
        limit: Some(None),
        remaining: Some(None),
        reset: Some(None),
        retry_after: Some(None),
        allow_origin: Some(allow_origin),
    }
}

impl Oracle {
    /// The first row of the contract's table that applies.
    fn answer(&mut self, at: u64, ask: &Ask) -> Answer {
        self.shadowed = None;
        let rules = self.shadow.clone();
        let mut shadows = Shadows::new(&rules);
        let listed = |list: &[String]| {
            ask.origin
                .as_deref()
                .is_some_and(|sent| in_origins(list, sent))
        };
        let by_server = listed(&self.origins);

        // 1
        let header = ask
            .api_key
            .as_deref()
            .filter(|header| !header.trim_matches([' ', '\t']).is_empty());
        if header.is_none() && !shadows.lets(Reason::MissingKey) {
            return refused(Reason::MissingKey, by_server);
        }
        // 2
        let exempt = in_blocks(&self.exempt, ask.ip) || in_blocks(&self.exempt_besides, ask.ip);
        let address = self.addresses.entry(unit(ask.ip)).or_default();
        let blocked = !exempt && at < address.blocked_until;
        if blocked && !shadows.lets(Reason::IpBlocked) {
            // A reading: an answer tells of 136 years of waiting at most, as
            // 32 bits hold them.
            let wait_s = (address.blocked_until - at).min(u32::MAX.into());
            return Answer {
                retry_after: Some(Some(wait_s)),
                ..refused(Reason::IpBlocked, by_server)
            };
        }
        // 3 and 4
        let found = header.map(|header| {
            if !has_form(header, &self.prefixes) {
                return Err(Reason::MalformedKey);
            }
            let mut keys = self.keys.values_mut();
            keys.find(|key| key.whole == header)
                .ok_or(Reason::UnknownKey)
        });
        // A reading: attempts during a block do not count, be the block enforced
        // or not.
        if let Some(Err(_)) = found
            && !exempt
            && !blocked
        {
            let failures = &self.failures;
            let window_s = u64::from(failures.window_s);
            address.add(at, window_s);
            if address.count(at, window_s) >= u64::from(failures.threshold) {
                *address = Address {
                    blocked_until: at + u64::from(failures.block_s),
                    ..Address::default()
                };
            }
        }
        let key = match found {
            Some(Ok(key)) => Some(key),
            Some(Err(reason)) if !shadows.lets(reason) => return refused(reason, by_server),
            Some(Err(_)) | None => None,
        };
        // A reading: a blank token is none.
        let token = ask
            .bearer
            .as_deref()
            .filter(|token| !token.trim_matches([' ', '\t']).is_empty());
        let lacking = match token {
            None => Reason::BearerRequired,
            Some(_) => Reason::BearerInvalid,
        };
        let Some(key) = key else {
            // No key, so no project that a user could be of.
            if ask.needs_user && !shadows.lets(lacking) {
                return refused(lacking, by_server);
            }
            self.shadowed = shadows.first;
            return refused(Reason::Allowed, by_server);
        };
        shadows.of(key.id, &key.project);
        let allow_origin = by_server || listed(&key.origins);
        let id = key.id;
        let refused = |reason| Answer {
            key: Some(Some(id)),
            ..refused(reason, allow_origin)
        };
        // 5
        if key.state == KeyState::Revoked {
            return refused(Reason::RevokedKey);
        }
        if key.state == KeyState::Disabled && !shadows.lets(Reason::DisabledKey) {
            return refused(Reason::DisabledKey);
        }
        if over(key.expires_at, at) && !shadows.lets(Reason::ExpiredKey) {
            return refused(Reason::ExpiredKey);
        }
        // 6. A reading: a blank header was sent, but demands are not met by it.
        let sent = ask.origin.is_some();
        let named = ask
            .origin
            .as_deref()
            .is_some_and(|origin| !origin.trim_matches([' ', '\t']).is_empty());
        let denied = sent && !key.origins.is_empty() && !listed(&key.origins)
            || key.require_origin && !named;
        if denied && !shadows.lets(Reason::OriginDenied) {
            return refused(Reason::OriginDenied);
        }
        // 7
        let denied = !key.ips.is_empty() && !in_blocks(&key.ips, ask.ip);
        if denied && !shadows.lets(Reason::IpDenied) {
            return refused(Reason::IpDenied);
        }
        // 8 and 9
        let user = token
            .and_then(|token| self.sessions.get(token))
            .filter(|session| session.project == key.project && !over(session.expires_at, at))
            .map(|session| session.user.clone());
        if ask.needs_user && user.is_none() && !shadows.lets(lacking) {
            return refused(lacking);
        }
        // 10 and 11
        let reset = 3600 - at % 3600;
        let (hour, cost) = (at / 3600, u64::from(ask.cost));
        let (mut admitted, mut left) = key.charge(hour, cost);
        if !admitted && shadows.lets(Reason::HourlyLimit) {
            key.count(hour, cost);
            (admitted, left) = (true, 0);
        }
        let budget = Answer {
            limit: Some(key.limit),
            remaining: Some(key.limit.map(|_| left)),
            reset: Some(key.limit.map(|_| reset)),
            ..refused(Reason::HourlyLimit)
        };
        if admitted {
            self.shadowed = shadows.first;
            Answer {
                status: Some(200),
                reason: Some(Reason::Allowed),
                user: Some(user),
                ..budget
            }
        } else {
            Answer {
                retry_after: Some(Some(reset)),
                ..budget
            }
        }
    }
}

impl KnownKey {
    fn new(secret: &SecretKey, policy: &KeyPolicy) -> Self {
        Self {
            id: secret.id(),
            whole: secret.expose().into(),
            project: policy.project.to_string(),
            limit: policy.hourly_limit.map(engine::Limit::units),
            origins: policy.origins.iter().map(ToString::to_string).collect(),
            require_origin: policy.require_origin,
            ips: policy.ips.iter().map(ToString::to_string).collect(),
            expires_at: policy.expires_at,
            state: policy.state,
            hours: Hours::default(),
        }
    }

    /// Whether a cost is admitted, and what is left of the limit after it.
    ///
    /// A reading: what is admitted takes the slot for its hour, be its cost 0;
    /// what is refused does not.
    fn charge(&mut self, hour: u64, cost: u64) -> (bool, u64) {
        let slot = self.hours[hour as usize % 8];
        let later = slot.0 > hour;
        let used = if slot.0 < hour { 0 } else { slot.1 };
        if let Some(limit) = self.limit {
            if later {
                return (false, 0);
            }
            if used + cost > limit {
                return (false, limit.saturating_sub(used));
            }
        }
        let left = self.limit.map_or(0, |limit| limit - (used + cost));
        self.count(hour, cost);
        (true, left)
    }

    /// Counts a cost without regard to the limit; a late one in the later hour.
    fn count(&mut self, hour: u64, cost: u64) {
        let slot = &mut self.hours[hour as usize % 8];
        let used = if slot.0 < hour { 0 } else { slot.1 };
        *slot = (slot.0.max(hour), used.saturating_add(cost));
    }
}

impl Address {
    /// The failures in the current bucket and the 11 before it.
    fn count(&self, at: u64, window_s: u64) -> u64 {
        let current = at / (window_s / 12);
        let counting = |bucket: u64| (current.saturating_sub(11)..=current).contains(&bucket);
        self.failures
            .iter()
            .filter(|(bucket, _)| counting(**bucket))
            .map(|(_, n)| n)
            .sum()
    }

    /// A reading: memory is bounded to the 12 buckets of a window, so a bucket
    /// gives way when a failure falls into one whole windows away from it.
    fn add(&mut self, at: u64, window_s: u64) {
        let current = at / (window_s / 12);
        self.failures
            .retain(|bucket, _| *bucket == current || bucket % 12 != current % 12);
        *self.failures.entry(current).or_default() += 1;
    }
}

impl Subject for Oracle {
    type Error = Infallible;

    fn build(trace: &Trace) -> Result<Self, Infallible> {
        let Config {
            prefixes,
            origins,
            failures,
        } = &trace.config;
        Ok(Self {
            prefixes: prefixes.iter().map(ToString::to_string).collect(),
            origins: origins.iter().map(ToString::to_string).collect(),
            exempt: failures.exempt.iter().map(ToString::to_string).collect(),
            exempt_besides: Vec::new(),
            failures: failures.clone(),
            keys: HashMap::new(),
            sessions: HashMap::new(),
            addresses: HashMap::new(),
            rests: HashMap::new(),
            shadow: Vec::new(),
            shadowed: None,
        })
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, Infallible> {
        let known = KnownKey::new(&key.secret, &key.policy);
        self.keys.insert(known.id, known);
        Ok(Applied::Yes)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, Infallible> {
        let known = KnownSession {
            project: session.record.project.to_string(),
            user: session.record.user.to_string(),
            expires_at: session.record.expires_at,
        };
        self.sessions.insert(session.token.clone(), known);
        Ok(Applied::Yes)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, Infallible> {
        match change {
            Change::SetState(id, state) => {
                if let Some(key) = self.keys.get_mut(id)
                    && key.state != KeyState::Revoked
                {
                    key.state = *state;
                }
            }
            Change::SetLimit(id, limit) => {
                if let Some(key) = self.keys.get_mut(id) {
                    key.limit = limit.map(engine::Limit::units);
                }
            }
            Change::EndSession(token) => {
                self.sessions.remove(token);
            }
            // A reading: where there is no block, there is nothing to forget.
            Change::Unblock(ip) => {
                self.addresses
                    .retain(|of, address| *of != unit(*ip) || at >= address.blocked_until);
            }
        }
        Ok(Applied::Yes)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, Infallible> {
        Ok(Some(self.answer(at, ask)))
    }
}
