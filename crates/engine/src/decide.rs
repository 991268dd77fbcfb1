//! The way of one request through the checks of the contract, in its order:
//! the first that applies decides.
//!
//! Allocates nothing, takes no lock, and cannot panic on any input. Fails
//! closed: what cannot be looked up refuses.

use crate::batch::Shown;
use crate::decision::{Budget, Decision, Reason};
use crate::engine::Engine;
use crate::failures::{Look, Place, Recorded};
use crate::hours::Charge;
use crate::key::{KeyDigest, KeyId};
use crate::keyring::{Found, Lists, Record};
use crate::name::Name;
use crate::net::{CidrList, ClientAddr};
use crate::policy::KeyState;
use crate::request::{Credential, Request};
use crate::time::{Hour, until_next_hour};

/// The longest bearer token that is looked up, in bytes: what bounds the work
/// that a request can cause. A longer one is malformed.
const MAX_TOKEN_LEN: usize = 512;

/// What a bearer token says.
pub(crate) enum Bearer {
    Absent,
    Invalid,
    User(Name),
}

/// A request at a time, and where its address's failures are counted.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) unix_s: u64,
    pub(crate) place: Place<'a>,
}

impl Engine {
    /// Decides about a request at the clock's time, and charges the key if
    /// the request is admitted.
    ///
    /// Allocates nothing once the calling thread has looked a key up, takes no
    /// lock, makes no system call but the clock's.
    ///
    /// Costs one BLAKE3 block (64 bytes) where the key is of the right form. A
    /// bearer token, looked at once the key has passed rows 1 to 7, costs one
    /// for each 64 bytes begun, 8 at most. Beyond that, linear in the lists
    /// that apply: of exempt addresses, and of the server's and the key's
    /// origins and addresses.
    ///
    /// What a client sends is read up to a bound: a key of more than 64 bytes
    /// is malformed, a bearer token of more than 512 invalid, an `Origin` of
    /// more than 320 in no list. The cost so does not grow with longer ones,
    /// but for blanks: a key or token of nothing else is read to its end.
    #[inline]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_when(request, || self.clock.now())
    }

    /// Decides about a request at a given time in unix seconds, which may lie
    /// before that of an earlier call.
    #[inline]
    pub fn decide_at(&self, request: &Request<'_>, unix_s: u64) -> Decision {
        self.decide_when(request, || unix_s)
    }

    /// As [`decide`](Self::decide), and writes the unix second that was read to
    /// `unix_s`, which [`Wire::headers`](crate::wire::Wire::headers) wants; it
    /// stays as it was where the key is missing, for which the time does not
    /// matter.
    #[inline]
    pub fn decide_timed(&self, request: &Request<'_>, unix_s: &mut u64) -> Decision {
        self.decide_when(request, || {
            *unix_s = self.clock.now();
            *unix_s
        })
    }

    /// Decides at a time that is read only if it matters: where the key is
    /// missing, reading it would cost more than all the rest.
    #[inline]
    fn decide_when(&self, request: &Request<'_>, unix_s: impl FnOnce() -> u64) -> Decision {
        match unless_blank(request.api_key) {
            // Row 1: a missing key changes and looks up nothing.
            Credential::Absent => self.missing(request, unix_s),
            Credential::One(key) => self.decide_keyed(request, Some(key), unix_s()),
            Credential::Repeated => self.decide_keyed(request, None, unix_s()),
        }
    }

    /// Rows 2 to 11; `None` for a key that came more than once. Kept apart, so
    /// that the first row can become a part of its caller.
    #[inline(never)]
    fn decide_keyed(&self, request: &Request<'_>, key: Option<&[u8]>, unix_s: u64) -> Decision {
        let case = self.case(request, unix_s);
        // Asked for now, read in row 2: it comes while the key's form is
        // looked at, which reads no table. So with what is asked for below.
        case.place.expect();
        if self.recent.suspects(case.place, unix_s)
            && let Some(until) = self.blocked_until(&case, case.place.look())
        {
            return self.blocked(&case, until);
        }
        let Some(formed) = key.and_then(|key| self.forms.take(key)) else {
            case.place.expect_record();
            let look = case.place.look();
            return match self.blocked_until(&case, look) {
                // Row 2.
                Some(until) => self.blocked(&case, until),
                // Row 3.
                None => self.failure(&case, look, Reason::MalformedKey),
            };
        };
        let keys = self.keyring.read();
        let spot = keys.spot(formed.id());
        // Row 2.
        let look = case.place.look();
        if let Some(until) = self.blocked_until(&case, look) {
            return self.blocked(&case, until);
        }
        let found = keys.find(spot);
        match found {
            Some(found) => self.expect_charge(found.record()),
            None => case.place.expect_record(),
        }
        let digest = self.secret.digest_key(formed.key());
        let mut decision = Decision::default();
        self.compared(&case, look, formed.id(), found, &digest, &mut decision);
        decision
    }

    /// Row 1.
    #[inline(always)]
    pub(crate) fn missing(&self, request: &Request<'_>, unix_s: impl FnOnce() -> u64) -> Decision {
        if self.shadow.is_on() {
            return self.missing_in_shadow(request, unix_s);
        }
        self.keyless(request, Reason::MissingKey)
    }

    /// A request, with its address's place among the failures.
    pub(crate) fn case<'a>(&'a self, request: &'a Request<'a>, unix_s: u64) -> Case<'a> {
        Case {
            request,
            unix_s,
            place: self.place(request.client),
        }
    }

    /// An address's place among the failures.
    pub(crate) fn place(&self, client: ClientAddr) -> Place<'_> {
        self.ledger.failures().place(self.ledger.seeds(), client)
    }

    /// What a request shows of a key.
    pub(crate) fn shown<'r>(&self, request: &Request<'r>) -> Shown<'r> {
        match unless_blank(request.api_key) {
            Credential::Absent => Shown::Missing,
            Credential::Repeated => Shown::Malformed,
            Credential::One(key) => self.forms.take(key).map_or(Shown::Malformed, Shown::Formed),
        }
    }

    /// Asks for the line that charging a key writes.
    pub(crate) fn expect_charge(&self, record: &Record) {
        if let Some(ring) = self.ledger.ring(record.slot()) {
            ring.expect();
        }
    }

    /// Rows 4 to 11, for a key of the right form: its digest, and what the
    /// keyring has under its id. The decision is made where it is wanted: to
    /// copy it there would cost as much as several of the rows.
    #[inline(always)]
    pub(crate) fn compared(
        &self,
        case: &Case<'_>,
        look: Look<'_>,
        id: KeyId,
        found: Option<Found<'_>>,
        digest: &KeyDigest,
        decision: &mut Decision,
    ) {
        match found.filter(|found| found.record().digest() == digest) {
            Some(found) => self.known(case, id, found, decision),
            None => *decision = self.failure(case, look, Reason::UnknownKey),
        }
    }

    /// Rows 5 to 11, once the key is known.
    #[inline(always)]
    fn known(&self, case: &Case<'_>, id: KeyId, found: Found<'_>, decision: &mut Decision) {
        let Case {
            request, unix_s, ..
        } = *case;
        let record = found.record();
        let listed_by_key = listed_by_key(request, found);
        *decision = Decision {
            project: Some(record.project()),
            key: Some(id),
            ..Decision::keyless(Reason::Allowed, listed_by_key || self.lists_own(request))
        };
        // Rows 5 to 7.
        if let Some(reason) = refusal(request, unix_s, found, listed_by_key) {
            return self.refuse(case, reason, decision);
        }
        // Rows 8 and 9.
        match (self.bearer(request, record, unix_s), request.needs_user) {
            (Bearer::User(user), _) => decision.user = Some(user),
            (Bearer::Absent, true) => return self.refuse(case, Reason::BearerRequired, decision),
            (Bearer::Invalid, true) => return self.refuse(case, Reason::BearerInvalid, decision),
            (Bearer::Absent | Bearer::Invalid, false) => {}
        }
        // Rows 10 and 11.
        self.charge(case, record, decision);
    }

    /// Turns what would be allowed into a refusal, unless that is in shadow.
    #[inline(always)]
    fn refuse(&self, case: &Case<'_>, reason: Reason, decision: &mut Decision) {
        decision.reason = reason;
        if self.shadow.is_on() {
            self.decide_in_shadow(case.request, case.unix_s, decision);
        }
    }

    /// Charges the key, and turns what would be allowed into a refusal where
    /// that fails.
    #[inline(always)]
    fn charge(&self, case: &Case<'_>, record: &Record, decision: &mut Decision) {
        let request = case.request;
        let hour = Hour::of(case.unix_s);
        let reset_s = until_next_hour(case.unix_s);
        let ring = self.ledger.ring(record.slot());
        let usage = || self.ledger.usage();
        let charge = match (ring, record.limit()) {
            (Some(ring), None) => return ring.count(hour, request.cost, usage),
            (Some(ring), Some(limit)) => {
                Some((limit, ring.charge(hour, request.cost, limit, usage)))
            }
            // Every record's slot lies in the ledger; were one not to, nothing
            // could be charged, and so nothing is admitted.
            (None, _) => None,
        };
        decision.budget = charge.map(|(limit, charge)| Budget {
            limit,
            remaining: charge.remaining(),
            reset_s,
        });
        if !matches!(charge, Some((_, Charge::Admitted { .. }))) {
            decision.retry_after_s = reset_s;
            decision.user = None;
            self.refuse(case, Reason::HourlyLimit, decision);
        }
    }

    /// What the request's bearer token says about a key's project.
    #[inline]
    pub(crate) fn bearer(&self, request: &Request<'_>, record: &Record, unix_s: u64) -> Bearer {
        match unless_blank(request.bearer) {
            Credential::Absent => Bearer::Absent,
            Credential::One(token) if token.len() <= MAX_TOKEN_LEN => {
                self.bearer_of(token, record, unix_s)
            }
            Credential::One(_) | Credential::Repeated => Bearer::Invalid,
        }
    }

    /// What a bearer token of no more than [`MAX_TOKEN_LEN`] bytes says.
    #[inline(never)]
    fn bearer_of(&self, token: &[u8], record: &Record, unix_s: u64) -> Bearer {
        let digest = self.secret.digest_token(token);
        match self.sessions.find(&digest) {
            Some(session) if session.is_live(unix_s) && session.project == record.project() => {
                Bearer::User(session.user)
            }
            _ => Bearer::Invalid,
        }
    }

    /// Counts a guess. The answer is `reason` for the first `threshold` of
    /// them, and that of a blocked address for those that came at the same
    /// time as the last one, but after it.
    pub(crate) fn failure(&self, case: &Case<'_>, look: Look<'_>, reason: Reason) -> Decision {
        if !self.exempt.contains(case.request.client) {
            match case.place.record(look, case.unix_s, &self.window) {
                Recorded::Counted => {}
                Recorded::Began { until } => {
                    self.recent.note(case.place, until);
                    self.lately.note(case.request.client);
                }
                Recorded::Blocked { until } => return self.blocked(case, until),
            }
        }
        if self.shadow.is_on() {
            return self.failure_in_shadow(case, reason);
        }
        self.keyless(case.request, reason)
    }

    /// When the block of the request's address ends, if it is blocked.
    pub(crate) fn blocked_until(&self, case: &Case<'_>, look: Look<'_>) -> Option<u64> {
        let until = look.blocked_until(case.unix_s)?;
        // An address may have been exempted only after it was blocked.
        (!self.exempt.contains(case.request.client)).then_some(until)
    }

    #[inline(always)]
    pub(crate) fn blocked(&self, case: &Case<'_>, until: u64) -> Decision {
        // As after a restart, or where another process has blocked it.
        if self.recent.note(case.place, until) {
            self.lately.note(case.request.client);
        }
        if self.shadow.is_on() {
            return self.blocked_in_shadow(case, until);
        }
        self.refused_until(case.request, case.unix_s, until)
    }

    /// The refusal of a blocked address.
    pub(crate) fn refused_until(&self, request: &Request<'_>, unix_s: u64, until: u64) -> Decision {
        // Behind its end a block stands only if it never ends: one less than
        // nothing is then more than 32 bits tell.
        let less_one = until.wrapping_sub(unix_s).wrapping_sub(1);
        Decision {
            retry_after_s: u32::try_from(less_one).map_or(u32::MAX, |s| s.saturating_add(1)),
            ..self.keyless(request, Reason::IpBlocked)
        }
    }

    /// A refusal before any key is known: only the server's own list of
    /// origins applies.
    pub(crate) fn keyless(&self, request: &Request<'_>, reason: Reason) -> Decision {
        Decision::keyless(reason, self.lists_own(request))
    }

    pub(crate) fn lists_own(&self, request: &Request<'_>) -> bool {
        request
            .origin
            .is_some_and(|origin| self.origins.lists(origin))
    }
}

