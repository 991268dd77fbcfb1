//! The way of one refused request through the checks once more, of which those
//! in shadow decide nothing.

use crate::decide::{Bearer, Case, listed_by_key, refusals, unless_blank};
use crate::decision::{Budget, Decision, Reason};
use crate::engine::Engine;
use crate::hours::Charge;
use crate::key::KeyId;
use crate::keyring::{Found, Reading};
use crate::reasons::ReasonSet;
use crate::request::{Credential, Request};
use crate::time::{Hour, until_next_hour};

/// The way of one refused request through the checks that are enforced.
struct Walk {
    /// What is in shadow for this request, as far as is known by now.
    set: ReasonSet,
    /// The first refusal that was not enforced.
    first: Option<Reason>,
}

impl Walk {
    /// Whether a check that fails is enforced.
    fn enforces(&mut self, reason: Reason) -> bool {
        if !self.set.contains(reason) {
            return true;
        }
        self.first.get_or_insert(reason);
        false
    }
}

impl Engine {
    /// Row 1 where something is in shadow. Kept apart with the reading of the
    /// time, which a missing key otherwise does without.
    #[cold]
    #[inline(never)]
    pub(crate) fn missing_in_shadow(
        &self,
        request: &Request<'_>,
        unix_s: impl FnOnce() -> u64,
    ) -> Decision {
        let mut decision = self.keyless(request, Reason::MissingKey);
        self.decide_in_shadow(request, unix_s(), &mut decision);
        decision
    }

    /// The answer to a blocked address where something is in shadow.
    #[cold]
    #[inline(never)]
    pub(crate) fn blocked_in_shadow(&self, case: &Case<'_>, until: u64) -> Decision {
        let mut decision = self.refused_until(case.request, case.unix_s, until);
        self.decide_in_shadow(case.request, case.unix_s, &mut decision);
        decision
    }

    /// The answer to a guess where something is in shadow.
    #[cold]
    #[inline(never)]
    pub(crate) fn failure_in_shadow(&self, case: &Case<'_>, reason: Reason) -> Decision {
        let mut decision = self.keyless(case.request, reason);
        self.decide_in_shadow(case.request, case.unix_s, &mut decision);
        decision
    }

