//! One block of the keyring: a hash table of records of a fixed size.
//!
//! Open addressing with linear probing, filled to at most three quarters: a
//! look-up reads one or two cache lines in a row. Since all blocks are of one
//! size, where a look-up begins follows from the block's address and the key's
//! hash alone: the header is not read. What is changed is a draft; a block that
//! was published only ever gets new keys, into empty places.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::place::{Place, Seen};
use super::record::{Lists, Record};
use crate::key::KeyId;
use crate::prefetch::prefetch;

/// Cache lines in a block, the header's included. Under tests and fuzzers it is
/// small, so that blocks are full and split often; under loom, which keeps a
/// history of every place, for two keys.
pub(super) const LINES: usize = if cfg!(loom) {
    4
} else if cfg!(any(test, fuzzing)) {
    16
} else {
    512
};
/// Places in a block.
pub(super) const PLACES: usize = LINES - 1;
/// The most records in a block: one more, and it is split.
pub(super) const MAX_RECORDS: usize = PLACES * 3 / 4;

/// Lists by a record's index less one; empty ones may be taken again.
type AllLists = Vec<Option<Arc<Lists>>>;

/// A table and the lists of its keys.
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) header: Header,
    pub(super) places: Places,
}

/// What a look-up need not read.
#[repr(align(64))]
pub(super) struct Header {
    /// How many lower bits the hashes of its keys have in common.
    depth: u32,
    /// How many records there are. For writers, who take turns.
    records: AtomicU32,
    lists: AllLists,
    /// How many of the lists are empty.
    free_lists: usize,
}

/// The places; they begin with a line of their own.
pub(super) type Places = [Place; PLACES];

const _: () = assert!(size_of::<Block>() == LINES * 64 || cfg!(loom));

/// Where in a block the search for a hash begins. By the upper half of the hash,
/// as the lower bits choose the block.
pub(super) fn home(hash: u64) -> usize {
    (((hash >> 32) * PLACES as u64) >> 32) as usize
}

impl Header {
    /// That of an empty block.
    pub(super) fn new(depth: u32) -> Self {
        Self {
            depth,
            records: AtomicU32::new(0),
            lists: Vec::new(),
            free_lists: 0,
        }
    }

    /// That of a copy which nobody refers to yet.
    pub(super) fn copy(&self) -> Self {
        Self {
            depth: self.depth,
            // Relaxed: see `Block::len`.
            records: AtomicU32::new(self.records.load(Ordering::Relaxed)),
            lists: self.lists.clone(),
            free_lists: self.free_lists,
        }
    }
}

impl Block {
    /// Where the header lies in a block.
    pub(super) fn header_within(block: *mut Self) -> *mut Header {
        block.wrapping_byte_add(offset_of!(Self, header)).cast()
    }

    /// Where the places lie in a block.
    pub(super) fn places_within(block: *mut Self) -> *mut Places {
        block.wrapping_byte_add(offset_of!(Self, places)).cast()
    }

    /// How many lower bits the hashes of its keys have in common.
    pub(super) fn depth(&self) -> u32 {
        self.header.depth
    }

    /// How many records there are, as the writer at turn left it.
    pub(super) fn len(&self) -> usize {
        // Relaxed: only writers write it or ask, and they take turns.
        self.header.records.load(Ordering::Relaxed) as usize
    }

    /// Asks for the line in which the search for a hash begins, and for the
    /// next: of ten keys some three are not in the first.
    #[inline]
    pub(super) fn expect(&self, hash: u64) {
        let home = home(hash);
        prefetch(&self.places[home]);
        self.places.get(home + 1).into_iter().for_each(prefetch);
    }

    /// The place of an id's record. `hash` is that of the id.
    #[inline]
    pub(super) fn search(&self, id: KeyId, hash: u64) -> Option<usize> {
        self.place_for(id, hash).ok()
    }

    /// The record of an id. `hash` is that of the id.
    pub(super) fn find(&self, id: KeyId, hash: u64) -> Option<&Record> {
        self.record(self.search(id, hash)?)
    }

    /// The record in a place.
    #[inline]
    pub(super) fn record(&self, place: usize) -> Option<&Record> {
        self.places.get(place)?.record()
    }

