//! Keys that come in bulk, or one by one: all of them or none.
//!
//! For each record there is a slip of 16 bytes. The slips are sorted by the
//! hash as the directory reads it, its lowest bit first: so those of one block
//! lie together however often it will be split, and the same key's beside each
//! other. Each block is then looked at once to see what is there, and filled
//! once.

use std::sync::atomic::Ordering;

use super::block::{Block, MAX_RECORDS, PLACES};
use super::counted::{BlockRef, Draft};
use super::directory::MAX_DEPTH;
use super::record::{Lists, Record};
use super::{KeyChangeError, Keyring, Writer};
use crate::name::Name;
use crate::policy::KeyRecord;
use crate::prefetch::{prefetch, prefetch_all};
use crate::project::ProjectId;
use crate::time::Hour;

/// What to do with a key of an id that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Replace,
}

/// How far ahead memory is asked for: about as many lines as come at once.
const AHEAD: usize = 16;
/// The slot of a key that has none yet.
const NO_SLOT: u32 = u32::MAX;

/// A record that is on its way into its block.
#[derive(Clone, Copy)]
struct Slip {
    /// The hash, its lowest bit first.
    order: Order,
    /// The record's number in the change.
    at: u32,
    slot: u32,
}

const _: () = assert!(size_of::<Slip>() == 16);

/// A hash, its lowest bit first. Hashes that agree in their lower bits, and so
/// belong to one block, lie together in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order(u64);

impl Order {
    fn of(hash: u64) -> Self {
        Self(hash.reverse_bits())
    }

    fn hash(self) -> u64 {
        self.0.reverse_bits()
    }

    /// Whether two hashes agree in so many lower bits.
    fn agrees(self, other: Self, depth: u32) -> bool {
        (self.0 ^ other.0).checked_shr(64 - depth).unwrap_or(0) == 0
    }

    /// The bit of the hash behind the `depth` lowest.
    fn bit(self, depth: u32) -> bool {
        self.0 >> (63 - depth) & 1 == 1
    }

    /// This hash with that bit clear, and with it set.
    fn halves(self, depth: u32) -> [Self; 2] {
        let bit = 1 << (63 - depth);
        [Self(self.0 & !bit), Self(self.0 | bit)]
    }
}

/// A change under way, once nothing can refuse it any more.
struct Filling<'a> {
    keyring: &'a Keyring,
    writer: &'a mut Writer,
    records: &'a mut [KeyRecord],
    projects: &'a [ProjectId],
}

impl Keyring {
    /// Adds keys, or replaces those already there if `existing` says so; all
    /// or none. A key that is replaced keeps its slot, and stays revoked if it
    /// is; one that comes back gets its own slot while no other has it.
    /// `project` gives a project its number, `clear` empties a slot that was
    /// another key's. Each key is in force when this returns; several do not
    /// become so at one instant.
    pub(crate) fn put(
        &self,
        mut records: Vec<KeyRecord>,
        existing: Existing,
        hour: Hour,
        project: impl FnMut(&Name) -> ProjectId,
        clear: impl Fn(u32),
    ) -> Result<(), KeyChangeError> {
        // In the order of the records, so that projects are numbered by it.
        let projects = records.iter().map(|record| &record.policy.project);
        let projects: Vec<_> = projects.map(project).collect();
        let mut writer = self.write();
        let mut slips = self.slips(&records, writer.max_keys)?;
        self.check(&records, &mut slips, existing)?;
        let new = take_slots(&mut writer, &records, &mut slips, hour, clear)?;
        let mut filling = Filling {
            keyring: self,
            writer: &mut writer,
            records: &mut records,
            projects: &projects,
        };
        filling.fill(&slips);
        // Relaxed: a number and no more.
        self.keys.fetch_add(new, Ordering::Relaxed);
        writer.reclaim();
        Ok(())
    }

