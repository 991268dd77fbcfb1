//! Keys: making, changing, rotating and ending them.

use engine::{CidrList, KeyId, KeyPolicy, KeyState, Limit, Name, OriginList, Prefix, SecretKey};
use store::{Actor, Label, StoredKey, Writer};

use super::{Maker, Precondition};
use crate::keystore::default_prefix;
use crate::serve::control::Control;
use crate::serve::control::problem::{Fault, Problem};

/// The longest that an old key works beside the one in its place: a year.
pub(crate) const MAX_OVERLAP_S: u64 = 31_536_000;

/// A key to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) project: Name,
    pub(crate) name: Label,
    pub(crate) hourly_limit: Option<Limit>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) origins: OriginList,
    pub(crate) require_origin: bool,
    pub(crate) ips: CidrList,
    /// The deployment's first, if left out.
    pub(crate) prefix: Option<Prefix>,
}

/// What is to become of a key: what is left out stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyChange {
    pub(crate) project: Option<Name>,
    pub(crate) name: Option<Label>,
    pub(crate) hourly_limit: Option<Option<Limit>>,
    pub(crate) expires_at: Option<Option<u64>>,
    pub(crate) origins: Option<OriginList>,
    pub(crate) require_origin: Option<bool>,
    pub(crate) ips: Option<CidrList>,
}

/// How a key is put in the place of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// How long both work, in seconds; the old one never past its own expiry.
    pub(crate) overlap_s: u64,
    /// When the new one expires; as the old one would have, if left out.
    pub(crate) expires_at: Option<Option<u64>>,
}

impl Control {
    /// Makes a key, within a change.
    ///
    /// # Errors
    ///
    /// 422 for an expiry that is over or a prefix that is not taken, 409 where
    /// there is no room.
    pub(crate) fn create_key_in(
        &self,
        writer: &mut Writer<'_>,
        maker: &Maker,
        new: NewKey,
    ) -> Result<(SecretKey, StoredKey), Problem> {
        let now = self.now();
        let mut faults = future(new.expires_at, now);
        let prefix = match new.prefix {
            None => default_prefix(self.settings()).map_err(Problem::internal)?,
            Some(prefix) => {
                let taken = &self.settings().keys.prefixes;
                if !taken.contains(prefix.as_bytes()) {
                    faults.push(Fault::member(
                        "prefix",
                        "it is none of keys.prefixes, so that the server would refuse the key",
                    ));
                }
                prefix
            }
        };
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let mut policy = KeyPolicy::new(new.project);
        policy.hourly_limit = new.hourly_limit;
        policy.expires_at = new.expires_at;
        policy.origins = new.origins;
        policy.require_origin = new.require_origin;
        policy.ips = new.ips;
        let (key, stored) = self.mint(maker, &prefix, policy, new.name)?;
        writer.add_key(&stored)?;
        self.check_room(writer)?;
        // As it is then.
        Ok((key, writer.key(stored.record.id)?))
    }

    /// Changes a key; as it is then.
    ///
    /// # Errors
    ///
    /// 404, 409 for one that is revoked, 412, 422 for an expiry that is over and
    /// was not there before; those of [`change`](Self::change).
    pub(crate) async fn change_key(
        &self,
        actor: Actor,
        id: KeyId,
        seen: Precondition,
        change: KeyChange,
    ) -> Result<StoredKey, Problem> {
        let control = self.clone();
        self.change(actor, move |writer| {
            let before = writer.key(id)?;
            seen.check(before.revision)?;
            if before.record.policy.state == KeyState::Revoked {
                return Err(store::StoreError::Revoked(id).into());
            }
            let expires_at = change.expires_at.flatten();
            if expires_at != before.record.policy.expires_at {
                refuse_past(expires_at, control.now())?;
            }
            let changed = writer.change_key(id, None, |key| {
                let KeyChange {
                    project,
                    name,
                    hourly_limit,
                    expires_at,
                    origins,
                    require_origin,
                    ips,
                } = change;
                let policy = &mut key.record.policy;
                put(&mut policy.project, project);
                put(&mut policy.hourly_limit, hourly_limit);
                put(&mut policy.expires_at, expires_at);
                put(&mut policy.origins, origins);
                put(&mut policy.require_origin, require_origin);
                put(&mut policy.ips, ips);
                put(&mut key.label, name);
            })?;
            Ok(changed)
        })
        .await
    }

