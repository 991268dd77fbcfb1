//! One shard of the keyring: an immutable hash table of records.
//!
//! Open addressing with linear probing, filled to at most three quarters: a
//! look-up reads one or two cache lines in a row. A change makes a new shard.

use std::sync::Arc;

use super::record::{Lists, Record};
use crate::key::KeyId;
use crate::prefetch::prefetch;

/// Records for each ten places of a table that is made anew.
const FILL_TENTHS: usize = 6;

/// A table and the lists of its keys. Never changed once it is published.
pub(super) struct Shard {
    places: Box<[Record]>,
    len: usize,
    /// Lists by index less one; empty ones may be taken again.
    lists: Vec<Option<Arc<Lists>>>,
}

impl Shard {
    /// An empty shard with room for `records` records.
    pub(super) fn with_room_for(records: usize) -> Self {
        let places = records * 10 / FILL_TENTHS + 2;
        Self {
            places: vec![Record::empty(); places].into(),
            len: 0,
            lists: Vec::new(),
        }
    }

    /// The record of an id. `hash` is that of the id.
    pub(super) fn find(&self, id: KeyId, hash: u64) -> Option<&Record> {
        self.places[self.place_of(id, hash)?..].first()
    }

    /// Asks for the line in which an id's search starts.
    pub(super) fn expect(&self, hash: u64) {
        prefetch(&self.places[self.home(hash)]);
    }

    /// The lists of a record of this shard.
    pub(super) fn lists(&self, record: &Record) -> Option<&Lists> {
        let at = (record.lists as usize).checked_sub(1)?;
        self.lists.get(at)?.as_deref()
    }