    /// A slip for each record, in the order of the directory.
    fn slips(&self, records: &[KeyRecord], max_keys: u32) -> Result<Vec<Slip>, KeyChangeError> {
        // So many cannot all be different keys that have a slot each.
        if records.len() > NO_SLOT as usize {
            return Err(KeyChangeError::Full { max_keys });
        }
        let slip = |(record, at): (&KeyRecord, u32)| Slip {
            order: Order::of(self.hash(record.id)),
            at,
            slot: NO_SLOT,
        };
        let mut slips: Vec<_> = records.iter().zip(0..).map(slip).collect();
        slips.sort_unstable_by_key(|slip| slip.order);
        Ok(slips)
    }

    /// Notes the slots of the keys that are there. Refuses those that may not
    /// be, or that stand twice in the change, by the first of them.
    fn check(
        &self,
        records: &[KeyRecord],
        slips: &mut [Slip],
        existing: Existing,
    ) -> Result<(), KeyChangeError> {
        let id = |slip: &Slip| records[slip.at as usize].id;
        let mut refused: Option<u32> = None;
        let mut refuse = |at: u32| {
            refused = Some(refused.map_or(at, |first: u32| first.min(at)));
        };
        for same in slips.chunk_by(|a, b| a.order == b.order) {
            // Hardly ever more than one; two different keys of one hash never,
            // but for chance.
            for (number, slip) in same.iter().enumerate() {
                let twins = same[..number].iter().filter(|other| id(other) == id(slip));
                twins.for_each(|twin| refuse(twin.at.max(slip.at)));
            }
        }
        if self.len() > 0 {
            for number in 0..slips.len() {
                if let Some(later) = slips.get(number + AHEAD) {
                    self.expect_hash(later.order.hash());
                }
                let slip = &mut slips[number];
                let snapshot = self.snapshot_by(id(slip), slip.order.hash());
                if let Some(record) = snapshot.record() {
                    slip.slot = record.slot();
                    if existing == Existing::Refuse {
                        refuse(slip.at);
                    }
                }
            }
        }
        refused.map_or(Ok(()), |at| {
            Err(KeyChangeError::Duplicate(records[at as usize].id))
        })
    }
}

/// Takes a slot for each key that has none; how many.
fn take_slots(
    writer: &mut Writer,
    records: &[KeyRecord],
    slips: &mut [Slip],
    hour: Hour,
    clear: impl Fn(u32),
) -> Result<usize, KeyChangeError> {
    let is_new = |slip: &&Slip| slip.slot == NO_SLOT;
    let new = slips.iter().filter(is_new).count();
    let ids = || {
        let new = slips.iter().filter(is_new);
        new.map(|slip| records[slip.at as usize].id).collect()
    };
    let max_keys = writer.max_keys;
    let taken = writer.slots.take(new, ids, hour);
    let taken = taken.ok_or(KeyChangeError::Full { max_keys })?;
    let wanting = slips.iter_mut().filter(|slip| slip.slot == NO_SLOT);
    for (slip, taken) in wanting.zip(taken) {
        if taken.anothers {
            clear(taken.slot);
        }
        slip.slot = taken.slot;
    }
    Ok(new)
}