    /// Disables a key, or enables it again; as it is then.
    ///
    /// # Errors
    ///
    /// 404, 409 for one that is revoked, 412; those of [`change`](Self::change).
    pub(crate) async fn set_key_state(
        &self,
        actor: Actor,
        id: KeyId,
        seen: Precondition,
        state: KeyState,
    ) -> Result<StoredKey, Problem> {
        self.change(actor, move |writer| {
            seen.check(writer.key(id)?.revision)?;
            Ok(writer.change_key(id, None, |key| key.record.policy.state = state)?)
        })
        .await
    }

    /// Revokes a key for ever; as it is then. One that was revoked stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// 404, 412; those of [`change`](Self::change).
    pub(crate) async fn revoke_key(
        &self,
        actor: Actor,
        id: KeyId,
        seen: Precondition,
        reason: Option<Label>,
    ) -> Result<StoredKey, Problem> {
        self.change(actor, move |writer| {
            seen.check(writer.key(id)?.revision)?;
            Ok(writer.revoke_key(id, None, reason.as_ref())?)
        })
        .await
    }

    /// Makes a key in the place of another, which works on for a while, within a
    /// change; the new one, and the old one as it is then.
    ///
    /// # Errors
    ///
    /// 404, 409 for a key that does not work, 412, 422 for an expiry that is
    /// over.
    pub(crate) fn rotate_key_in(
        &self,
        writer: &mut Writer<'_>,
        maker: &Maker,
        id: KeyId,
        seen: &Precondition,
        rotation: Rotation,
    ) -> Result<(SecretKey, StoredKey, StoredKey), Problem> {
        let old = writer.key(id)?;
        seen.check(old.revision)?;
        refuse_past(rotation.expires_at.flatten(), self.now())?;
        let mut policy = old.record.policy;
        put(&mut policy.expires_at, rotation.expires_at);
        let (key, stored) = self.mint(maker, &old.prefix, policy, old.label)?;
        let old = writer.rotate_key(id, None, &stored, rotation.overlap_s)?;
        self.check_room(writer)?;
        Ok((key, writer.key(stored.record.id)?, old))
    }

    fn mint(
        &self,
        maker: &Maker,
        prefix: &Prefix,
        policy: KeyPolicy,
        label: Label,
    ) -> Result<(SecretKey, StoredKey), Problem> {
        let secret = self.secret();
        let key = maker.key(prefix, secret)?;
        let stored = StoredKey::of(&key, secret, *prefix, policy, label, self.now());
        Ok((key, stored))
    }

    /// Refuses a change with more keys than the server takes.
    fn check_room(&self, writer: &Writer<'_>) -> Result<(), Problem> {
        crate::keystore::check_number(self.settings(), writer.keys())
            .map_err(|error| Problem::conflict("full", error.to_string()))
    }
}

/// Refuses an expiry that is over.
///
/// # Errors
///
/// 422.
pub(super) fn refuse_past(expires_at: Option<u64>, now: u64) -> Result<(), Problem> {
    let faults = future(expires_at, now);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(faults))
}

/// What is wrong with an expiry that is over.
fn future(expires_at: Option<u64>, now: u64) -> Vec<Fault> {
    let is_over = expires_at.is_some_and(|expires_at| expires_at <= now);
    let fault = || {
        Fault::member(
            "expires_at",
            "it lies in the past: a time to come is wanted; to stop what is there, disable or revoke it",
        )
    };
    is_over.then(fault).into_iter().collect()
}

/// Replaces what is given.
fn put<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}
