//! The keys: read by every decision, written seldom.
//!
//! A hash table in blocks of a fixed size; a directory tells from a key's hash
//! which is its. A reader looks a key up once and so sees wholly the old or
//! wholly the new one. A writer replaces the one block that its change falls
//! into, which copies kilobytes whatever the number of keys, or writes a new
//! key into an empty place. A block that is full is split in two: nothing else
//! ever moves.
//!
//! Writers take turns at a lock that no reader takes. What they replace they
//! keep until nobody reads it, which `arc-swap` tells them, and free it
//! themselves: no decision pays for freeing a block.

mod arena;
mod block;
mod bulk;
mod change;
mod directory;
mod error;
mod generation;
mod order;
mod origins;
mod place;
mod published;
mod record;
mod room;
mod tally;

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use ahash::RandomState;

use crate::key::KeyId;
use crate::origin::{HostFirst, OriginList};
use crate::policy::{KeyPolicy, KeyState};
use crate::prefetch::prefetch_at;
use crate::project::Projects;
use crate::sync::{Mutex, MutexGuard};

use arena::Arena;
use block::{Block, PLACES};
pub(crate) use bulk::Existing;
use directory::{Bits, Directory, Look};
pub use error::KeyChangeError;
use generation::{Entered, Past, Present};
use origins::ListedOrigins;
use published::{BlockEntry, BlockPtr, Draft};
pub(crate) use record::{Lists, Record};
use tally::Tally;

/// How many replaced blocks are kept before some are freed.
const RECLAIM_EVERY: usize = 64;

/// The keys.
pub(crate) struct Keyring {
    directory: Directory<BlockEntry>,
    present: Present,
    hasher: RandomState,
    tally: Tally,
    writer: Mutex<Writer>,
    /// Beside the writer's state, since preflights read it.
    origins: RwLock<ListedOrigins>,
}

/// What only the writer at turn touches.
struct Writer {
    max_keys: u32,
    /// Blocks that were replaced, and are perhaps still read.
    past: Past<BlockPtr>,
    arena: Arena,
}

/// The keyring, entered by a reader: what it finds stays as long as this.
///
/// To enter takes a locked instruction, and one more to leave. A processor
/// begins with such a one only when all that it waits for has come: so enter
/// before anything is read that may be far away.
pub(crate) struct Reading<'k> {
    keyring: &'k Keyring,
    _entered: Entered,
}

/// Where a key is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'r> {
    id: KeyId,
    hash: u64,
    block: &'r Block,
    bits: Bits,
}

/// A key that was found.
#[derive(Clone, Copy)]
pub(crate) struct Found<'r> {
    record: &'r Record,
    block: &'r Block,
}

impl Reading<'_> {
    /// Where a key is looked for; asks for the line in which the search begins.
    #[inline]
    pub(crate) fn spot(&self, id: KeyId) -> Spot<'_> {
        let hash = self.keyring.hash(id);
        self.spot_at(id, hash, self.keyring.directory.look(hash))
    }

    #[inline]
    fn spot_at(&self, id: KeyId, hash: u64, look: Look<BlockPtr>) -> Spot<'_> {
        // SAFETY: whoever finds a block in the directory having entered a
        // generation before finds it unfreed until the generation is left, for
        // which `Past` waits: `_entered` lives longer than `self` is borrowed.
        // When the keyring is dropped nothing borrows it any more.
        let block = unsafe { look.block.get() };
        block.expect(hash);
        let bits = look.bits;
        Spot {
            id,
            hash,
            block,
            bits,
        }
    }

    /// Looks for a key.
    #[inline]
    pub(crate) fn find<'r>(&'r self, mut spot: Spot<'r>) -> Option<Found<'r>> {
        loop {
            let Spot {
                id,
                hash,
                block,
                bits,
            } = spot;
            if let Some(record) = block.find(id, hash) {
                return Some(Found { record, block });
            }
            let again = self.keyring.directory.look_again(hash, bits)?;
            spot = self.spot_at(id, hash, again);
        }
    }
}

