//! The keys: read by every decision, written seldom.
//!
//! A hash table in shards, each an immutable snapshot behind [`ArcSwap`]. A
//! reader holds one shard for one decision and so sees wholly the old or
//! wholly the new key; a writer replaces the one shard that its change falls
//! into, which copies kilobytes whatever the number of keys. Where shards grow
//! past [`SHARD_KEYS`] the whole is laid out anew in more of them.
//!
//! Writers take turns at a lock that no reader takes. What they replace they
//! keep until nobody reads it, and drop it themselves: no decision pays for
//! freeing a table.

mod error;
mod origins;
mod record;
mod shard;
mod slots;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ahash::RandomState;
use arc_swap::{ArcSwap, Guard};

use crate::key::KeyId;
use crate::name::Name;
use crate::origin::HostFirst;
use crate::policy::{KeyPolicy, KeyRecord, KeyState};
use crate::project::{ProjectId, Projects};
use crate::time::Hour;

pub use error::KeyChangeError;
use origins::ListedOrigins;
use record::Lists;
pub(crate) use record::Record;
use shard::Shard;
use slots::{Slots, Taken};

/// Keys in a shard, on the average, above which the keyring gets more shards.
const SHARD_KEYS: usize = 1024;
/// Keys in a shard, on the average, after it got more.
const NEW_SHARD_KEYS: usize = 256;

/// What to do with a key of an id that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Replace,
}

/// The keys.
pub(crate) struct Keyring {
    root: ArcSwap<Root>,
    hasher: RandomState,
    writer: Mutex<Writer>,
    /// Beside the writer's state, since preflights read it.
    origins: RwLock<ListedOrigins>,
}

/// A key that is about to be put into its shard.
struct Placed {
    shard: usize,
    hash: u64,
    slot: u32,
    project: ProjectId,
    record: KeyRecord,
}

/// The shards: a power of two of them, chosen by the hash's upper bits.
struct Root {
    shards: Box<[ArcSwap<Shard>]>,
}

/// What only the writer at turn touches.
struct Writer {
    slots: Slots,
    max_keys: u32,
    keys: usize,
    /// Replaced, and perhaps still read.
    retired: Vec<Arc<Shard>>,
    retired_roots: Vec<Arc<Root>>,
}

/// One shard, held for one decision.
pub(crate) struct Snapshot {
    shard: Guard<Arc<Shard>>,
    hash: u64,
}

impl Snapshot {
    /// The record of the id that the snapshot was taken for.
    pub(crate) fn find(&self, id: KeyId) -> Option<&Record> {
        self.shard.find(id, self.hash)
    }

    /// Asks for the line in which the search for the id begins.
    pub(crate) fn expect(&self) {
        self.shard.expect(self.hash);
    }

    /// A record's allow lists, if it has any.
    pub(crate) fn lists(&self, record: &Record) -> Option<&Lists> {
        self.shard.lists(record)
    }
}

impl Root {
    fn new(shards: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(|| ArcSwap::from_pointee(Shard::with_room_for(0)))
                .take(shards.next_power_of_two())
                .collect(),
        }
    }

    fn index(&self, hash: u64) -> usize {
        // Shifting by 64 would be no shift at all: one shard has index 0.
        let bits = self.shards.len().trailing_zeros();
        hash.checked_shr(64 - bits).unwrap_or(0) as usize
    }

    fn shard(&self, hash: u64) -> &ArcSwap<Shard> {
        &self.shards[self.index(hash)]
    }
}

impl Keyring {
    /// An empty keyring. `seeds` come from the operating system's random
    /// source, so that nobody can choose ids that fall together.
    pub(crate) fn new(seeds: [u64; 4], max_keys: u32) -> Self {
        let [a, b, c, d] = seeds;
        Self {
            root: ArcSwap::from_pointee(Root::new(1)),
            hasher: RandomState::with_seeds(a, b, c, d),
            writer: Mutex::new(Writer {
                slots: Slots::new(max_keys),
                max_keys,
                keys: 0,
                retired: Vec::new(),
                retired_roots: Vec::new(),
            }),
            origins: RwLock::new(ListedOrigins::default()),
        }
    }

    fn hash(&self, id: KeyId) -> u64 {
        self.hasher.hash_one(id.to_bits())
    }