/// Whether a known key lists the request's origin.
#[inline(always)]
pub(crate) fn listed_by_key(request: &Request<'_>, found: Found<'_>) -> bool {
    let listed = |lists: &Lists| request.origin.is_some_and(|o| lists.origins.lists(o));
    found.lists().is_some_and(listed)
}

/// Why a known key is refused whatever its user and budget are: rows 5 to 7.
#[inline(always)]
pub(crate) fn refusal(
    request: &Request<'_>,
    unix_s: u64,
    found: Found<'_>,
    listed_by_key: bool,
) -> Option<Reason> {
    // Row 5.
    match found.record().state() {
        KeyState::Revoked => return Some(Reason::RevokedKey),
        KeyState::Disabled => return Some(Reason::DisabledKey),
        KeyState::Active if found.record().expired(unix_s) => return Some(Reason::ExpiredKey),
        KeyState::Active => {}
    }
    // Row 6.
    if origin_denied(request, found, listed_by_key) {
        return Some(Reason::OriginDenied);
    }
    // Row 7.
    ip_denied(request, found).then_some(Reason::IpDenied)
}

/// All that speaks against a known key in rows 5 to 7, in their order.
pub(crate) fn refusals(
    request: &Request<'_>,
    unix_s: u64,
    found: Found<'_>,
    listed_by_key: bool,
) -> impl Iterator<Item = Reason> {
    let state = match found.record().state() {
        KeyState::Revoked => Some(Reason::RevokedKey),
        KeyState::Disabled => Some(Reason::DisabledKey),
        KeyState::Active => None,
    };
    let found = [
        state,
        found.record().expired(unix_s).then_some(Reason::ExpiredKey),
        origin_denied(request, found, listed_by_key).then_some(Reason::OriginDenied),
        ip_denied(request, found).then_some(Reason::IpDenied),
    ];
    found.into_iter().flatten()
}

