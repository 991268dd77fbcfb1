//! Blocks that were published, and drafts of those that will be.
//!
//! Their memory is the writers', who take it from the arena and give it back
//! once nobody reads it (see `generation`). The arena outlives every reader,
//! for both are the keyring's: what a reader holds borrows the keyring.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::arena::Arena;
use super::block::{Block, Header, PLACES, home};
use super::directory::Entry;
use super::place::Place;
use crate::sync::{AtomicPtr, Ordering};

/// The address of a block that was published.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlockPtr(NonNull<Block>);

// SAFETY: an address shows nothing of itself; who makes a reference of it says
// why. A block is shared between threads as what it is made of: atomics, places
// that are `Sync`, and lists in an `Arc`.
unsafe impl Send for BlockPtr {}
// SAFETY: as above.
unsafe impl Sync for BlockPtr {}

impl BlockPtr {
    /// The block.
    ///
    /// # Safety
    ///
    /// The block is not freed for as long as `'a`.
    #[inline]
    pub(super) unsafe fn get<'a>(self) -> &'a Block {
        // SAFETY: it was written in full before its address was published, and
        // is not freed, says the caller. None but a draft, whose address nobody
        // else has, is ever borrowed mutably.
        unsafe { self.0.as_ref() }
    }

    /// Where it lies: to be asked for in advance.
    pub(super) fn address(self) -> *const Block {
        self.0.as_ptr()
    }

    /// Where in it the search for a hash begins: to be asked for in advance.
    pub(super) fn home(self, hash: u64) -> *const Place {
        let places = Block::places_within(self.0.as_ptr()).cast::<Place>();
        places.wrapping_add(home(hash))
    }

    /// Frees the block.
    ///
    /// # Safety
    ///
    /// Nobody reads it any more, nor will; it came from this arena.
    pub(super) unsafe fn free(self, arena: &mut Arena) {
        // SAFETY: nobody reads the header, says the caller, and it is dropped
        // this once. Nothing else in a block needs it.
        unsafe { Block::header_within(self.0.as_ptr()).drop_in_place() };
        // SAFETY: it came from this arena, and nobody uses it any more.
        unsafe { arena.give_back(self.0) };
    }
}

/// An entry that leads to a block.
pub(super) struct BlockEntry(AtomicPtr<Block>);

impl Entry for BlockEntry {
    type Block = BlockPtr;

    fn new(block: BlockPtr) -> Self {
        Self(AtomicPtr::new(block.0.as_ptr()))
    }

    #[inline]
    fn load(&self) -> BlockPtr {
        // Acquire pairs with the Release in `store`: who finds the address finds
        // the block, and that the directory has doubled before.
        let block = self.0.load(Ordering::Acquire);
        // SAFETY: `new` and `store` put in what is not null.
        BlockPtr(unsafe { NonNull::new_unchecked(block) })
    }

    fn store(&self, block: BlockPtr) {
        // Release: publishes the block.
        self.0.store(block.0.as_ptr(), Ordering::Release);
    }
}

/// A block that nobody else sees yet.
pub(super) struct Draft(NonNull<Block>);

impl Draft {
    /// An empty block.
    pub(super) fn empty(depth: u32, arena: &mut Arena) -> Self {
        let block = arena.take();
        // SAFETY: the arena gave the memory of a block, aligned as one, to us
        // alone.
        unsafe { Block::header_within(block.as_ptr()).write(Header::new(depth)) };
        let first = Block::places_within(block.as_ptr()).cast::<Place>();
        for number in 0..PLACES {
            let place = first.wrapping_add(number);
            // SAFETY: as above; so many places are in a block.
            unsafe { place.write(Place::empty()) };
        }
        Self(block)
    }

    /// A copy of a block, to be changed.
    ///
    /// # Safety
    ///
    /// The caller is the writer at turn: no place is filled meanwhile.
    pub(super) unsafe fn copy(of: &Block, arena: &mut Arena) -> Self {
        let block = arena.take();
        // SAFETY: as in `empty`.
        unsafe { Block::header_within(block.as_ptr()).write(of.header.copy()) };
        let places = Block::places_within(block.as_ptr());
        // SAFETY: as above; no place is filled meanwhile, says the caller.
        unsafe { Place::copy_all(&of.places, places) };
        Self(block)
    }

    /// From now on it is shared, and no more changed.
    pub(super) fn publish(self) -> BlockPtr {
        BlockPtr(self.0)
    }

    /// Frees it again.
    #[cfg(test)]
    pub(super) fn discard(self, arena: &mut Arena) {
        // SAFETY: nobody else has its address.
        unsafe { BlockPtr(self.0).free(arena) }
    }
}

impl Deref for Draft {
    type Target = Block;

    fn deref(&self) -> &Block {
        // SAFETY: written in full when the draft was made, and ours alone.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Block {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