impl<'r> Found<'r> {
    /// Its record.
    #[inline]
    pub(crate) fn record(self) -> &'r Record {
        self.record
    }

    /// Its allow lists, if it has any.
    #[inline]
    pub(crate) fn lists(self) -> Option<&'r Lists> {
        self.block.lists(self.record).map(Arc::as_ref)
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
            directory: Directory::new(block),
            present: Present::new(),
            hasher: RandomState::with_seeds(a, b, c, d),
            tally: Tally::default(),
            writer: Mutex::new(Writer {
                max_keys,
                past: Past::new(),
                arena,
            }),
            origins: RwLock::new(ListedOrigins::default()),
        }
    }

    #[inline]
    fn hash(&self, id: KeyId) -> u64 {
        self.hasher.hash_one(id.to_bits())
    }

    /// Enters the keyring. Lock-free; allocates only the first time a thread
    /// comes here.
    #[inline]
    pub(crate) fn read(&self) -> Reading<'_> {
        Reading {
            keyring: self,
            _entered: self.present.enter(),
        }
    }

    /// Takes the writers' lock. Poison is passed over: what callers hand in is
    /// called before anything is published, each part that is published is
    /// whole, and a panic behind that would free nothing twice.
    fn write(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys there are. Waits for nobody.
    pub(crate) fn len(&self) -> usize {
        self.tally.all()
    }

    /// How many keys are in a state, whether or not they have expired. Waits
    /// for nobody.
    pub(crate) fn in_state(&self, state: KeyState) -> usize {
        self.tally.of(state)
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
        let reading = self.read();
        let found = reading.find(reading.spot(id))?;
        let project = projects.name(found.record().project())?;
        Some(found.record().policy(*project, found.lists()))
    }

    /// Every key and its slot, and what `at_rest` adds while nobody changes keys:
    /// so a key that goes or comes back meanwhile is among the ones or the others.
    /// Changes wait, decisions do not.
    pub(crate) fn slots(&self, at_rest: impl FnOnce(&mut Vec<(KeyId, u32)>)) -> Vec<(KeyId, u32)> {
        let _writer = self.write();
        let mut slots = Vec::with_capacity(self.len());
        for block in self.blocks() {
            // SAFETY: a block of the directory is freed only by the writer at
            // turn, and we are that.
            let block = unsafe { block.get() };
            let records = (0..PLACES).filter_map(|place| block.record(place));
            slots.extend(records.map(|record| (record.id(), record.slot())));
        }
        at_rest(&mut slots);
        slots
    }

    /// Every block once. For the writer at turn.
    fn blocks(&self) -> impl Iterator<Item = BlockPtr> {
        // Of the entries that lead to a block one alone has a number of no more
        // bits than the block goes by.
        let once = |(number, block): (u64, BlockPtr)| {
            // SAFETY: a block of the directory is freed only by the writer at
            // turn, who asks.
            let depth = unsafe { block.get() }.depth();
            (number.checked_shr(depth).unwrap_or(0) == 0).then_some(block)
        };
        self.directory.entries().filter_map(once)
    }

    /// Frees what was replaced and is no longer read.
    pub(crate) fn reclaim(&self) {
        self.write().reclaim();
    }

    /// Puts a draft in place of what the directory has for the keys that agree
    /// with `hash` in as many bits as the draft goes by.
    fn publish(&self, draft: Draft, hash: u64) {
        let depth = draft.depth();
        self.directory.put(draft.publish(), hash, depth);
    }

    /// Asks for the line in which the search for a hash begins. For the writer
    /// at turn.
    fn expect(&self, hash: u64) {
        prefetch_at(self.directory.look(hash).block.home(hash));
    }

    /// Notes a block that was replaced. Where many are, frees some on the way,
    /// so that memory does not hold all of it twice.
    fn replaced(&self, writer: &mut Writer, block: BlockPtr) {
        writer.past.replaced(block);
        if writer.past.present() >= RECLAIM_EVERY {
            writer.past.end(&self.present);
            writer.free_past();
        }
    }

    /// The block that a hash belongs to.
    ///
    /// # Safety
    ///
    /// `past` is that of this keyring's writer, whose lock is held.
    unsafe fn block<'a>(&self, _past: &'a Past<BlockPtr>, hash: u64) -> (BlockPtr, &'a Block) {
        let block = self.directory.look(hash).block;
        // SAFETY: a block of the directory is freed only by way of the past,
        // which is borrowed meanwhile.
        (block, unsafe { block.get() })
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
    /// Ends a change. Ends the generation, if anything was replaced in it:
    /// whoever enters from now on finds what is new. Frees what nobody reads any
    /// more.
    fn end(&mut self, present: &Present) {
        self.past.end(present);
        self.reclaim();
    }

    /// Frees what nobody reads any more, and what a change had set aside.
    fn reclaim(&mut self) {
        self.free_past();
        self.arena.release();
    }

    fn free_past(&mut self) {
        let arena = &mut self.arena;
        // SAFETY: it was replaced in the directory, and all have left who could
        // have found it there: that is what `Past` waits for. All blocks come
        // from this arena.
        self.past.reclaim(|block| unsafe { block.free(arena) });
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let blocks: Vec<_> = self.blocks().collect();
        let writer = self.writer.get_mut();
        let writer = writer.unwrap_or_else(PoisonError::into_inner);
        writer.end(&self.present);
        for block in blocks {
            // SAFETY: nobody has borrowed the keyring any more, so nobody reads
            // it, and each block is here once.
            unsafe { block.free(&mut writer.arena) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