    /// The lists of a record of this block.
    pub(super) fn lists(&self, record: &Record) -> Option<&Arc<Lists>> {
        let at = (record.lists as usize).checked_sub(1)?;
        self.header.lists.get(at)?.as_ref()
    }

    /// The place where an id's record lies, or else would.
    #[inline]
    fn place_for(&self, id: KeyId, hash: u64) -> Result<usize, usize> {
        let mut at = home(hash);
        // There is always an empty place, so the search ends.
        loop {
            match self.places[at].see(id) {
                Seen::Sought => return Ok(at),
                Seen::Empty => return Err(at),
                Seen::Another => {}
            }
            at += 1;
            if at == PLACES {
                at = 0;
            }
        }
    }

    /// Adds a record of a new key, without lists, to a block that is published:
    /// readers see it or they do not. Whether it was a new key; a record that
    /// is there does not change. There must be room.
    ///
    /// # Safety
    ///
    /// The caller is the writer at turn, and makes no copy of the block
    /// meanwhile.
    pub(super) unsafe fn add(&self, record: &Record, hash: u64) -> bool {
        let Err(at) = self.place_for(record.id(), hash) else {
            return false;
        };
        assert!(
            self.len() + 1 < PLACES,
            "a block is added to while it has room"
        );
        // SAFETY: the place is empty, and the writer at turn is the only one to
        // fill places; it copies none meanwhile, says the caller.
        unsafe { self.places[at].fill(record) };
        // Relaxed: see `len`.
        self.header
            .records
            .store(self.len() as u32 + 1, Ordering::Relaxed);
        true
    }

    /// Adds a record, or replaces that of the same id. There must be room.
    pub(super) fn put(&mut self, mut record: Record, lists: Option<Arc<Lists>>, hash: u64) {
        match self.place_for(record.id(), hash) {
            Ok(at) => {
                let before = self.record(at).map_or(0, |record| record.lists);
                self.drop_lists(before);
                record.lists = self.keep_lists(lists);
                self.places[at].set(record);
            }
            Err(at) => {
                assert!(
                    self.len() + 1 < PLACES,
                    "a block is split before it is full"
                );
                record.lists = self.keep_lists(lists);
                self.places[at].set(record);
                *self.header.records.get_mut() += 1;
            }
        }
    }

    /// Removes a record. `hash` tells the hash of an id.
    pub(super) fn remove(&mut self, id: KeyId, hash: impl Fn(KeyId) -> u64) {
        let Some(mut hole) = self.search(id, hash(id)) else {
            return;
        };
        let lists = self.record(hole).map_or(0, |record| record.lists);
        self.drop_lists(lists);
        *self.header.records.get_mut() -= 1;
        // Close the gap (Knuth, volume 3, 6.4, algorithm R): a later record
        // moves into the hole unless its home lies behind the hole.
        let mut at = hole;
        loop {
            at = (at + 1) % PLACES;
            let Some(&record) = self.record(at) else {
                break;
            };
            let home = home(hash(record.id()));
            let from_home = (at + PLACES - home) % PLACES;
            let from_hole = (at + PLACES - hole) % PLACES;
            if from_home >= from_hole {
                self.places[hole].set(record);
                hole = at;
            }
        }
        self.places[hole].set(Record::empty());
    }

    /// Takes lists in; the index by which a record reaches them.
    fn keep_lists(&mut self, lists: Option<Arc<Lists>>) -> u32 {
        if lists.is_none() {
            return 0;
        }
        let all = &mut self.header.lists;
        let free = if self.header.free_lists == 0 {
            None
        } else {
            all.iter().position(Option::is_none)
        };
        let at = match free {
            Some(free) => {
                all[free] = lists;
                self.header.free_lists -= 1;
                free
            }
            None => {
                all.push(lists);
                all.len() - 1
            }
        };
        at as u32 + 1
    }