    /// The shard that an id belongs to. Lock-free; allocates only the first
    /// time a thread comes here.
    pub(crate) fn snapshot(&self, id: KeyId) -> Snapshot {
        let hash = self.hash(id);
        let shard = self.root.load().shard(hash).load();
        Snapshot { shard, hash }
    }

    /// Takes the writers' lock. Poison is passed over: a change is prepared in
    /// full before its first part is published, and each part is whole.
    fn write(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.write().keys
    }

    /// Whether a live key lists an origin at a time.
    pub(crate) fn lists_origin(&self, origin: &[u8], now: u64) -> bool {
        // Read before the lock is taken: what a stranger sends holds it for a
        // few look-ups only.
        HostFirst::of(origin).is_some_and(|origin| {
            let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
            origins.lists(&origin, now)
        })
    }

    /// A key's policy.
    pub(crate) fn policy(&self, id: KeyId, projects: &Projects) -> Option<KeyPolicy> {
        let snapshot = self.snapshot(id);
        let record = snapshot.find(id)?;
        let project = projects.name(record.project())?;
        Some(record.policy(*project, snapshot.lists(record)))
    }

    /// Adds keys, or replaces those already there if `existing` says so; all
    /// or none. A key that is replaced keeps its slot, and stays revoked if it
    /// is; one that comes back gets its own slot while no other has it. `clear` empties a slot that was another
    /// key's. Each key is in force when this returns; several do not become so
    /// at one instant.
    pub(crate) fn put(
        &self,
        records: Vec<(KeyRecord, ProjectId)>,
        existing: Existing,
        hour: Hour,
        clear: impl Fn(u32),
    ) -> Result<(), KeyChangeError> {
        let mut writer = self.write();
        let slots = self.slots_for(&mut writer, &records, existing, hour, clear)?;
        self.spread(&mut writer);
        let root = self.root.load();
        let mut placed: Vec<_> = records
            .into_iter()
            .zip(slots)
            .map(|((record, project), slot)| {
                let hash = self.hash(record.id);
                Placed {
                    shard: root.index(hash),
                    hash,
                    slot,
                    project,
                    record,
                }
            })
            .collect();
        placed.sort_by_key(|placed| placed.shard);
        for same_shard in placed.chunk_by_mut(|a, b| a.shard == b.shard) {
            self.put_into(&root.shards[same_shard[0].shard], &mut writer, same_shard);
        }
        writer.reclaim();
        Ok(())
    }

    /// Puts what belongs into one shard, and publishes it.
    fn put_into(&self, place: &ArcSwap<Shard>, writer: &mut Writer, records: &mut [Placed]) {
        let old = place.load();
        let mut shard = old.copy_for(records.len(), |id| self.hash(id));
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        for placed in records {
            let KeyRecord { id, digest, policy } = &mut placed.record;
            if let Some(before) = old.find(*id, placed.hash) {
                policy.state = before.state().changed_to(policy.state);
                count_out(&mut origins, before, old.lists(before));
            }
            let packed = Record::new(*id, *digest, policy, placed.project, placed.slot);
            shard.put(packed, Lists::of(policy), placed.hash);
            count_in(&mut origins, &packed, policy);
        }
        drop(origins);
        drop(old);
        writer.retired.push(place.swap(Arc::new(shard)));
    }

    /// Finds a slot for each key: that which it has, or one that is taken now.
    /// Refuses what cannot be done, before anything is changed.
    fn slots_for(
        &self,
        writer: &mut Writer,
        records: &[(KeyRecord, ProjectId)],
        existing: Existing,
        hour: Hour,
        clear: impl Fn(u32),
    ) -> Result<Vec<u32>, KeyChangeError> {
        let mut ids = HashSet::with_capacity(records.len());
        let mut slots = Vec::with_capacity(records.len());
        let mut new = Vec::new();
        for (record, _) in records {
            let id = record.id;
            let slot = self.snapshot(id).find(id).map(Record::slot);
            if !ids.insert(id) || slot.is_some() && existing == Existing::Refuse {
                return Err(KeyChangeError::Duplicate(id));
            }
            if slot.is_none() {
                new.push(id);
            }
            slots.push(slot);
        }
        let max_keys = writer.max_keys;
        let taken = writer.slots.take(&new, hour);
        let taken = taken.ok_or(KeyChangeError::Full { max_keys })?;
        writer.keys += new.len();
        let cleared = |taken: Taken| {
            if taken.anothers {
                clear(taken.slot);
            }
            taken.slot
        };
        // One was taken for each key that had none; a slot that does not exist
        // would refuse.
        let mut taken = taken.into_iter().map(cleared);
        let slot = |known: Option<u32>| known.or_else(|| taken.next()).unwrap_or(u32::MAX);
        Ok(slots.into_iter().map(slot).collect())
    }

