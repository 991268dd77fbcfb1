//! Keys that come in bulk, or one by one: all of them or none.
//!
//! First all is looked at and nothing changed: which keys are there already,
//! and whether one stands twice. Then there is made room, see `room`: a system
//! that gives no memory ends the change here, and the keys stay as they are.
//! Then each new key is written into its place,
//! in the order in which they came, so that records are read in sequence and
//! only places are far apart. Last comes what needs a copy of its block: a key
//! that is replaced, or one with lists.
//!
//! Beside the records themselves it takes 24 bytes for each, and 48 for one that
//! needs a copy of its block.

use super::block::Block;
use super::error::OutOfMemory;
use super::generation::Past;
use super::order::{Order, Slip};
use super::published::{BlockPtr, Draft};
use super::record::{Lists, Record};
use super::{KeyChangeError, Keyring, Writer};
use crate::ledger::{SlotsAt, SlotsError};
use crate::name::Name;
use crate::policy::KeyRecord;
use crate::prefetch::prefetch_all;
use crate::project::ProjectId;

/// What to do with a key of an id that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Replace,
}

/// How far ahead memory is asked for: about as many lines as come at once.
pub(super) const AHEAD: usize = 16;
/// The slot of a key that has none yet.
const NO_SLOT: u32 = u32::MAX;

/// What is known of a record that comes.
#[derive(Clone, Copy)]
struct Coming {
    hash: u64,
    project: ProjectId,
    slot: u32,
}

const _: () = assert!(size_of::<Coming>() == 16 && size_of::<Slip>() == 8);

impl Keyring {
    /// Adds keys, or replaces those already there if `existing` says so; all
    /// or none. A key that is replaced keeps its slot, and stays revoked if it
    /// is; one that comes back gets its own slot while no other has it.
    /// `project` gives a project its number, `slots` a key its slot. Each key is
    /// in force when this returns; several do not become so at one instant.
    pub(crate) fn put(
        &self,
        mut records: Vec<KeyRecord>,
        existing: Existing,
        mut project: impl FnMut(&Name) -> ProjectId,
        slots: SlotsAt<'_>,
    ) -> Result<(), KeyChangeError> {
        let coming = |record: &KeyRecord| Coming {
            hash: self.hash(record.id),
            project: project(&record.policy.project),
            slot: NO_SLOT,
        };
        let mut coming = gathered(records.len(), records.iter().map(coming))?;
        let mut writer = self.write();
        // So many cannot all be different keys that have a slot each.
        if records.len() >= NO_SLOT as usize {
            let max_keys = writer.max_keys;
            return Err(KeyChangeError::Full { max_keys });
        }
        let known = self.note_known(&writer.past, &records, &mut coming);
        let mut slips = slips(&coming)?;
        self.refuse(&records, &coming, &slips, existing, known)?;
        if known > 0 {
            // What is replaced needs no room.
            slips.retain(|slip| wants_slot(&coming[slip.at()]));
        }
        let new = self.count_new(&writer, &coming)?;
        self.make_room(&mut writer, &slips)?;
        let copies = |(record, coming): &(&KeyRecord, &Coming)| {
            record.policy.has_lists() || !wants_slot(coming)
        };
        let copies = records.iter().zip(&coming).filter(copies).count();
        // No more than the blocks that there are.
        let copied = copies.min(writer.arena.taken());
        writer.arena.reserve(copied)?;
        // Whatever `add_new` leaves for `put_rest`.
        let mut rest = gathered(copies, [])?;
        let mut rest_slips = gathered(copies, [])?;
        self.take_slots(&writer, slots, new, &records, &mut coming)?;
        self.add_new(&writer.past, &mut records, &coming, &mut rest);
        rest_slips.extend(each_slip(&rest));
        self.put_rest(&mut writer, &mut records, &rest, rest_slips);
        writer.end(&self.present);
        Ok(())
    }

    /// Notes the slots of the keys that are there; how many are. For the writer
    /// at turn.
    fn note_known(
        &self,
        past: &Past<BlockPtr>,
        records: &[KeyRecord],
        coming: &mut [Coming],
    ) -> usize {
        if self.len() == 0 {
            return 0;
        }
        let mut known = 0;
        for (number, record) in records.iter().enumerate() {
            if let Some(later) = coming.get(number + AHEAD) {
                self.expect(later.hash);
            }
            let Coming { hash, slot, .. } = &mut coming[number];
            // SAFETY: it is the past of our own writer, whose lock is held.
            let (_, block) = unsafe { self.block(past, *hash) };
            if let Some(found) = block.find(record.id, *hash) {
                *slot = found.slot();
                known += 1;
            }
        }
        known
    }

    /// Refuses keys that may not be there, `known` of them being so, and those
    /// that stand twice in the change: by the first of them all.
    fn refuse(
        &self,
        records: &[KeyRecord],
        coming: &[Coming],
        slips: &[Slip],
        existing: Existing,
        known: usize,
    ) -> Result<(), KeyChangeError> {
        let mut refused: Option<usize> = None;
        let mut refuse = |at: usize| {
            refused = Some(refused.map_or(at, |first| first.min(at)));
        };
        if known > 0 && existing == Existing::Refuse {
            let first = coming.iter().position(|coming| !wants_slot(coming));
            first.into_iter().for_each(&mut refuse);
        }
        // The same key has the same order, and a slip further on where it
        // comes later.
        for alike in slips.chunk_by(|a, b| a.order() == b.order()) {
            for (number, slip) in alike.iter().enumerate().skip(1) {
                let id = records[slip.at()].id;
                let is_twin = |other: &Slip| records[other.at()].id == id;
                if alike[..number].iter().any(is_twin) {
                    refuse(slip.at());
                }
            }
        }
        refused.map_or(Ok(()), |at| Err(KeyChangeError::Duplicate(records[at].id)))
    }

