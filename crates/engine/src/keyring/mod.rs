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

use origins::ListedOrigins;
use record::Lists;
pub(crate) use record::Record;
use shard::Shard;
use slots::Slots;

/// Keys in a shard, on the average, above which the keyring gets more shards.
const SHARD_KEYS: usize = 1024;
/// Keys in a shard, on the average, after it got more.
const NEW_SHARD_KEYS: usize = 256;

/// Why a change to the keys was refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChangeError {
    /// A key of this id is there already, or stands twice in the change.
    Duplicate(KeyId),
    /// No key of this id is there.
    Unknown(KeyId),
    /// There is no slot left for a further key.
    Full {
        /// The configured number of slots.
        max_keys: u32,
    },
}

impl std::fmt::Display for KeyChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Duplicate(id) => write!(f, "there is a key {id} already"),
            Self::Unknown(id) => write!(f, "there is no key {id}"),
            Self::Full { max_keys } => write!(
                f,
                "all {max_keys} key slots are taken (that of a removed key rests for 9 hours): \
                 raise max_keys"
            ),
        }
    }
}

impl std::error::Error for KeyChangeError {}

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
    /// or none. A key that is replaced keeps its slot. Each key is in force
    /// when this returns; several do not become so at one instant.
    pub(crate) fn put(
        &self,
        records: Vec<(KeyRecord, ProjectId)>,
        existing: Existing,
        hour: Hour,
    ) -> Result<(), KeyChangeError> {
        let mut writer = self.write();
        let fresh = self.check(&writer, &records, existing, hour)?;
        writer.keys += fresh;
        self.spread(&mut writer);
        let root = self.root.load();
        let mut placed: Vec<_> = records
            .into_iter()
            .map(|(record, project)| {
                let hash = self.hash(record.id);
                (root.index(hash), hash, record, project)
            })
            .collect();
        placed.sort_by_key(|(shard, ..)| *shard);
        for same_shard in placed.chunk_by(|a, b| a.0 == b.0) {
            self.put_into(&root, &mut writer, same_shard, hour);
        }
        writer.reclaim();
        Ok(())
    }

    /// Puts what belongs into one shard, and publishes it.
    fn put_into(
        &self,
        root: &Root,
        writer: &mut Writer,
        records: &[(usize, u64, KeyRecord, ProjectId)],
        hour: Hour,
    ) {
        let place = &root.shards[records[0].0];
        let old = place.load();
        let mut shard = old.copy_for(records.len(), |id| self.hash(id));
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        for (_, hash, record, project) in records {
            let before = old.find(record.id, *hash);
            let slot = match before {
                Some(before) => {
                    count_out(&mut origins, before, old.lists(before));
                    before.slot()
                }
                // `check` has made sure that there are enough.
                None => writer.slots.take(hour).unwrap_or(u32::MAX),
            };
            let policy = &record.policy;
            let packed = Record::new(record.id, record.digest, policy, *project, slot);
            shard.put(packed, Lists::of(policy), *hash);
            count_in(&mut origins, &packed, policy);
        }
        drop(old);
        writer.retired.push(place.swap(Arc::new(shard)));
    }

    /// Refuses what cannot be done; says how many keys are new.
    fn check(
        &self,
        writer: &Writer,
        records: &[(KeyRecord, ProjectId)],
        existing: Existing,
        hour: Hour,
    ) -> Result<usize, KeyChangeError> {
        let mut ids = HashSet::with_capacity(records.len());
        let mut fresh = 0;
        for (record, _) in records {
            let there = self.snapshot(record.id).find(record.id).is_some();
            if !ids.insert(record.id) || there && existing == Existing::Refuse {
                return Err(KeyChangeError::Duplicate(record.id));
            }
            fresh += usize::from(!there);
        }
        if fresh > writer.slots.available(hour) {
            let max_keys = writer.max_keys;
            return Err(KeyChangeError::Full { max_keys });
        }
        Ok(fresh)
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

    /// Changes a key's policy; the new one. In force when this returns.
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

    /// Removes a key. Its slot rests until its hours have run out.
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
        writer.slots.give_back(slot, hour);
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