    /// Every record.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.places.iter().filter(|record| !record.is_empty())
    }

    /// Where an id's search starts. The lower half of the hash: the upper bits
    /// choose the shard.
    fn home(&self, hash: u64) -> usize {
        (((hash & 0xFFFF_FFFF) * self.places.len() as u64) >> 32) as usize
    }

    fn place_of(&self, id: KeyId, hash: u64) -> Option<usize> {
        let mut at = self.home(hash);
        // There is always an empty place, so the search ends.
        loop {
            let record = &self.places[at];
            if record.is(id) {
                return Some(at);
            }
            if record.is_empty() {
                return None;
            }
            at += 1;
            if at == self.places.len() {
                at = 0;
            }
        }
    }

    /// A copy with room for `more` further records, to be changed before it is
    /// published. `hash` tells the hash of an id.
    pub(super) fn copy_for(&self, more: usize, hash: impl Fn(KeyId) -> u64) -> Self {
        if (self.len + more) * 4 <= self.places.len() * 3 && self.len + more < self.places.len() {
            return Self {
                places: self.places.clone(),
                len: self.len,
                lists: self.lists.clone(),
            };
        }
        let mut copy = Self::with_room_for(self.len + more);
        for record in self.records() {
            copy.put(*record, self.lists_of(record), hash(record.id()));
        }
        copy
    }

    /// A record's lists, shared.
    pub(super) fn lists_of(&self, record: &Record) -> Option<Arc<Lists>> {
        let at = (record.lists as usize).checked_sub(1)?;
        self.lists.get(at)?.clone()
    }

    /// Adds a record, or replaces that of the same id. There must be room.
    pub(super) fn put(&mut self, mut record: Record, lists: Option<Arc<Lists>>, hash: u64) {
        let id = record.id();
        if let Some(at) = self.place_of(id, hash) {
            self.drop_lists(self.places[at].lists);
            record.lists = self.keep_lists(lists);
            self.places[at] = record;
            return;
        }
        assert!(
            self.len + 1 < self.places.len(),
            "a shard is copied with room for what comes"
        );
        record.lists = self.keep_lists(lists);
        let mut at = self.home(hash);
        while !self.places[at].is_empty() {
            at = (at + 1) % self.places.len();
        }
        self.places[at] = record;
        self.len += 1;
    }

    /// Removes a record; which it was. `hash` tells the hash of an id.
    pub(super) fn remove(&mut self, id: KeyId, hash: impl Fn(KeyId) -> u64) -> Option<Record> {
        let mut hole = self.place_of(id, hash(id))?;
        let removed = self.places[hole];
        self.drop_lists(removed.lists);
        self.len -= 1;
        // Close the gap (Knuth, volume 3, 6.4, algorithm R): a later record
        // moves into the hole unless its home lies behind the hole.
        let count = self.places.len();
        let mut at = hole;
        loop {
            at = (at + 1) % count;
            let record = self.places[at];
            if record.is_empty() {
                break;
            }
            let home = self.home(hash(record.id()));
            let from_home = (at + count - home) % count;
            let from_hole = (at + count - hole) % count;
            if from_home >= from_hole {
                self.places[hole] = record;
                hole = at;
            }
        }
        self.places[hole] = Record::empty();
        Some(removed)
    }

    /// Takes lists in; the index by which a record reaches them.
    fn keep_lists(&mut self, lists: Option<Arc<Lists>>) -> u32 {
        let Some(lists) = lists else { return 0 };
        let at = match self.lists.iter().position(Option::is_none) {
            Some(free) => {
                self.lists[free] = Some(lists);
                free
            }
            None => {
                self.lists.push(Some(lists));
                self.lists.len() - 1
            }
        };
        at as u32 + 1
    }

    fn drop_lists(&mut self, index: u32) {
        if let Some(at) = (index as usize).checked_sub(1) {
            self.lists[at] = None;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::key::ServerSecret;
    use crate::net::CidrList;
    use crate::origin::OriginList;
    use crate::policy::KeyPolicy;
    use crate::project::ProjectId;

    fn id(number: u64) -> KeyId {
        KeyId::from_bits(number)
    }

    fn record(number: u64, slot: u32) -> Record {
        let policy = KeyPolicy::new("p".parse().unwrap());
        let digest = ServerSecret::from_bytes([0; 32]).digest_key(&number.to_le_bytes());
        Record::new(id(number), digest, &policy, ProjectId::from_bits(0), slot)
    }

    /// A poor hash on purpose: long runs, wrapping around the end.
    fn hash(id: KeyId) -> u64 {
        (id.to_bits() % 7) * 0x2000_0000 + 0x1000_0000
    }

    #[test]
    fn behaves_like_a_map_even_under_a_poor_hash() {
        let mut shard = Shard::with_room_for(0);
        let mut model = HashMap::new();
        let mut random = 12345_u64;
        let steps = if cfg!(miri) { 300 } else { 5000 };
        for step in 0..steps {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let number = random >> 33 & 63;
            if random >> 60 < 9 {
                shard = shard.copy_for(1, hash);
                shard.put(record(number, step), None, hash(id(number)));
                model.insert(number, step);
            } else {
                let removed = shard.remove(id(number), hash).map(|r| r.slot());
                assert_eq!(removed, model.remove(&number));
            }
            assert_eq!(shard.len, model.len());
            assert_eq!(shard.records().count(), model.len());
            for number in 0..64 {
                let found = shard.find(id(number), hash(id(number))).map(Record::slot);
                assert_eq!(found, model.get(&number).copied(), "{number}");
            }
        }
    }

    #[test]
    fn lists_follow_their_record() {
        let lists = |text: &str| {
            Some(Arc::new(Lists {
                origins: OriginList::default(),
                ips: CidrList::parse([text]).unwrap(),
            }))
        };
        let mut shard = Shard::with_room_for(4);
        shard.put(record(1, 1), lists("10.0.0.0/8"), hash(id(1)));
        shard.put(record(2, 2), lists("10.0.0.0/16"), hash(id(2)));
        shard.put(record(1, 1), None, hash(id(1)));
        shard.put(record(3, 3), lists("10.0.0.0/24"), hash(id(3)));
        let shard = shard.copy_for(100, hash);
        let shown = |number| {
            let record = shard.find(id(number), hash(id(number))).unwrap();
            shard.lists(record).map(|l| format!("{:?}", l.ips))
        };
        assert_eq!(shown(1), None);
        assert_eq!(shown(2).as_deref(), Some("[10.0.0.0/16]"));
        assert_eq!(shown(3).as_deref(), Some("[10.0.0.0/24]"));
    }
}
