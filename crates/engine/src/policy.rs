//! What a key may do: its limit, its expiry, its state and its lists.

use std::fmt;

use crate::hours::MAX_LIMIT;
use crate::key::{KeyDigest, KeyId};
use crate::name::Name;
use crate::net::CidrList;
use crate::origin::OriginList;

/// Whether a key may be used at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It may.
    #[default]
    Active,
    /// Not now; it can be enabled again.
    Disabled,
    /// Never again.
    Revoked,
}

impl KeyState {
    /// The state as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }

    /// The state after another is asked for: a revoked key stays revoked.
    #[must_use]
    pub const fn changed_to(self, wanted: Self) -> Self {
        match self {
            Self::Revoked => Self::Revoked,
            Self::Active | Self::Disabled => wanted,
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number of units an hour, 0 to [`Limit::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Limit(u64);

/// A limit beyond what a counter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitError(u64);

impl Limit {
    /// The largest limit: 2^36 - 2 (68,719,476,734) units an hour.
    pub const MAX: Self = Self(MAX_LIMIT);

    /// The number of units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Limit {
    type Error = LimitError;

    fn try_from(units: u64) -> Result<Self, LimitError> {
        if units <= MAX_LIMIT {
            Ok(Self(units))
        } else {
            Err(LimitError(units))
        }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a limit of {} units an hour is beyond what a counter holds: \
             at most {MAX_LIMIT}, or none at all",
            self.0
        )
    }
}

impl std::error::Error for LimitError {}

/// What a key may do. Every value is valid: the parts are checked types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The project that the key belongs to. Its name stays in memory for the
    /// life of the engine, also when no key is left that has it.
    pub project: Name,
    /// Units an hour; `None` is unlimited (still counted).
    pub hourly_limit: Option<Limit>,
    /// The unix second from which on the key is refused; `None` is never, and
    /// so is a time past the year 4147 (2^36 seconds).
    pub expires_at: Option<u64>,
    /// Whether the key may be used at all.
    pub state: KeyState,
    /// Whether a request without an `Origin` is refused.
    pub require_origin: bool,
    /// The origins that may use the key; empty is any.
    pub origins: OriginList,
    /// The address blocks that may use the key; empty is any.
    pub ips: CidrList,
}

impl KeyPolicy {
    /// An active, unlimited key of a project, without expiry or lists.
    #[must_use]
    pub fn new(project: Name) -> Self {
        Self {
            project,
            hourly_limit: None,
            expires_at: None,
            state: KeyState::Active,
            require_origin: false,
            origins: OriginList::default(),
            ips: CidrList::default(),
        }
    }
}

impl KeyPolicy {
    /// Whether it lists any origins or addresses.
    pub(crate) fn has_lists(&self) -> bool {
        !self.origins.is_empty() || !self.ips.is_empty()
    }
}

/// A key as the engine keeps it: the public id, the digest of the whole, and
/// the policy.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// The public part.
    pub id: KeyId,
    /// The digest of the whole key under the server secret.
    pub digest: KeyDigest,
    /// What it may do.
    pub policy: KeyPolicy,
}

/// A user's session as the engine keeps it.
#[derive(Clone, Copy, Debug)]
pub struct SessionRecord {
    /// The project whose keys the session goes with; its name stays in memory
    /// as a key's does.
    pub project: Name,
    /// The user that the session speaks for.
    pub user: Name,
    /// The unix second from which on the token is refused; `None` is never.
    pub expires_at: Option<u64>,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn limits_end_where_the_counter_does() {
        for good in [0, 1, u64::from(u32::MAX), MAX_LIMIT] {
            assert_eq!(Limit::try_from(good).unwrap().units(), good);
        }
        for bad in [MAX_LIMIT + 1, u64::MAX] {
            let error = Limit::try_from(bad).unwrap_err();
            assert!(error.to_string().contains(&bad.to_string()));
        }
    }

    #[test]
    fn states_are_shown_by_their_words() {
        use KeyState::{Active, Disabled, Revoked};
        let shown = [Active, Disabled, Revoked].map(|state| state.to_string());
        assert_eq!(shown, ["active", "disabled", "revoked"]);
    }

    #[test]
    fn a_list_of_either_kind_is_a_list() {
        let none = KeyPolicy::new("p".parse().unwrap());
        let mut origins = none.clone();
        origins.origins = OriginList::parse(["https://a.test"]).unwrap();
        let mut ips = none.clone();
        ips.ips = CidrList::parse(["192.0.2.0/24"]).unwrap();
        assert!(!none.has_lists() && origins.has_lists() && ips.has_lists());
    }

    #[test]
    fn revoked_is_for_ever() {
        use KeyState::{Active, Disabled, Revoked};
        assert_eq!(Active.changed_to(Disabled), Disabled);
        assert_eq!(Disabled.changed_to(Active), Active);
        for wanted in [Active, Disabled, Revoked] {
            assert_eq!(Revoked.changed_to(wanted), Revoked);
        }
    }
}
