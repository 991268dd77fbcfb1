//! Shadow mode: refusals of chosen kinds that are told and not enforced, so
//! that a limit can be tried before it bites.
//!
//! A second and cold step after a refusal, taken only where its kind is in
//! shadow for anybody at all. It asks every check again in the contract's
//! order, and one that is in shadow decides nothing: the first that is enforced
//! does. Where none is left the request is let through, and the decision says
//! what had refused it.
//!
//! What is counted stays as it would be: a guess is a guess, and blocks begin
//! and end as ever. Fails closed: a key that is gone meanwhile, and a ledger
//! whose counts are missing, refuse.

mod walk;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;

use crate::decision::Reason;
use crate::engine::Engine;
use crate::key::KeyId;
use crate::name::Name;
use crate::reasons::ReasonSet;
use crate::sync::{AtomicU32, Mutex, Ordering};

/// Whom a refusal is put in shadow for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowScope {
    /// A key.
    Key(KeyId),
    /// The keys of a project, which need not have any yet.
    Project(Name),
    /// Everybody, those without a key included.
    All,
}

/// A refusal that cannot be put in shadow for whom it was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShadowError {
    /// Revoking a key is final, and being allowed is no refusal.
    Never(Reason),
    /// It is decided before a key is known, so that it can be for everybody
    /// alone.
    OnlyForAll(Reason),
}

/// Which refusals are in shadow, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowPolicy {
    all: ReasonSet,
    projects: HashMap<Name, ReasonSet>,
    keys: HashMap<KeyId, ReasonSet>,
}

impl ShadowPolicy {
    /// The refusals of a key that is known: they can be in shadow for a key, a
    /// project, or all.
    pub const OF_KEYS: ReasonSet = ReasonSet::of(&[
        Reason::DisabledKey,
        Reason::ExpiredKey,
        Reason::OriginDenied,
        Reason::IpDenied,
        Reason::BearerRequired,
        Reason::BearerInvalid,
        Reason::HourlyLimit,
    ]);
    /// The refusals before a key is known: they can be in shadow for all, and
    /// **let everybody in** then, whom the service behind knows nothing of.
    pub const OF_ANYBODY: ReasonSet = ReasonSet::of(&[
        Reason::MissingKey,
        Reason::IpBlocked,
        Reason::MalformedKey,
        Reason::UnknownKey,
    ]);

    /// Puts a refusal in shadow.
    ///
    /// # Errors
    ///
    /// [`Reason::Allowed`] and [`Reason::RevokedKey`] never are, and those of
    /// [`OF_ANYBODY`](Self::OF_ANYBODY) only for all.
    pub fn add(&mut self, scope: ShadowScope, reason: Reason) -> Result<(), ShadowError> {
        let of_keys = Self::OF_KEYS.contains(reason);
        if !of_keys && !Self::OF_ANYBODY.contains(reason) {
            return Err(ShadowError::Never(reason));
        }
        let set = match scope {
            ShadowScope::All => &mut self.all,
            _ if !of_keys => return Err(ShadowError::OnlyForAll(reason)),
            ShadowScope::Project(name) => self.projects.entry(name).or_default(),
            ShadowScope::Key(id) => self.keys.entry(id).or_default(),
        };
        *set = set.with(reason);
        Ok(())
    }

    /// What is in shadow for everybody, whatever the key.
    #[must_use]
    pub fn for_all(&self) -> ReasonSet {
        self.all
    }

    /// What is in shadow for a key of a project.
    #[must_use]
    pub fn for_key(&self, id: KeyId, project: &Name) -> ReasonSet {
        let of_project = self.projects.get(project).copied().unwrap_or_default();
        let of_key = self.keys.get(&id).copied().unwrap_or_default();
        self.all.and(of_project).and(of_key)
    }

    /// Whether it lets requests in that show no good key.
    #[must_use]
    pub fn lets_anybody_in(&self) -> bool {
        Self::OF_ANYBODY
            .iter()
            .any(|reason| self.all.contains(reason))
    }

    /// Whether nothing is in shadow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds().is_empty()
    }

    /// What is in shadow for anybody at all.
    #[must_use]
    pub fn kinds(&self) -> ReasonSet {
        let sets = self.projects.values().chain(self.keys.values());
        sets.fold(self.all, |all, set| all.and(*set))
    }
}

/// The policy in force.
pub(crate) struct Shadow {
    /// What the policy has in shadow for anybody at all: all that a decision
    /// looks at while that is nothing.
    kinds: AtomicU32,
    policy: ArcSwap<ShadowPolicy>,
    /// Held by who replaces both.
    turn: Mutex<()>,
}

impl Shadow {
    /// Nothing is in shadow.
    pub(crate) fn new() -> Self {
        Self {
            kinds: AtomicU32::new(0),
            policy: ArcSwap::default(),
            turn: Mutex::new(()),
        }
    }

    /// Whether anything at all is in shadow.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        // Relaxed: whoever needs the policy asks for the kinds again.
        self.kinds.load(Ordering::Relaxed) != 0
    }

    /// Whether a decision may be a refusal in shadow.
    fn may(&self, reason: Reason) -> bool {
        // Acquire pairs with the Release in `set`: who sees a kind finds its
        // policy, or a later one. Who sees the kinds of the policy before
        // decides by that one, or asks the new one and goes by it.
        self.kinds.load(Ordering::Acquire) >> reason as u32 & 1 != 0
    }

    /// The policy.
    pub(crate) fn policy(&self) -> Arc<ShadowPolicy> {
        self.policy.load_full()
    }

    fn set(&self, policy: ShadowPolicy) {
        // It guards nothing that a panic could leave half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = policy.kinds().to_bits();
        self.policy.store(Arc::new(policy));
        // Release: see `may`.
        self.kinds.store(kinds, Ordering::Release);
    }
}

impl Engine {
    /// Puts refusals in shadow, in place of those that were: they are told by
    /// [`Decision::shadowed`](crate::Decision::shadowed) and let through. In
    /// force when it returns, for every decision that starts later.
    ///
    /// A request that is let through charges its key without regard to the
    /// limit, so what an hour has used may then exceed it. A check that is not
    /// in shadow holds as ever: no limit that is enforced is over-admitted.
    pub fn set_shadow(&self, policy: ShadowPolicy) {
        self.shadow.set(policy);
    }

    /// What is in shadow. Lock-free.
    #[must_use]
    pub fn shadow(&self) -> Arc<ShadowPolicy> {
        self.shadow.policy()
    }
}

impl fmt::Display for ShadowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never(reason) => write!(
                f,
                "{reason} is never put in shadow: only refusals are, and a revoked key stays refused"
            ),
            Self::OnlyForAll(reason) => write!(
                f,
                "{reason} is decided before a key is known, so that it can be put in shadow for all alone"
            ),
        }
    }
}

impl std::error::Error for ShadowError {}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    fn limits() -> ShadowPolicy {
        let mut policy = ShadowPolicy::default();
        policy
            .add(ShadowScope::All, Reason::HourlyLimit)
            .expect("it is a refusal of a key");
        policy
    }

    #[test]
    fn loom_who_sees_a_kind_finds_its_policy() {
        loom::model(|| {
            let shadow = loom::sync::Arc::new(Shadow::new());
            let theirs = shadow.clone();
            let other = loom::thread::spawn(move || theirs.set(limits()));
            if shadow.may(Reason::HourlyLimit) {
                assert!(shadow.policy().for_all().contains(Reason::HourlyLimit));
            }
            other.join().unwrap();
            assert!(shadow.is_on() && shadow.may(Reason::HourlyLimit));
        });
    }
}
