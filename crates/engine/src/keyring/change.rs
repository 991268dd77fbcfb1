//! Changes to one key.

use std::sync::atomic::Ordering;

use super::published::Draft;
use super::record::{Lists, Record};
use super::{KeyChangeError, Keyring};
use crate::key::KeyId;
use crate::name::Name;
use crate::policy::KeyPolicy;
use crate::project::{ProjectId, Projects};
use crate::time::Hour;

impl Keyring {
    /// Changes a key's policy; the new one. In force when this returns. A
    /// revoked key stays revoked.
    pub(crate) fn update(
        &self,
        id: KeyId,
        projects: &Projects,
        change: impl FnOnce(&mut KeyPolicy) -> ProjectId,
    ) -> Result<KeyPolicy, KeyChangeError> {
        let mut writer = self.write();
        let hash = self.hash(id);
        // SAFETY: we hold the writers' lock, and reclaim last of all.
        let (at, old) = unsafe { self.block(hash) };
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        let lists = old.lists(record);
        let before: Name = projects
            .name(record.project())
            .copied()
            .ok_or(KeyChangeError::Unknown(id))?;
        let mut policy = record.policy(before, lists.map(AsRef::as_ref));
        let project = change(&mut policy);
        policy.state = record.state().changed_to(policy.state);
        let packed = Record::new(id, *record.digest(), &policy, project, record.slot());
        let mut draft = Draft::copy(old, &mut writer.arena);
        draft.put(packed, Lists::of(&policy), hash);
        self.count_out(record, lists);
        self.count_in(&packed, &policy.origins);
        self.publish(draft, hash);
        writer.past.replaced(at);
        writer.end(&self.present);
        Ok(policy)
    }

    /// Removes a key. Its slot rests until its hours have run out, and is the
    /// key's should it come back.
    pub(crate) fn remove(&self, id: KeyId, hour: Hour) -> Result<(), KeyChangeError> {
        let mut writer = self.write();
        let hash = self.hash(id);
        // SAFETY: we hold the writers' lock, and reclaim last of all.
        let (at, old) = unsafe { self.block(hash) };
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        let mut draft = Draft::copy(old, &mut writer.arena);
        draft.remove(id, |id| self.hash(id));
        self.count_out(record, old.lists(record));
        self.publish(draft, hash);
        writer.slots.give_back(id, record.slot(), hour);
        // Relaxed, as everywhere: a number and no more.
        self.keys.fetch_sub(1, Ordering::Relaxed);
        writer.past.replaced(at);
        writer.end(&self.present);
        Ok(())
    }
}