impl Filling<'_> {
    /// Puts every record where its slip says.
    fn fill(&mut self, mut slips: &[Slip]) {
        while let Some(first) = slips.first() {
            let old = self.keyring.directory.block(first.order.hash());
            let others = |slip: &Slip| !slip.order.agrees(first.order, old.depth());
            let end = slips.iter().position(others).unwrap_or(slips.len());
            let (own, later) = slips.split_at(end);
            self.fill_block(old, own);
            slips = later;
        }
    }

    /// Puts what belongs into one block, or into those that it is split into.
    fn fill_block(&mut self, old: BlockRef, own: &[Slip]) {
        if old.len() + own.len() > MAX_RECORDS {
            let kept = self.kept(&old, own);
            self.split(&old, &kept, own, own[0].order, old.depth());
        } else {
            let mut rest = Vec::new();
            for slip in own {
                if !self.add(&old, slip) {
                    rest.push(*slip);
                }
            }
            if rest.is_empty() {
                return;
            }
            let mut draft = Draft::copy(&old, &mut self.writer.arena);
            self.put_all(&mut draft, &old, &rest);
            self.keyring.publish(draft, own[0].order.hash());
        }
        self.writer.retired.push(old);
    }

    /// Writes a new key without lists into an empty place of a block that is
    /// published; whether it was one. There must be room.
    fn add(&self, block: &Block, slip: &Slip) -> bool {
        let record = &self.records[slip.at as usize];
        let hash = slip.order.hash();
        if record.policy.has_lists() || block.search(record.id, hash).is_some() {
            return false;
        }
        let record = self.record(slip);
        // SAFETY: we hold the writers' lock, and copy no block meanwhile.
        unsafe { block.add(&record, hash) };
        true
    }

    /// The record of a slip, as yet without lists.
    fn record(&self, slip: &Slip) -> Record {
        let KeyRecord { id, digest, policy } = &self.records[slip.at as usize];
        let project = self.projects[slip.at as usize];
        Record::new(*id, *digest, policy, project, slip.slot)
    }

    /// What stays of a block: the places of the records that are not replaced,
    /// in the order of the directory.
    fn kept(&self, old: &Block, own: &[Slip]) -> Vec<(Order, u32)> {
        let mut stays = [true; PLACES];
        for slip in own {
            let id = self.records[slip.at as usize].id;
            if let Some(place) = old.search(id, slip.order.hash()) {
                stays[place] = false;
            }
        }
        let place = |place: usize| {
            let record = old.record(place).filter(|_| stays[place])?;
            let order = Order::of(self.keyring.hash(record.id()));
            Some((order, place as u32))
        };
        let mut kept: Vec<_> = (0..PLACES).filter_map(place).collect();
        kept.sort_unstable();
        kept
    }

    /// Fills new blocks with what is kept of an old one and what comes, as
    /// many as it takes.
    ///
    /// They belong to those hashes that agree with `order` in `depth` bits.
    fn split(
        &mut self,
        old: &Block,
        kept: &[(Order, u32)],
        own: &[Slip],
        order: Order,
        depth: u32,
    ) {
        // Behind the last bit a block may be fuller. More keys would have to
        // agree in 32 bits of a hash under random seeds than ever can.
        if kept.len() + own.len() > MAX_RECORDS && depth < MAX_DEPTH {
            let kept = kept.split_at(kept.partition_point(|(order, _)| !order.bit(depth)));
            let own = own.split_at(own.partition_point(|slip| !slip.order.bit(depth)));
            let [clear, set] = order.halves(depth);
            self.split(old, kept.0, own.0, clear, depth + 1);
            self.split(old, kept.1, own.1, set, depth + 1);
            return;
        }
        let mut draft = Draft::empty(depth, &mut self.writer.arena);
        for (order, place) in kept {
            if let Some(record) = old.record(*place as usize) {
                draft.put(*record, old.lists(record).cloned(), order.hash());
            }
        }
        self.put_all(&mut draft, old, own);
        self.keyring.publish(draft, order.hash());
    }

    /// Puts records into the draft that takes the place of `old`.
    fn put_all(&mut self, draft: &mut Draft, old: &Block, own: &[Slip]) {
        for (number, slip) in own.iter().enumerate() {
            if let Some(later) = own.get(number + AHEAD) {
                prefetch_all(&self.records[later.at as usize]);
                prefetch(&self.projects[later.at as usize]);
            }
            let KeyRecord { id, policy, .. } = &mut self.records[slip.at as usize];
            let hash = slip.order.hash();
            if let Some(before) = old.find(*id, hash) {
                policy.state = before.state().changed_to(policy.state);
                self.keyring.count_out(before, old.lists(before));
            }
            let record = self.record(slip);
            let policy = &self.records[slip.at as usize].policy;
            draft.put(record, Lists::of(policy), hash);
            self.keyring.count_in(&record, &policy.origins);
        }
    }
}
