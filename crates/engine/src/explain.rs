//! The same way as [`decide`](crate::decide), told check by check, for people:
//! nothing is charged, counted or changed.
//!
//! It asks the very questions that a decision asks; that both come to one
//! answer is tested over random requests, each explained before it is decided.

use std::fmt;

use crate::decide::{Bearer, is_blank, listed_by_key, refusal, unless_blank};
use crate::decision::{Budget, Decision, Reason};
use crate::engine::Engine;
use crate::key::{KeyId, MAX_KEY_LEN};
use crate::keyring::Found;
use crate::request::{Credential, Request};
use crate::time::{Hour, until_next_hour};

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It found nothing against the request.
    Passed,
    /// It decided: the request is refused.
    Refused,
    /// An earlier check had decided.
    NotReached,
}

/// One check of the contract, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What is checked, such as "the key's form".
    pub name: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// What was looked at, and why it passed or not; no secret. Empty for a
    /// check that was not reached.
    pub because: String,
}

/// How a request would be decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// What [`Engine::decide_at`] would answer at this moment.
    pub decision: Decision,
}

/// The checks, by what they look at.
const NAMES: [&str; 9] = [
    "the key is sent",
    "the address is not blocked",
    "the key's form",
    "the key is known",
    "the key's state",
    "the origin",
    "the address is listed",
    "the user",
    "the hour's budget",
];

/// What a check says: why the request passes, or the decision and why.
type Outcome<T = ()> = Result<(T, String), Box<(Decision, String)>>;

impl Engine {
    /// Tells how a request would be decided at a time in unix seconds, without
    /// charging, counting or changing anything. Allocates; for people, not for
    /// the way of a request.
    #[must_use]
    pub fn explain_at(&self, request: &Request<'_>, unix_s: u64) -> Explanation {
        let mut told = Vec::with_capacity(NAMES.len());
        let decision = self.walk(request, unix_s, &mut told);
        let refused = !decision.is_allowed();
        let last = told.len();
        let told = told.into_iter().enumerate().map(|(at, because)| {
            let verdict = if refused && at + 1 == last {
                Verdict::Refused
            } else {
                Verdict::Passed
            };
            (verdict, because)
        });
        let rest = std::iter::repeat((Verdict::NotReached, String::new()));
        let checks = NAMES.into_iter().zip(told.chain(rest));
        let checks = checks.map(|(name, (verdict, because))| Check {
            name,
            verdict,
            because,
        });
        Explanation {
            checks: checks.collect(),
            decision,
        }
    }

    /// Goes from check to check until one decides, and tells what each found.
    fn walk(&self, request: &Request<'_>, unix_s: u64, told: &mut Vec<String>) -> Decision {
        macro_rules! pass {
            ($outcome:expr) => {
                match $outcome {
                    Ok((found, because)) => {
                        told.push(because);
                        found
                    }
                    Err(refused) => {
                        let (decision, because) = *refused;
                        told.push(because);
                        return decision;
                    }
                }
            };
        }
        let key = pass!(self.sent(request));
        pass!(self.not_blocked(request, unix_s));
        let (id, key) = pass!(self.of_the_form(request, key, unix_s));
        let keys = self.keyring.read();
        let found = pass!(self.known_key(request, id, key, keys.find(keys.spot(id)), unix_s));
        let listed_by_key = listed_by_key(request, found);
        let mut decision = Decision {
            project: Some(found.record().project()),
            key: Some(id),
            allow_origin: listed_by_key || self.lists_own(request),
            ..Decision::keyless(Reason::Allowed, false)
        };
        // Rows 5 to 7 are one question of a decision: the reason says which of
        // them answered.
        let refused = refusal(request, unix_s, found, listed_by_key);
        let texts = [
            Self::state_text(found, unix_s),
            Self::origin_text(request, found, listed_by_key),
            Self::address_text(request, found),
        ];
        let rows: [&[Reason]; 3] = [
            &[Reason::RevokedKey, Reason::DisabledKey, Reason::ExpiredKey],
            &[Reason::OriginDenied],
            &[Reason::IpDenied],
        ];
        for (text, reasons) in texts.into_iter().zip(rows) {
            told.push(text);
            if let Some(reason) = refused.filter(|reason| reasons.contains(reason)) {
                return Decision { reason, ..decision };
            }
        }
        pass!(self.user(request, found, unix_s, &mut decision));
        pass!(self.budget(request, found, unix_s, &mut decision));
        decision
    }

