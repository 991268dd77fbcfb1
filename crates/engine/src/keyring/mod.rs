//! The keys: read by every decision, written seldom.
//!
//! A hash table in blocks of a fixed size, each behind `arc-swap`; a directory
//! tells from a key's hash which is its. A reader holds one block for one
//! decision and so sees wholly the old or wholly the new key. A writer replaces
//! the one block that its change falls into, which copies kilobytes whatever
//! the number of keys, or writes a new key into an empty place. A block that is
//! full is split in two: nothing else ever moves.
//!
//! Writers take turns at a lock that no reader takes. What they replace they
//! keep until nobody reads it, and free it themselves: no decision pays for
//! freeing a block.

mod arena;
mod block;
mod bulk;
mod change;
mod counted;
mod directory;
mod entry;
mod error;
mod order;
mod origins;
mod place;
mod record;
mod slots;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use ahash::RandomState;
use arc_swap::Guard;

use crate::key::KeyId;
use crate::origin::{HostFirst, OriginList};
use crate::policy::{KeyPolicy, KeyState};
use crate::project::Projects;

use arena::Arena;
use block::PLACES;
pub(crate) use bulk::Existing;
use counted::{BlockRef, Draft};
use directory::Directory;
use entry::BlockEntry;
pub use error::KeyChangeError;
use origins::ListedOrigins;
use record::Lists;
pub(crate) use record::Record;
use slots::Slots;

/// So many replaced blocks are not kept without looking whether some can be
/// freed.
const RECLAIM_EVERY: usize = 64;

/// The keys.
///
/// The fields are dropped in their order: the directory refers to blocks that
/// lie in the writer's arena.
pub(crate) struct Keyring {
    directory: Directory<BlockEntry>,
    hasher: RandomState,
    /// How many keys there are. Changed by the writer at turn.
    keys: AtomicUsize,
    writer: Mutex<Writer>,
    /// Beside the writer's state, since preflights read it.
    origins: RwLock<ListedOrigins>,
}

/// What only the writer at turn touches. The arena is dropped last.
struct Writer {
    slots: Slots,
    max_keys: u32,
    /// Replaced, and perhaps still read.
    retired: Vec<BlockRef>,
    arena: Arena,
}

/// What the keyring holds of one key at one moment, held for one decision.
pub(crate) struct Snapshot<'k> {
    block: Guard<BlockRef>,
    /// Where in the block the record is; behind all places for an unknown key.
    place: usize,
    /// The block's memory is the keyring's.
    keyring: PhantomData<&'k Keyring>,
}

impl Snapshot<'_> {
    /// The record of the id that the snapshot was taken for.
    #[inline]
    pub(crate) fn record(&self) -> Option<&Record> {
        self.block.record(self.place)
    }

    /// The allow lists of that record, if it has any.
    pub(crate) fn lists(&self, record: &Record) -> Option<&Lists> {
        self.block.lists(record).map(Arc::as_ref)
    }
}

impl Keyring {
    /// An empty keyring. `seeds` come from the operating system's random
    /// source, so that nobody can choose ids that fall together.
    pub(crate) fn new(seeds: [u64; 4], max_keys: u32) -> Self {
        let [a, b, c, d] = seeds;
        let mut arena = Arena::new();
        let block = Draft::empty(0, &mut arena).publish();
        Self {
            directory: Directory::new(&block),
            hasher: RandomState::with_seeds(a, b, c, d),
            keys: AtomicUsize::new(0),
            writer: Mutex::new(Writer {
                slots: Slots::new(max_keys),
                max_keys,
                retired: Vec::new(),
                arena,
            }),
            origins: RwLock::new(ListedOrigins::default()),
        }
    }

    #[inline]
    fn hash(&self, id: KeyId) -> u64 {
        self.hasher.hash_one(id.to_bits())
    }

    /// What there is of a key. Lock-free; allocates only the first time a
    /// thread comes here.
    #[inline]
    pub(crate) fn snapshot(&self, id: KeyId) -> Snapshot<'_> {
        self.snapshot_by(id, self.hash(id))
    }

    #[inline]
    fn snapshot_by(&self, id: KeyId, hash: u64) -> Snapshot<'_> {
        let find = |block: &BlockRef| block.search(id, hash);
        let (block, place) = self.directory.look(hash, find);
        Snapshot {
            block,
            place: place.unwrap_or(PLACES),
            keyring: PhantomData,
        }
    }

    /// Asks for the line in which the search for a key begins. Holds nothing,
    /// and waits for no more than the directory's own line.
    #[inline]
    pub(crate) fn expect(&self, id: KeyId) {
        self.expect_hash(self.hash(id));
    }

    #[inline]
    fn expect_hash(&self, hash: u64) {
        self.directory.likely(hash).expect(hash);
    }

    /// Takes the writers' lock. Poison is passed over: a change is prepared in
    /// full before its first part is published, and each part is whole.
    fn write(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys there are. Waits for nobody.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a number and no more.
        self.keys.load(Ordering::Relaxed)
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
        let record = snapshot.record()?;
        let project = projects.name(record.project())?;
        Some(record.policy(*project, snapshot.lists(record)))
    }

    /// Frees what was replaced and is no longer read.
    pub(crate) fn reclaim(&self) {
        self.write().reclaim();
    }

    /// Puts a draft in place of what the directory has for the keys that agree
    /// with `hash` in as many bits as the draft goes by.
    fn publish(&self, draft: Draft, hash: u64) {
        let depth = draft.depth();
        self.directory.put(&draft.publish(), hash, depth);
    }

    /// The listed origins, for the writer at turn.
    fn origins(&self) -> RwLockWriteGuard<'_, ListedOrigins> {
        self.origins.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a key's origins in, if the key is live but for its expiry.
    fn count_in(&self, record: &Record, origins: &OriginList) {
        if record.state() == KeyState::Active && !origins.is_empty() {
            self.origins().add(origins, record.expires_at());
        }
    }

    /// Counts a record's origins out, as they were counted in.
    fn count_out(&self, record: &Record, lists: Option<&Arc<Lists>>) {
        if let Some(lists) = lists
            && record.state() == KeyState::Active
            && !lists.origins.is_empty()
        {
            self.origins().remove(&lists.origins, record.expires_at());
        }
    }
}

impl Writer {
    /// Keeps what was replaced until nobody reads it. Where much is replaced,
    /// frees some on the way, so that memory does not hold all of it twice.
    fn retire(&mut self, block: BlockRef) {
        self.retired.push(block);
        if self.retired.len().is_multiple_of(RECLAIM_EVERY) {
            self.reclaim();
        }
    }

    fn reclaim(&mut self) {
        // `swap` has turned every reader's borrowed hold on what it replaced
        // into a counted one, and nobody can take a new one: a count of one is
        // ours alone.
        let retired = std::mem::take(&mut self.retired);
        let kept = |block: BlockRef| block.free(&mut self.arena).err();
        self.retired = retired.into_iter().filter_map(kept).collect();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