    /// Decides again about a request that was refused, without the checks that
    /// are in shadow for it. Leaves any other decision as it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn decide_in_shadow(
        &self,
        request: &Request<'_>,
        unix_s: u64,
        decision: &mut Decision,
    ) {
        if !self.shadow.may(decision.reason) {
            return;
        }
        let policy = self.shadow.policy();
        let mut walk = Walk {
            set: policy.for_all(),
            first: None,
        };
        let refused_for = decision.reason;
        // Rows 1 and 2.
        match refused_for {
            Reason::MissingKey => {
                if walk.enforces(Reason::MissingKey) {
                    return;
                }
                let case = self.case(request, unix_s);
                if let Some(until) = self.blocked_until(&case, case.place.look())
                    && walk.enforces(Reason::IpBlocked)
                {
                    *decision = self.refused_until(request, unix_s, until);
                    return;
                }
            }
            Reason::IpBlocked if walk.enforces(Reason::IpBlocked) => return,
            // Row 2 was passed, be it that this very guess has begun a block.
            _ => {}
        }
        // Rows 3 and 4. A guess was counted, and is not looked at again.
        let keys = self.keyring.read();
        let known = match refused_for {
            Reason::MissingKey => Ok(None),
            Reason::MalformedKey | Reason::UnknownKey => Err(refused_for),
            Reason::IpBlocked => self.known_again(request, &keys).map(Some),
            _ => match self.known_again(request, &keys) {
                Ok(found) => Ok(Some(found)),
                // It was removed meanwhile: what was decided stands.
                Err(_) => return,
            },
        };
        match known {
            Ok(Some((id, found))) => {
                if let Some(project) = self.projects.name(found.record().project()) {
                    walk.set = policy.for_key(id, project);
                }
                self.keyed_in_shadow(request, unix_s, (id, found), walk, decision);
            }
            // During a block no guess is counted.
            Err(reason) if walk.enforces(reason) => *decision = self.keyless(request, reason),
            Ok(None) | Err(_) => self.keyless_in_shadow(request, walk, decision),
        }
    }

    /// The key of a request, if it is known.
    fn known_again<'k>(
        &self,
        request: &Request<'_>,
        keys: &'k Reading<'_>,
    ) -> Result<(KeyId, Found<'k>), Reason> {
        let Credential::One(key) = request.api_key else {
            return Err(Reason::MalformedKey);
        };
        let formed = self.forms.take(key).ok_or(Reason::MalformedKey)?;
        let digest = self.secret.digest_key(formed.key());
        keys.find(keys.spot(formed.id()))
            .filter(|found| *found.record().digest() == digest)
            .map(|found| (formed.id(), found))
            .ok_or(Reason::UnknownKey)
    }

    /// The rest of the way without a key: a user belongs to a key's project, so
    /// that an endpoint that wants one still refuses.
    fn keyless_in_shadow(&self, request: &Request<'_>, mut walk: Walk, decision: &mut Decision) {
        let bearer = match unless_blank(request.bearer) {
            Credential::Absent => Reason::BearerRequired,
            Credential::One(_) | Credential::Repeated => Reason::BearerInvalid,
        };
        *decision = if request.needs_user && walk.enforces(bearer) {
            self.keyless(request, bearer)
        } else {
            Decision {
                shadowed: walk.first,
                ..self.keyless(request, Reason::Allowed)
            }
        };
    }

    /// Rows 5 to 11, of which those in shadow decide nothing.
    fn keyed_in_shadow(
        &self,
        request: &Request<'_>,
        unix_s: u64,
        (id, found): (KeyId, Found<'_>),
        mut walk: Walk,
        decision: &mut Decision,
    ) {
        let record = found.record();
        let listed_by_key = listed_by_key(request, found);
        *decision = Decision {
            project: Some(record.project()),
            key: Some(id),
            ..Decision::keyless(Reason::Allowed, listed_by_key || self.lists_own(request))
        };
        // Rows 5 to 7: each of them, for all that fail have to be in shadow.
        for reason in refusals(request, unix_s, found, listed_by_key) {
            if walk.enforces(reason) {
                decision.reason = reason;
                return;
            }
        }
        // Rows 8 and 9.
        let lacks = match self.bearer(request, record, unix_s) {
            Bearer::User(user) => {
                decision.user = Some(user);
                None
            }
            Bearer::Absent => Some(Reason::BearerRequired),
            Bearer::Invalid => Some(Reason::BearerInvalid),
        };
        if let Some(reason) = lacks.filter(|_| request.needs_user)
            && walk.enforces(reason)
        {
            decision.reason = reason;
            return;
        }
        // Rows 10 and 11.
        let (hour, reset_s) = (Hour::of(unix_s), until_next_hour(unix_s));
        let usage = || self.ledger.usage();
        let budget = |limit, remaining| {
            Some(Budget {
                limit,
                remaining,
                reset_s,
            })
        };
        let refused = match (self.ledger.ring(record.slot()), record.limit()) {
            (Some(ring), None) => {
                ring.count(hour, request.cost, usage);
                false
            }
            (Some(ring), Some(limit)) => match ring.charge(hour, request.cost, limit, usage) {
                Charge::Admitted { remaining } => {
                    decision.budget = budget(limit, remaining);
                    false
                }
                Charge::Refused { remaining } if walk.enforces(Reason::HourlyLimit) => {
                    decision.budget = budget(limit, remaining);
                    true
                }
                Charge::Refused { .. } => {
                    ring.count(hour, request.cost, usage);
                    decision.budget = budget(limit, 0);
                    false
                }
            },
            // Nothing can be counted: that is no refusal of a limit.
            (None, _) => true,
        };
        if refused {
            decision.reason = Reason::HourlyLimit;
            decision.retry_after_s = reset_s;
            decision.user = None;
        } else {
            decision.shadowed = walk.first;
        }
    }
}