    fn sent<'r>(&self, request: &Request<'r>) -> Outcome<Option<&'r [u8]>> {
        match unless_blank(request.api_key) {
            Credential::Absent => {
                let text = match request.api_key {
                    Credential::Absent => "no api-key header was sent",
                    _ => "the api-key header is empty or blank",
                };
                let refused = self.keyless(request, Reason::MissingKey);
                Err(Box::new((refused, format!("{text}; that is no guess"))))
            }
            Credential::One(key) => Ok((
                Some(key),
                format!("one api-key header, {} bytes", key.len()),
            )),
            Credential::Repeated => Ok((None, "more than one api-key header".into())),
        }
    }

    fn not_blocked(&self, request: &Request<'_>, unix_s: u64) -> Outcome {
        let case = self.case(request, unix_s);
        let look = case.place.look();
        let ip = request.client.ip();
        if self.exempt.contains(request.client) {
            return Ok(((), format!("{ip} is exempt: its guesses are not counted")));
        }
        match look.blocked_until(unix_s) {
            Some(until) => {
                let wait_s = until.saturating_sub(unix_s);
                let text = format!("{ip} is blocked for {wait_s} more seconds, until {until}");
                Err(Box::new((self.refused_until(request, unix_s, until), text)))
            }
            None => Ok((
                (),
                format!(
                    "{ip} has {}",
                    self.guesses(look.failures(unix_s, &self.window))
                ),
            )),
        }
    }

    /// So many guesses of as many as block.
    fn guesses(&self, count: u64) -> String {
        let threshold = self.window.threshold();
        format!("{count} of {threshold} guesses in the window")
    }

    /// What a guess would do, in words.
    fn guess(&self, request: &Request<'_>, unix_s: u64) -> String {
        if self.exempt.contains(request.client) {
            return "no guess is counted, for the address is exempt".into();
        }
        let look = self.case(request, unix_s).place.look();
        let after = look.failures(unix_s, &self.window) + 1;
        let ends = if after >= self.window.threshold() {
            ", and would block the address"
        } else {
            ""
        };
        format!("this would be a guess: {}{ends}", self.guesses(after))
    }

    fn of_the_form<'r>(
        &self,
        request: &Request<'_>,
        key: Option<&'r [u8]>,
        unix_s: u64,
    ) -> Outcome<(KeyId, &'r [u8])> {
        let why = match key {
            None => "sent more than once".to_owned(),
            Some(key) => match self.forms.take(key) {
                Some(formed) => {
                    let id = formed.id();
                    let text = format!("prefix, length and check are right; its id is {id}");
                    return Ok(((id, formed.key()), text));
                }
                None if key.len() > MAX_KEY_LEN => {
                    format!("{} bytes, where {MAX_KEY_LEN} are the most", key.len())
                }
                None => "prefix, length, characters or check are wrong".to_owned(),
            },
        };
        let text = format!("{why}; {}", self.guess(request, unix_s));
        Err(Box::new((
            self.keyless(request, Reason::MalformedKey),
            text,
        )))
    }

    fn known_key<'k>(
        &self,
        request: &Request<'_>,
        id: KeyId,
        key: &[u8],
        found: Option<Found<'k>>,
        unix_s: u64,
    ) -> Outcome<Found<'k>> {
        let digest = self.secret.digest_key(key);
        let why = match found {
            Some(found) if *found.record().digest() == digest => {
                let project = self.project(found.record().project());
                let text = format!("key {id} of project {project:?}, its digest is right");
                return Ok((found, text));
            }
            Some(_) => format!("there is a key {id}, but of another secret"),
            None => format!("there is no key {id}"),
        };
        let text = format!("{why}; {}", self.guess(request, unix_s));
        Err(Box::new((self.keyless(request, Reason::UnknownKey), text)))
    }

    fn state_text(found: Found<'_>, unix_s: u64) -> String {
        let record = found.record();
        let expiry = match record.expires_at() {
            Some(at) if record.expired(unix_s) => format!("has expired at {at}"),
            Some(at) => format!("expires in {} seconds, at {at}", at.saturating_sub(unix_s)),
            None => "never expires".to_owned(),
        };
        format!("it is {} and {expiry}", record.state().as_str())
    }

    fn origin_text(request: &Request<'_>, found: Found<'_>, listed: bool) -> String {
        let sent = match request.origin {
            None => "no origin was sent".to_owned(),
            Some(origin) if is_blank(origin) => "an empty origin was sent".to_owned(),
            Some(origin) => {
                let shown: String = String::from_utf8_lossy(origin).chars().take(80).collect();
                format!("the origin is {shown:?}")
            }
        };
        let lists = match found.lists().map(|lists| &lists.origins) {
            Some(origins) if !origins.is_empty() => {
                let is = if listed { "is" } else { "is not" };
                format!(
                    "it {is} among the {} that the key lists",
                    origins.iter().count()
                )
            }
            _ => "the key lists none".to_owned(),
        };
        let demanded = if found.record().require_origin() {
            "; the key demands one"
        } else {
            ""
        };
        format!("{sent}; {lists}{demanded}")
    }

    fn address_text(request: &Request<'_>, found: Found<'_>) -> String {
        let ip = request.client.ip();
        match found.lists().map(|lists| &lists.ips) {
            Some(ips) if !ips.is_empty() => {
                let count = ips.iter().count();
                let is = if ips.contains(request.client) {
                    "is"
                } else {
                    "is not"
                };
                format!("{ip} {is} in one of the {count} address blocks that the key lists")
            }
            _ => "the key lists no addresses".to_owned(),
        }
    }

    fn user(
        &self,
        request: &Request<'_>,
        found: Found<'_>,
        unix_s: u64,
        decision: &mut Decision,
    ) -> Outcome {
        let wants = if request.needs_user {
            "the endpoint wants a user"
        } else {
            "the endpoint wants no user"
        };
        let (said, refused) = match self.bearer(request, found.record(), unix_s) {
            Bearer::Absent => (
                "no bearer token was sent".into(),
                Some(Reason::BearerRequired),
            ),
            Bearer::Invalid => (
                "the bearer token is of no live session of the key's project".to_owned(),
                Some(Reason::BearerInvalid),
            ),
            Bearer::User(user) => {
                let said = format!("the bearer token is of user {:?}", user.as_str());
                decision.user = Some(user);
                (said, None)
            }
        };
        let text = format!("{wants}; {said}");
        match refused.filter(|_| request.needs_user) {
            Some(reason) => Err(Box::new((
                Decision {
                    reason,
                    ..*decision
                },
                text,
            ))),
            None => Ok(((), text)),
        }
    }

    fn budget(
        &self,
        request: &Request<'_>,
        found: Found<'_>,
        unix_s: u64,
        decision: &mut Decision,
    ) -> Outcome {
        let (record, hour) = (found.record(), Hour::of(unix_s));
        let reset_s = until_next_hour(unix_s);
        let cost = request.cost;
        let ring = self.ledger.ring(record.slot());
        // `None` inside: the hour's place in the ring is a later hour's.
        let used = ring.map(|ring| ring.used(hour));
        let refuse = |budget, text| {
            let refused = Decision {
                reason: Reason::HourlyLimit,
                retry_after_s: reset_s,
                user: None,
                budget,
                ..*decision
            };
            Err(Box::new((refused, text)))
        };
        let Some(used) = used else {
            return refuse(None, "the key's counts are missing from the ledger".into());
        };
        let Some(limit) = record.limit() else {
            let used = used.map_or("a later hour counts it".into(), |used| {
                format!("{used} used")
            });
            return Ok(((), format!("unlimited; {used}, this would take {cost}")));
        };
        let budget = |remaining| {
            Some(Budget {
                limit,
                remaining,
                reset_s,
            })
        };
        let Some(used) = used else {
            let text =
                format!("this hour is past: a later one has its place in the ring, of {limit}");
            return refuse(budget(0), text);
        };
        let after = used.saturating_add(u64::from(cost));
        let text = format!(
            "{used} of {limit} units used, this would take {cost}; {reset_s} seconds to the next hour"
        );
        if after > limit {
            return refuse(budget(limit.saturating_sub(used)), text);
        }
        decision.budget = budget(limit - after);
        Ok(((), text))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::NotReached => "not reached",
        })
    }
}