    fn drop_lists(&mut self, index: u32) {
        if let Some(at) = (index as usize).checked_sub(1) {
            self.header.lists[at] = None;
            self.header.free_lists += 1;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::super::arena::Arena;
    use super::super::published::Draft;
    use super::super::record::sample as record;
    use super::*;
    use crate::net::CidrList;
    use crate::origin::OriginList;

    fn id(number: u64) -> KeyId {
        KeyId::from_bits(number)
    }

    /// A poor hash on purpose: long runs, wrapping around the end.
    fn hash(id: KeyId) -> u64 {
        ((id.to_bits() % 4) * 0x4000_0000 + 0x3000_0000) << 32
    }

    #[test]
    fn behaves_like_a_map_even_under_a_poor_hash() {
        let mut arena = Arena::new();
        let mut block = Draft::empty(0, &mut arena);
        let mut model = HashMap::new();
        let mut random = 12345_u64;
        let steps = if cfg!(miri) { 40 } else { 5000 };
        for step in 0..steps {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let number = random >> 33 & 31;
            let in_place = random >> 32 & 1 == 1;
            if random >> 60 < 9 {
                let is_new = !model.contains_key(&number);
                if is_new && model.len() == PLACES - 1 {
                    continue;
                }
                model.insert(number, step);
                if is_new && in_place {
                    // SAFETY: there is no other writer.
                    assert!(unsafe { block.add(&record(number, step), hash(id(number))) });
                    // SAFETY: as above.
                    assert!(!unsafe { block.add(&record(number, step + 1), hash(id(number))) });
                } else {
                    // SAFETY: there is no other writer.
                    let mut draft = unsafe { Draft::copy(&block, &mut arena) };
                    draft.put(record(number, step), None, hash(id(number)));
                    std::mem::replace(&mut block, draft).discard(&mut arena);
                }
            } else {
                model.remove(&number);
                // SAFETY: there is no other writer.
                let mut draft = unsafe { Draft::copy(&block, &mut arena) };
                draft.remove(id(number), hash);
                std::mem::replace(&mut block, draft).discard(&mut arena);
            }
            assert_eq!(block.len(), model.len());
            for number in 0..32 {
                let found = block.find(id(number), hash(id(number))).map(Record::slot);
                assert_eq!(found, model.get(&number).copied(), "{number}");
            }
        }
        assert_eq!(arena.taken(), 1);
    }

    #[test]
    fn lists_follow_their_record() {
        let lists = |text: &str| {
            Some(Arc::new(Lists {
                origins: OriginList::default(),
                ips: CidrList::parse([text]).unwrap(),
            }))
        };
        let mut arena = Arena::new();
        let mut block = Draft::empty(0, &mut arena);
        block.put(record(1, 1), lists("10.0.0.0/8"), hash(id(1)));
        block.put(record(2, 2), lists("10.0.0.0/16"), hash(id(2)));
        block.put(record(1, 1), None, hash(id(1)));
        block.put(record(3, 3), lists("10.0.0.0/24"), hash(id(3)));
        // SAFETY: there is no other writer.
        let copy = unsafe { Draft::copy(&block, &mut arena) };
        block.discard(&mut arena);
        let shown = |number| {
            let record = copy.find(id(number), hash(id(number))).unwrap();
            copy.lists(record).map(|l| format!("{:?}", l.ips))
        };
        assert_eq!(shown(1), None);
        assert_eq!(shown(2).as_deref(), Some("[10.0.0.0/16]"));
        assert_eq!(shown(3).as_deref(), Some("[10.0.0.0/24]"));
        assert_eq!(
            copy.header.lists.len(),
            2,
            "the place of the first was free"
        );
        copy.discard(&mut arena);
    }

    #[test]
    fn lists_are_dropped_with_their_block() {
        let lists = Arc::new(Lists {
            origins: OriginList::default(),
            ips: CidrList::default(),
        });
        let mut arena = Arena::new();
        let mut draft = Draft::empty(0, &mut arena);
        draft.put(record(1, 1), Some(lists.clone()), hash(id(1)));
        // SAFETY: there is no other writer.
        let copy = unsafe { Draft::copy(&draft, &mut arena) };
        draft.discard(&mut arena);
        assert_eq!(Arc::strong_count(&lists), 2);
        copy.discard(&mut arena);
        assert_eq!((Arc::strong_count(&lists), arena.taken()), (1, 0));
    }
}
