//! The same way as [`decide`](crate::decide), told check by check, for people:
//! nothing is charged, counted or changed.
//!
//! It asks the very questions that a decision asks; that both come to one
//! answer is tested over random requests, each explained before it is decided.

mod checks;

use std::fmt;

use crate::decide::{is_blank, listed_by_key, refusals};
use crate::decision::{Decision, Reason};
use crate::engine::Engine;
use crate::key::{KeyId, Prefix};
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
use crate::ledger::LedgerView;
use crate::reasons::ReasonSet;
use crate::request::Request;

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It found nothing against the request.
    Passed,
    /// It would refuse, but is in shadow for this request.
    Shadowed,
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

/// An explanation to be made: of which request, and by what. Made by
/// [`Engine::explaining`].
#[derive(Clone, Copy)]
#[must_use]
pub struct Explaining<'a> {
    engine: &'a Engine,
    request: &'a Request<'a>,
    unix_s: u64,
    /// The key whose secret is taken as shown.
    shown: Option<KeyId>,
    /// Its prefix, where that is not taken as right too.
    prefix: Option<Prefix>,
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    ledger: Option<&'a LedgerView>,
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

impl Engine {
    /// Tells how a request would be decided at a time in unix seconds, without
    /// charging, counting or changing anything. Allocates; for people, not for
    /// the way of a request.
    #[must_use]
    pub fn explain_at(&self, request: &Request<'_>, unix_s: u64) -> Explanation {
        self.explaining(request, unix_s).explain()
    }

    /// The same, to be made by other things than the engine's own.
    pub fn explaining<'a>(&'a self, request: &'a Request<'a>, unix_s: u64) -> Explaining<'a> {
        Explaining {
            engine: self,
            request,
            unix_s,
            shown: None,
            prefix: None,
            #[cfg(all(target_os = "linux", not(any(loom, miri))))]
            ledger: None,
        }
    }
}

impl<'a> Explaining<'a> {
    /// As if the request showed the key of an id: for who does not have its
    /// secret. What the request shows by itself is not looked at.
    pub fn showing(mut self, id: KeyId) -> Self {
        self.shown = Some(id);
        self
    }

    /// With the prefix that the key of [`showing`](Self::showing) has, which may
    /// be none of those that the engine takes. Taken as right, if not said.
    pub fn of_prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// By the units, failures and blocks of a ledger's file in place of the
    /// engine's own, which so need not share it. A key that has no counts there
    /// has used nothing. The file has to be made for the engine's settings:
    /// see [`EngineBuilder::check`](crate::EngineBuilder::check).
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    pub fn counted_in(mut self, ledger: &'a LedgerView) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Makes the explanation.
    #[must_use]
    pub fn explain(self) -> Explanation {
        let mut told = Told {
            rows: Vec::with_capacity(NAMES.len()),
            set: self.engine.shadow.policy().for_all(),
            shadowed: None,
        };
        let decision = self.walk(&mut told);
        let rest = std::iter::repeat((Verdict::NotReached, String::new()));
        let checks = NAMES.into_iter().zip(told.rows.into_iter().chain(rest));
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
    fn walk(self, told: &mut Told) -> Decision {
        let Self {
            engine,
            request,
            unix_s,
            ..
        } = self;
        let (text, is_sent) = self.sent();
        let missing = (!is_sent).then_some(Reason::MissingKey);
        if let Some(reason) = told.tell(text, missing) {
            return engine.keyless(request, reason);
        }
        let (text, blocked) = self.block();
        if told
            .tell(text, blocked.map(|_| Reason::IpBlocked))
            .is_some()
        {
            let until = blocked.unwrap_or(unix_s);
            return engine.refused_until(request, unix_s, until);
        }
        let mut key = None;
        if is_sent {
            let (text, formed) = self.form();
            let malformed = formed.is_none().then_some(Reason::MalformedKey);
            if let Some(reason) = told.tell(text, malformed) {
                return engine.keyless(request, reason);
            }
            key = formed;
        } else {
            told.pass("no key was sent".into());
        }
        let keys = engine.keyring.read();
        let mut found = None;
        if let Some(key) = key {
            let id = key.id();
            let (text, known) = self.known(key, keys.find(keys.spot(id)));
            let unknown = known.is_none().then_some(Reason::UnknownKey);
            if let Some(reason) = told.tell(text, unknown) {
                return engine.keyless(request, reason);
            }
            found = known.map(|found| (id, found));
        } else {
            told.pass("there is no key to look for".into());
        }
        let Some((id, found)) = found else {
            return self.without_key(told);
        };
        if let Some(project) = engine.projects.name(found.record().project()) {
            told.set = engine.shadow.policy().for_key(id, project);
        }
        let listed_by_key = listed_by_key(request, found);
        let mut decision = Decision {
            project: Some(found.record().project()),
            key: Some(id),
            allow_origin: listed_by_key || engine.lists_own(request),
            ..Decision::keyless(Reason::Allowed, false)
        };
        let texts = [
            self.state_text(found),
            self.origin_text(found, listed_by_key),
            self.address_text(found),
        ];
        let rows = [
            ReasonSet::of(&[Reason::RevokedKey, Reason::DisabledKey, Reason::ExpiredKey]),
            ReasonSet::of(&[Reason::OriginDenied]),
            ReasonSet::of(&[Reason::IpDenied]),
        ];
        for (text, of_row) in texts.into_iter().zip(rows) {
            let failing = refusals(request, unix_s, found, listed_by_key);
            let failing = failing.filter(|reason| of_row.contains(*reason));
            if let Some(reason) = told.tell(text, failing) {
                return Decision { reason, ..decision };
            }
        }
        let (text, user, lacks) = self.user(found);
        decision.user = user;
        if let Some(reason) = told.tell(text, lacks) {
            return Decision { reason, ..decision };
        }
        self.budget((id, found), told, decision)
    }

    /// The rest of the way where it goes on without a key.
    fn without_key(self, told: &mut Told) -> Decision {
        for _ in 0..3 {
            told.pass("no key is known whose rules would apply".into());
        }
        let (text, lacks) = self.user_without_key();
        if let Some(reason) = told.tell(text, lacks) {
            return self.engine.keyless(self.request, reason);
        }
        told.pass("no key is known: nothing is charged".into());
        Decision {
            shadowed: told.shadowed,
            ..self.engine.keyless(self.request, Reason::Allowed)
        }
    }
}

/// What was told by now.
struct Told {
    rows: Vec<(Verdict, String)>,
    /// What is in shadow for the request, as far as is known by now.
    set: ReasonSet,
    /// The first refusal that was not enforced.
    shadowed: Option<Reason>,
}

impl Told {
    fn pass(&mut self, because: String) {
        self.rows.push((Verdict::Passed, because));
    }

    fn refuse(&mut self, because: String) {
        self.rows.push((Verdict::Refused, because));
    }

    /// Tells of a check and of all that fails in it; returns what decides.
    fn tell(
        &mut self,
        because: String,
        failing: impl IntoIterator<Item = Reason>,
    ) -> Option<Reason> {
        let mut verdict = Verdict::Passed;
        for reason in failing {
            if !self.set.contains(reason) {
                self.refuse(because);
                return Some(reason);
            }
            self.shadowed.get_or_insert(reason);
            verdict = Verdict::Shadowed;
        }
        self.rows.push((verdict, because));
        None
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Shadowed => "shadowed",
            Self::Refused => "refused",
            Self::NotReached => "not reached",
        })
    }
}
