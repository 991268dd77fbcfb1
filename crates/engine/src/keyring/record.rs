//! One key in one cache line.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::mem::offset_of;
use std::sync::Arc;

use crate::hours::MAX_LIMIT;
use crate::key::{KeyDigest, KeyId};
use crate::name::Name;
use crate::net::CidrList;
use crate::origin::OriginList;
use crate::policy::{KeyPolicy, KeyState, Limit};
use crate::project::ProjectId;

/// An expiry that never comes.
const NEVER: u64 = (1 << 36) - 1;

/// Bits of `packed`, from the top: limit (36), upper expiry (4), flags (24).
const LIMIT_SHIFT: u32 = 28;
const EXPIRY_SHIFT: u32 = 24;
/// A limit that says "none": one more than the largest.
const UNLIMITED: u64 = MAX_LIMIT + 1;
const STATE_MASK: u64 = 0b11;
const DISABLED: u64 = 1;
const REVOKED: u64 = 2;
const REQUIRE_ORIGIN: u64 = 1 << 2;

const _: () = assert!(UNLIMITED < 1 << (64 - LIMIT_SHIFT));

/// The allow lists of a key that has any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) origins: OriginList,
    pub(crate) ips: CidrList,
}

impl Lists {
    /// The lists of a policy; `None` where both are empty.
    pub(super) fn of(policy: &KeyPolicy) -> Option<Arc<Self>> {
        policy.has_lists().then(|| {
            Arc::new(Self {
                origins: policy.origins.clone(),
                ips: policy.ips.clone(),
            })
        })
    }
}

/// What the keyring keeps of a key. Lists are reached by an index that is
/// good within the record's block; 0 is none.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Record {
    digest: KeyDigest,
    id: u64,
    packed: u64,
    expiry_low: u32,
    slot: u32,
    project: u32,
    pub(super) lists: u32,
}

const _: () = assert!(size_of::<Record>() == 64 && align_of::<Record>() == 64);

impl Record {
    /// An id that no key has: 62^10 lies far below it.
    pub(super) const EMPTY_ID: u64 = u64::MAX;

    /// A place without a key.
    pub(super) const fn empty() -> Self {
        Self {
            digest: KeyDigest::ZERO,
            id: Self::EMPTY_ID,
            packed: 0,
            expiry_low: 0,
            slot: 0,
            project: 0,
            lists: 0,
        }
    }

    /// A key, as yet without lists.
    pub(super) fn new(
        id: KeyId,
        digest: KeyDigest,
        policy: &KeyPolicy,
        project: ProjectId,
        slot: u32,
    ) -> Self {
        let limit = policy.hourly_limit.map_or(UNLIMITED, Limit::units);
        let expiry = policy.expires_at.map_or(NEVER, |at| at.min(NEVER));
        let state = match policy.state {
            KeyState::Active => 0,
            KeyState::Disabled => DISABLED,
            KeyState::Revoked => REVOKED,
        };
        let origin = if policy.require_origin {
            REQUIRE_ORIGIN
        } else {
            0
        };
        Self {
            digest,
            id: id.to_bits(),
            packed: limit << LIMIT_SHIFT | expiry >> 32 << EXPIRY_SHIFT | state | origin,
            expiry_low: expiry as u32,
            slot,
            project: project.to_bits(),
            lists: 0,
        }
    }

    /// The id; meaningless in an empty place.
    pub(super) fn id(&self) -> KeyId {
        KeyId::from_bits(self.id)
    }

    /// Where the id lies in a record.
    pub(super) fn id_within(record: *mut Self) -> *mut u64 {
        record.wrapping_byte_add(offset_of!(Self, id)).cast()
    }

    /// Writes all but the id to another place.
    ///
    /// # Safety
    ///
    /// `to` is aligned and good for writes, and all but its id is read by
    /// nobody meanwhile.
    pub(super) unsafe fn write_but_id(&self, to: *mut Self) {
        // Named one by one, so that no field can be forgotten.
        let Self {
            digest,
            id: _,
            packed,
            expiry_low,
            slot,
            project,
            lists,
        } = *self;
        // SAFETY: each field lies within `to`, which is the caller's duty.
        #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one proof for all")]
        unsafe {
            (&raw mut (*to).digest).write(digest);
            (&raw mut (*to).packed).write(packed);
            (&raw mut (*to).expiry_low).write(expiry_low);
            (&raw mut (*to).slot).write(slot);
            (&raw mut (*to).project).write(project);
            (&raw mut (*to).lists).write(lists);
        }
    }

