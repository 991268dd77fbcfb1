//! Changes of keys.

use engine::{KeyId, KeyState};
use rusqlite::params;
use serde_json::{Value, json};

use crate::audit::{of_change, of_key};
use crate::error::{Result, StoreError};
use crate::record::{Label, StoredKey};
use crate::rows::{id_column, insert_into, insert_key, list_column, number_column, state_column};
use crate::store::key_by_id;
use crate::writer::{Writer, is_conflict};

impl Writer<'_> {
    /// Adds a key, and its project where that is not there yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyExists`] and [`StoreError::DigestExists`]; the rest of
    /// the change stands, and may go on or be dropped.
    pub fn add_key(&mut self, key: &StoredKey) -> Result<()> {
        let insert = insert_into!("sealed", "keys", "slot", "rev");
        let id = key.record.id;
        match insert_key(&self.transaction, insert, [self.next_slot, self.rev], key) {
            Ok(()) => self.next_slot += 1,
            Err(cause) if is_conflict(&cause) => {
                return match key_by_id(&self.transaction, self.path, id) {
                    Ok(_) => Err(StoreError::KeyExists(id)),
                    Err(StoreError::NoKey(_)) => Err(StoreError::DigestExists(id)),
                    Err(error) => Err(error),
                };
            }
            Err(cause) => return Err(self.sql(cause)),
        }
        self.need_project(key.record.policy.project)?;
        self.note("key.create", &id.to_string(), &of_key(key))
    }

    /// Changes what `change` sets of a key's policy and label; its id, digest,
    /// prefix and times stay. Returns the key as it is then. A key that becomes
    /// revoked gets the time of this change as the time of it. Where all stays
    /// as it was nothing is changed, and its revision stays too.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`]; [`StoreError::Changed`] where a revision is
    /// expected and the key has another; and [`StoreError::Revoked`] where a
    /// revoked key would become anything else.
    pub fn change_key(
        &mut self,
        id: KeyId,
        expected_revision: Option<i64>,
        change: impl FnOnce(&mut StoredKey),
    ) -> Result<StoredKey> {
        let before = self.key(id)?;
        let found = before.revision;
        expect_revision(&before, expected_revision)?;
        let mut key = before.clone();
        change(&mut key);
        let (old, new) = (before.record.policy.state, key.record.policy.state);
        if old.changed_to(new) != new {
            return Err(StoreError::Revoked(id));
        }
        key.record.id = id;
        key.record.digest = before.record.digest;
        key.prefix = before.prefix;
        key.created_at = before.created_at;
        key.replaces = before.replaces;
        key.revision = found;
        match new {
            KeyState::Revoked if old == KeyState::Revoked => {
                key.revoked_at = before.revoked_at;
                key.revoked_reason.clone_from(&before.revoked_reason);
            }
            KeyState::Revoked => key.revoked_at = Some(self.now),
            KeyState::Active | KeyState::Disabled => {
                key.revoked_at = None;
                key.revoked_reason = None;
            }
        }
        let mut changes = of_change(&before, &key);
        if changes.is_empty() {
            return Ok(key);
        }
        key.revision = self.rev;
        self.update_key(&key)?;
        self.need_project(key.record.policy.project)?;
        // A change of its state has a name of its own, and what it says is that.
        if changes.remove("state").is_some() {
            let reason = changes.remove("revoked_reason");
            let details = match (new, reason) {
                (KeyState::Revoked, Some(_)) => {
                    json!({ "reason": key.revoked_reason.as_ref().map(Label::as_str) })
                }
                _ => json!({}),
            };
            let action = match new {
                KeyState::Active => "key.enable",
                KeyState::Disabled => "key.disable",
                KeyState::Revoked => "key.revoke",
            };
            self.note(action, &id.to_string(), &details)?;
        }
        if !changes.is_empty() {
            self.note("key.change", &id.to_string(), &Value::Object(changes))?;
        }
        Ok(key)
    }

    /// Revokes a key for ever, for a reason where one is given. One that was
    /// revoked before stays as it is. Returns the key as it is then.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`], and [`StoreError::Changed`] as for
    /// [`change_key`](Self::change_key).
    pub fn revoke_key(
        &mut self,
        id: KeyId,
        expected_revision: Option<i64>,
        reason: Option<&Label>,
    ) -> Result<StoredKey> {
        self.change_key(id, expected_revision, |key| {
            key.record.policy.state = KeyState::Revoked;
            key.revoked_reason = reason.filter(|reason| !reason.as_str().is_empty()).cloned();
        })
    }

    /// Adds a key in the place of another. Both work for `overlap_s` seconds
    /// from this change, and the old one never past its own expiry. Returns the
    /// old key as it is then.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`]; [`StoreError::Changed`] as for
    /// [`change_key`](Self::change_key); [`StoreError::Unusable`] where the old
    /// key is revoked, disabled or expired; and those of
    /// [`add_key`](Self::add_key). The old key then stays as it was.
    pub fn rotate_key(
        &mut self,
        old: KeyId,
        expected_revision: Option<i64>,
        new: &StoredKey,
        overlap_s: u64,
    ) -> Result<StoredKey> {
        let before = self.key(old)?;
        let policy = &before.record.policy;
        let why = match policy.state {
            KeyState::Revoked => Some("revoked"),
            KeyState::Disabled => Some("disabled"),
            KeyState::Active => policy
                .expires_at
                .is_some_and(|expires_at| expires_at <= self.now)
                .then_some("expired"),
        };
        if let Some(why) = why {
            return Err(StoreError::Unusable { id: old, why });
        }
        expect_revision(&before, expected_revision)?;
        // What can be refused comes first: whoever goes on after an error must
        // not find that the old key ends, and nothing in its place.
        self.add_key(&StoredKey {
            replaces: Some(old),
            ..new.clone()
        })?;
        let end = self.now.saturating_add(overlap_s);
        let end = policy.expires_at.map_or(end, |own| own.min(end));
        let rotated = self.change_key(old, None, |key| {
            key.record.policy.expires_at = Some(end);
        })?;
        let details = json!({ "replaced_by": new.record.id.to_string(), "expires_at": end });
        self.note("key.rotate", &old.to_string(), &details)?;
        Ok(rotated)
    }

    fn update_key(&self, key: &StoredKey) -> Result<()> {
        let policy = &key.record.policy;
        self.transaction
            .prepare_cached(
                "UPDATE keys SET project = ?2, hourly_limit = ?3, expires_at = ?4, state = ?5, \
                 require_origin = ?6, origins = ?7, ips = ?8, name = ?9, revoked_at = ?10, \
                 revoked_reason = ?11, rev = ?12, \
                 seal = row_seal('key', id, digest, prefix, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
                 created_at, ?10, ?11, replaces) WHERE id = ?1",
            )
            .and_then(|mut update| {
                update.execute(params![
                    id_column(key.record.id),
                    policy.project.as_str(),
                    policy
                        .hourly_limit
                        .map(|limit| number_column(limit.units())),
                    policy.expires_at.map(number_column),
                    state_column(policy.state),
                    policy.require_origin,
                    list_column(policy.origins.iter()),
                    list_column(policy.ips.iter()),
                    key.label.as_str(),
                    key.revoked_at.map(number_column),
                    key.revoked_reason.as_ref().map(Label::as_str),
                    self.rev,
                ])
            })
            .map(|_| ())
            .map_err(|cause| self.sql(cause))
    }
}

/// Whether a key has the revision that is expected of it, where one is.
fn expect_revision(key: &StoredKey, expected: Option<i64>) -> Result<()> {
    if expected.is_none_or(|expected| expected == key.revision) {
        return Ok(());
    }
    Err(StoreError::Changed {
        object: key.record.id.to_string(),
        revision: key.revision,
    })
}