/// Row 6. An empty or blank header names no origin: neither one of a list nor
/// the one that is demanded.
#[inline(always)]
fn origin_denied(request: &Request<'_>, found: Found<'_>, listed_by_key: bool) -> bool {
    let names_origin = request.origin.is_some_and(|origin| !is_blank(origin));
    let lists = found.lists();
    let lists_origins = lists.is_some_and(|lists| !lists.origins.is_empty());
    request.origin.is_some() && lists_origins && !listed_by_key
        || found.record().require_origin() && !names_origin
}

/// Row 7.
#[inline(always)]
fn ip_denied(request: &Request<'_>, found: Found<'_>) -> bool {
    let denied = |ips: &CidrList| !ips.is_empty() && !ips.contains(request.client);
    found.lists().is_some_and(|lists| denied(&lists.ips))
}

/// A header that holds nothing but blanks is as good as absent.
#[inline]
pub(crate) fn unless_blank(header: Credential<'_>) -> Credential<'_> {
    match header {
        Credential::One(value) if is_blank(value) => Credential::Absent,
        other => other,
    }
}

/// Whether a header's value is empty or nothing but blanks.
#[inline]
pub(crate) fn is_blank(value: &[u8]) -> bool {
    match value {
        [] => true,
        [b' ' | b'\t', ..] => only_blanks(value),
        _ => false,
    }
}

/// Kept apart, for hardly any value begins with a blank.
#[cold]
fn only_blanks(value: &[u8]) -> bool {
    value.iter().all(|b| matches!(b, b' ' | b'\t'))
}
