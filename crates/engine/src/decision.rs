//! What the engine answers.

use std::fmt;

use crate::key::KeyId;
use crate::name::Name;
use crate::project::ProjectId;

/// Why a request was allowed or refused: the words of the contract.
///
/// The numbers are stable and part of the C ABI; 0 is none of them, so that
/// zeroed memory never reads as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reason {
    /// Admitted, and charged by its cost.
    Allowed = 1,
    /// No `api-key` header, or an empty or blank one.
    MissingKey = 2,
    /// The client address is blocked after too many guesses.
    IpBlocked = 3,
    /// Not of a key's form, or sent more than once.
    MalformedKey = 4,
    /// Of the form, but no such key.
    UnknownKey = 5,
    /// The key was revoked.
    RevokedKey = 6,
    /// The key is disabled.
    DisabledKey = 7,
    /// The key has expired.
    ExpiredKey = 8,
    /// The origin is not among those that the key lists, or none was sent
    /// where the key demands one.
    OriginDenied = 9,
    /// The client address is in none of the blocks that the key lists.
    IpDenied = 10,
    /// The endpoint wants a user, and no bearer token was sent.
    BearerRequired = 11,
    /// The bearer token is malformed, unknown, expired or of another project.
    BearerInvalid = 12,
    /// The hour's budget does not hold the request's cost.
    HourlyLimit = 13,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Allowed,
        Self::MissingKey,
        Self::IpBlocked,
        Self::MalformedKey,
        Self::UnknownKey,
        Self::RevokedKey,
        Self::DisabledKey,
        Self::ExpiredKey,
        Self::OriginDenied,
        Self::IpDenied,
        Self::BearerRequired,
        Self::BearerInvalid,
        Self::HourlyLimit,
    ];

    /// The HTTP status: 200, 401, 403 or 429.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Allowed => 200,
            Self::MissingKey
            | Self::MalformedKey
            | Self::UnknownKey
            | Self::RevokedKey
            | Self::DisabledKey
            | Self::ExpiredKey
            | Self::OriginDenied
            | Self::IpDenied => 401,
            Self::BearerRequired | Self::BearerInvalid => 403,
            Self::IpBlocked | Self::HourlyLimit => 429,
        }
    }

    /// The word that stands for the reason in bodies, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::MissingKey => "missing_key",
            Self::IpBlocked => "ip_blocked",
            Self::MalformedKey => "malformed_key",
            Self::UnknownKey => "unknown_key",
            Self::RevokedKey => "revoked_key",
            Self::DisabledKey => "disabled_key",
            Self::ExpiredKey => "expired_key",
            Self::OriginDenied => "origin_denied",
            Self::IpDenied => "ip_denied",
            Self::BearerRequired => "bearer_required",
            Self::BearerInvalid => "bearer_invalid",
            Self::HourlyLimit => "hourly_limit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is left of a limited key's hour after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The key's hourly limit, in units.
    pub limit: u64,
    /// Units left in this hour after the decision.
    pub remaining: u64,
    /// Seconds until the next hour, 1 to 3600.
    pub reset_s: u32,
}

/// The answer to one [`Request`](crate::Request): plain data, no heap, no
/// lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    pub(crate) reason: Reason,
    pub(crate) allow_origin: bool,
    pub(crate) shadowed: Option<Reason>,
    pub(crate) retry_after_s: u32,
    pub(crate) project: Option<ProjectId>,
    pub(crate) key: Option<KeyId>,
    pub(crate) budget: Option<Budget>,
    pub(crate) user: Option<Name>,
}

impl Default for Decision {
    /// A refusal, that of a missing key: to fill a slice with before
    /// [`decide_batch`](crate::Engine::decide_batch) writes to it.
    fn default() -> Self {
        Self::keyless(Reason::MissingKey, false)
    }
}

impl Decision {
    /// A refusal in which no key is known.
    pub(crate) const fn keyless(reason: Reason, allow_origin: bool) -> Self {
        Self {
            reason,
            allow_origin,
            shadowed: None,
            retry_after_s: 0,
            project: None,
            key: None,
            budget: None,
            user: None,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The HTTP status: 200, 401, 403 or 429.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reason.status()
    }

    /// Whether the request is admitted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.reason == Reason::Allowed
    }

    /// What would have refused an admitted request, were it not in shadow: the
    /// first check that failed. See [`Engine::set_shadow`](crate::Engine::set_shadow).
    #[must_use]
    pub fn shadowed(&self) -> Option<Reason> {
        self.shadowed
    }

    /// The key, once one is known: whatever refused it afterwards.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The project of the known key; [`Engine::project`](crate::Engine::project)
    /// says its name.
    #[must_use]
    pub fn project(&self) -> Option<ProjectId> {
        self.project
    }

    /// The user of an admitted request that carried a valid bearer token.
    #[must_use]
    pub fn user(&self) -> Option<&Name> {
        self.user.as_ref()
    }

    /// The budget, where the key has a limit and the request was admitted or
    /// refused for it.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Seconds to wait before another try, on a 429; `u32::MAX` where it is
    /// longer, as only a clock that was set far back can make it, and where a
    /// block never ends.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        (self.status() == 429).then_some(self.retry_after_s)
    }

    /// Whether a browser at the request's origin may read the answer.
    #[must_use]
    pub fn allow_origin(&self) -> bool {
        self.allow_origin
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_words_distinct() {
        let mut words = Vec::new();
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i + 1);
            words.push(reason.as_str());
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn only_allowed_is_200() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string(), reason.as_str());
            assert_eq!(reason.status() == 200, reason == Reason::Allowed);
        }
    }
}
