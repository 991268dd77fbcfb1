//! Changes to one key.

use super::published::Draft;
use super::record::{Lists, Record};
use super::{KeyChangeError, Keyring};
use crate::key::KeyId;
use crate::ledger::SlotsAt;
use crate::name::Name;
use crate::policy::KeyPolicy;
use crate::project::{ProjectId, Projects};

impl Keyring {
    /// Changes a key's policy; the new one. In force when this returns. A
    /// revoked key stays revoked.
    pub(crate) fn update(
        &self,
        id: KeyId,
        projects: &Projects,
        change: impl FnOnce(&mut KeyPolicy) -> ProjectId,
    ) -> Result<KeyPolicy, KeyChangeError> {
        // By one reference, so that its parts can be borrowed apart.
        let writer = &mut *self.write();
        let hash = self.hash(id);
        // SAFETY: it is the past of our own writer, whose lock we hold.
        let (at, old) = unsafe { self.block(&writer.past, hash) };
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        writer.arena.reserve(1)?;
        let lists = old.lists(record);
        let before: Name = projects
            .name(record.project())
            .copied()
            .ok_or(KeyChangeError::Unknown(id))?;
        let mut policy = record.policy(before, lists.map(AsRef::as_ref));
        let project = change(&mut policy);
        policy.state = record.state().changed_to(policy.state);
        let packed = Record::new(id, *record.digest(), &policy, project, record.slot());
        // SAFETY: and so we are the writer at turn.
        let mut draft = unsafe { Draft::copy(old, &mut writer.arena) };
        draft.put(packed, Lists::of(&policy), hash);
        // The listed origins never say less than the decisions do.
        self.count_in(&packed, &policy.origins);
        self.publish(draft, hash);
        self.count_out(record, lists);
        self.tally.is_now(policy.state, Some(record.state()));
        writer.past.replaced(at);
        writer.end(&self.present);
        Ok(policy)
    }

    /// Removes a key. Its slot rests until its hours have run out, and is the
    /// key's should it come back.
    pub(crate) fn remove(&self, id: KeyId, slots: SlotsAt<'_>) -> Result<(), KeyChangeError> {
        // By one reference, so that its parts can be borrowed apart.
        let writer = &mut *self.write();
        let hash = self.hash(id);
        // SAFETY: it is the past of our own writer, whose lock we hold.
        let (at, old) = unsafe { self.block(&writer.past, hash) };
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        writer.arena.reserve(1)?;
        // SAFETY: and so we are the writer at turn.
        let mut draft = unsafe { Draft::copy(old, &mut writer.arena) };
        draft.remove(id, |id| self.hash(id));
        self.publish(draft, hash);
        self.count_out(record, old.lists(record));
        self.tally.is_gone(record.state());
        let slot = record.slot();
        writer.past.replaced(at);
        slots.give_back(id, slot);
        writer.end(&self.present);
        Ok(())
    }
}