    pub(crate) fn digest(&self) -> &KeyDigest {
        &self.digest
    }

    /// The hourly limit in units; `None` is unlimited.
    pub(crate) fn limit(&self) -> Option<u64> {
        let limit = self.packed >> LIMIT_SHIFT;
        (limit != UNLIMITED).then_some(limit)
    }

    fn expiry(&self) -> u64 {
        (self.packed >> EXPIRY_SHIFT & 0xF) << 32 | u64::from(self.expiry_low)
    }

    /// The unix second from which on the key is refused; `None` is never.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        let expiry = self.expiry();
        (expiry != NEVER).then_some(expiry)
    }

    /// Whether the key has expired at a time.
    pub(crate) fn expired(&self, now: u64) -> bool {
        self.expires_at().is_some_and(|at| now >= at)
    }

    pub(crate) fn state(&self) -> KeyState {
        match self.packed & STATE_MASK {
            0 => KeyState::Active,
            DISABLED => KeyState::Disabled,
            // A state that nobody wrote would refuse.
            _ => KeyState::Revoked,
        }
    }

    pub(crate) fn require_origin(&self) -> bool {
        self.packed & REQUIRE_ORIGIN != 0
    }

    /// The number of the key's counters in the ledger.
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    pub(crate) fn project(&self) -> ProjectId {
        ProjectId::from_bits(self.project)
    }

    /// The policy that the record was made from.
    pub(super) fn policy(&self, project: Name, lists: Option<&Lists>) -> KeyPolicy {
        KeyPolicy {
            project,
            hourly_limit: self.limit().and_then(|units| Limit::try_from(units).ok()),
            expires_at: self.expires_at(),
            state: self.state(),
            require_origin: self.require_origin(),
            origins: lists.map(|l| l.origins.clone()).unwrap_or_default(),
            ips: lists.map(|l| l.ips.clone()).unwrap_or_default(),
        }
    }
}

/// A record for tests, told from others by its key's number and its slot.
#[cfg(test)]
pub(super) fn sample(number: u64, slot: u32) -> Record {
    let policy = KeyPolicy::new("p".parse().expect("it is a name"));
    let digest = KeyDigest::from_bytes([number as u8; 32]);
    let id = KeyId::from_bits(number);
    Record::new(id, digest, &policy, ProjectId::from_bits(0), slot)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::key::ServerSecret;

    #[test]
    fn a_policy_survives_the_packing() {
        let digest = ServerSecret::from_bytes([1; 32]).digest_key(b"k");
        let id: KeyId = "0123456789".parse().unwrap();
        let mut policy = KeyPolicy::new("p".parse().unwrap());
        let limits = [
            None,
            Some(0),
            Some(1),
            Some(u64::from(u32::MAX)),
            Some(MAX_LIMIT),
        ];
        let expiries = [None, Some(0), Some(1 << 32), Some((1 << 36) - 2)];
        for limit in limits {
            for expires_at in expiries {
                for state in [KeyState::Active, KeyState::Disabled, KeyState::Revoked] {
                    policy.hourly_limit = limit.map(|units| Limit::try_from(units).unwrap());
                    policy.expires_at = expires_at;
                    policy.state = state;
                    policy.require_origin = !policy.require_origin;
                    let project = ProjectId::from_bits(7);
                    let record = Record::new(id, digest, &policy, project, 9);
                    assert_eq!(record.policy(policy.project, None), policy);
                    assert_eq!((record.slot(), record.project()), (9, project));
                    assert_eq!(
                        record.expired(1 << 32),
                        expires_at.is_some_and(|e| e <= 1 << 32)
                    );
                    assert!(record.id() == id && *record.digest() == digest);
                }
            }
        }
    }

    #[test]
    fn an_expiry_past_the_packing_never_comes() {
        let digest = ServerSecret::from_bytes([1; 32]).digest_key(b"k");
        let mut policy = KeyPolicy::new("p".parse().unwrap());
        policy.expires_at = Some(u64::MAX);
        let project = ProjectId::from_bits(0);
        let record = Record::new("0123456789".parse().unwrap(), digest, &policy, project, 0);
        assert!(!record.expired(u64::MAX));
        assert_eq!(record.policy(policy.project, None).expires_at, None);
    }
}