    /// Lays the keys out in more shards where they have become too many.
    fn spread(&self, writer: &mut Writer) {
        let old = self.root.load();
        if writer.keys <= old.shards.len() * SHARD_KEYS {
            return;
        }
        let root = Root::new(writer.keys / NEW_SHARD_KEYS);
        let mut moved: Vec<_> = Vec::new();
        for shard in &old.shards {
            let shard = shard.load_full();
            moved.extend(shard.records().map(|record| {
                let hash = self.hash(record.id());
                (root.index(hash), hash, *record, shard.lists_of(record))
            }));
            // Kept here too, or the last reader would have to free it.
            writer.retired.push(shard);
        }
        moved.sort_by_key(|(shard, ..)| *shard);
        for same_shard in moved.chunk_by(|a, b| a.0 == b.0) {
            let mut shard = Shard::with_room_for(same_shard.len());
            for (_, hash, record, lists) in same_shard {
                shard.put(*record, lists.clone(), *hash);
            }
            root.shards[same_shard[0].0].store(Arc::new(shard));
        }
        drop(old);
        let retired = self.root.swap(Arc::new(root));
        writer.retired_roots.push(retired);
    }

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
        let root = self.root.load();
        let place = root.shard(hash);
        let old = place.load();
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        let before: Name = projects
            .name(record.project())
            .copied()
            .ok_or(KeyChangeError::Unknown(id))?;
        let mut policy = record.policy(before, old.lists(record));
        let project = change(&mut policy);
        policy.state = record.state().changed_to(policy.state);
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        let packed = Record::new(id, *record.digest(), &policy, project, record.slot());
        count_out(&mut origins, record, old.lists(record));
        count_in(&mut origins, &packed, &policy);
        drop(origins);
        let mut shard = old.copy_for(0, |id| self.hash(id));
        shard.put(packed, Lists::of(&policy), hash);
        drop(old);
        writer.retired.push(place.swap(Arc::new(shard)));
        writer.reclaim();
        Ok(policy)
    }

    /// Removes a key. Its slot rests until its hours have run out, and is the
    /// key's should it come back.
    pub(crate) fn remove(&self, id: KeyId, hour: Hour) -> Result<(), KeyChangeError> {
        let mut writer = self.write();
        let hash = self.hash(id);
        let root = self.root.load();
        let place = root.shard(hash);
        let old = place.load();
        let record = old.find(id, hash).ok_or(KeyChangeError::Unknown(id))?;
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        count_out(&mut origins, record, old.lists(record));
        drop(origins);
        let slot = record.slot();
        let mut shard = old.copy_for(0, |id| self.hash(id));
        shard.remove(id, |id| self.hash(id));
        drop(old);
        writer.retired.push(place.swap(Arc::new(shard)));
        writer.slots.give_back(id, slot, hour);
        writer.keys -= 1;
        writer.reclaim();
        Ok(())
    }

    /// Drops what was replaced and is no longer read.
    pub(crate) fn reclaim(&self) {
        self.write().reclaim();
    }
}

impl Writer {
    fn reclaim(&mut self) {
        // `swap` has turned every reader's borrowed hold on what it replaced
        // into a counted one, and nobody can take a new one: a count of one is
        // ours alone.
        self.retired_roots
            .retain(|root| Arc::strong_count(root) > 1);
        self.retired.retain(|shard| Arc::strong_count(shard) > 1);
    }
}

/// Counts a key's origins in, if the key is live but for its expiry.
fn count_in(origins: &mut ListedOrigins, record: &Record, policy: &KeyPolicy) {
    if record.state() == KeyState::Active {
        origins.add(&policy.origins, record.expires_at());
    }
}

/// Counts a record's origins out, as they were counted in.
fn count_out(origins: &mut ListedOrigins, record: &Record, lists: Option<&Lists>) {
    if let Some(lists) = lists
        && record.state() == KeyState::Active
    {
        origins.remove(&lists.origins, record.expires_at());
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