    /// How many keys are new, if there may be so many more.
    fn count_new(&self, writer: &Writer, coming: &[Coming]) -> Result<usize, KeyChangeError> {
        let new = coming.iter().filter(|coming| wants_slot(coming)).count();
        let max_keys = writer.max_keys;
        if self.len() + new > max_keys as usize {
            return Err(KeyChangeError::Full { max_keys });
        }
        Ok(new)
    }

    /// Takes a slot for each of the `new` keys that have none.
    fn take_slots(
        &self,
        writer: &Writer,
        slots: SlotsAt<'_>,
        new: usize,
        records: &[KeyRecord],
        coming: &mut [Coming],
    ) -> Result<(), KeyChangeError> {
        let max_keys = writer.max_keys;
        let ids = || {
            let new = records.iter().zip(&*coming);
            let new = new.filter(|(_, coming)| wants_slot(coming));
            new.map(|(record, _)| record.id).collect()
        };
        let taken = slots.take(new, ids).map_err(|refused| match refused {
            SlotsError::Full => KeyChangeError::Full { max_keys },
            SlotsError::Fault(fault) => KeyChangeError::Ledger(fault),
        })?;
        let wanting = coming.iter_mut().filter(|coming| wants_slot(coming));
        for (coming, slot) in wanting.zip(taken) {
            coming.slot = slot;
        }
        Ok(())
    }

    /// Writes every new key without lists into its place. Takes those out of
    /// `records`, and puts what is known of the others into `rest`. For the
    /// writer at turn.
    fn add_new(
        &self,
        past: &Past<BlockPtr>,
        records: &mut Vec<KeyRecord>,
        coming: &[Coming],
        rest: &mut Vec<Coming>,
    ) {
        let mut number = 0;
        records.retain(|record| {
            let own = coming[number];
            if let Some(later) = coming.get(number + AHEAD) {
                self.expect(later.hash);
            }
            number += 1;
            // SAFETY: it is the past of our own writer, whose lock is held.
            let (_, block) = unsafe { self.block(past, own.hash) };
            // SAFETY: so we are the writer at turn, and copy no block here.
            let added =
                !record.policy.has_lists() && unsafe { block.add(&own.record(record), own.hash) };
            if added {
                self.tally.is_now(record.policy.state, None);
            } else {
                rest.push(own);
            }
            !added
        });
    }

    /// Puts what needs a copy of its block: a slip for each.
    fn put_rest(
        &self,
        writer: &mut Writer,
        records: &mut [KeyRecord],
        coming: &[Coming],
        mut slips: Vec<Slip>,
    ) {
        slips.sort_unstable();
        let mut slips = &slips[..];
        while let Some(first) = slips.first() {
            // SAFETY: it is the past of our own writer, whose lock is held.
            let (at, old) = unsafe { self.block(&writer.past, first.order().hash()) };
            let others = |slip: &Slip| !slip.order().agrees(first.order(), old.depth());
            let end = slips.iter().position(others).unwrap_or(slips.len());
            let (own, later) = slips.split_at(end);
            // SAFETY: and so we are the writer at turn.
            let mut draft = unsafe { Draft::copy(old, &mut writer.arena) };
            for (number, slip) in own.iter().enumerate() {
                if let Some(later) = slips.get(number + AHEAD) {
                    prefetch_all(&records[later.at()]);
                }
                let (record, coming) = (&mut records[slip.at()], &coming[slip.at()]);
                self.put_one(&mut draft, old, record, coming);
            }
            self.publish(draft, first.order().hash());
            for slip in own {
                let hash = coming[slip.at()].hash;
                if let Some(before) = old.find(records[slip.at()].id, hash) {
                    self.count_out(before, old.lists(before));
                }
            }
            self.replaced(writer, at);
            slips = later;
        }
    }

    /// Puts one record into the draft that takes the place of `old`. Its origins
    /// are counted in, and those of the record before it are still, so that the
    /// listed origins never say less than the decisions do.
    fn put_one(&self, draft: &mut Draft, old: &Block, record: &mut KeyRecord, coming: &Coming) {
        let state = &mut record.policy.state;
        let before = old.find(record.id, coming.hash).map(Record::state);
        if let Some(before) = before {
            *state = before.changed_to(*state);
        }
        self.tally.is_now(*state, before);
        let packed = coming.record(record);
        draft.put(packed, Lists::of(&record.policy), coming.hash);
        self.count_in(&packed, &record.policy.origins);
    }
}

impl Coming {
    /// A record as it is kept, as yet without lists.
    fn record(&self, record: &KeyRecord) -> Record {
        let KeyRecord { id, digest, policy } = record;
        Record::new(*id, *digest, policy, self.project, self.slot)
    }
}

/// Whether a key that comes has no slot yet: it is new.
fn wants_slot(coming: &Coming) -> bool {
    coming.slot == NO_SLOT
}

/// A slip for each record.
fn each_slip(coming: &[Coming]) -> impl Iterator<Item = Slip> {
    let coming = coming.iter().enumerate();
    coming.map(|(at, coming)| Slip::new(Order::of(coming.hash), at))
}

/// A slip for each record, sorted.
fn slips(coming: &[Coming]) -> Result<Vec<Slip>, OutOfMemory> {
    let mut slips = gathered(coming.len(), each_slip(coming))?;
    slips.sort_unstable();
    Ok(slips)
}

/// What comes, in a vector with room for `room` of it.
fn gathered<T>(room: usize, all: impl IntoIterator<Item = T>) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(room).map_err(|_| OutOfMemory)?;
    vector.extend(all);
    Ok(vector)
}
