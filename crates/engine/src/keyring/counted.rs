//! Blocks by reference count, and drafts of them.
//!
//! Like an `Arc`, but that the memory is the writer's, who takes it from the
//! arena and gives it back once nobody reads it: a reader never frees. The
//! arena outlives every reference, for both are the keyring's: it is dropped
//! last, and what a reader holds borrows the keyring.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use arc_swap::RefCnt;

use super::arena::Arena;
use super::block::{Block, Header, PLACES};
use super::place::Place;

/// A counted reference to a block that was published.
pub(super) struct BlockRef(NonNull<Block>);

// SAFETY: a block is shared between threads as what it is made of: atomics,
// places that are `Sync`, and lists in an `Arc`.
unsafe impl Send for BlockRef {}
// SAFETY: as above.
unsafe impl Sync for BlockRef {}

impl Deref for BlockRef {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        // SAFETY: the block was written in full before the first reference was
        // made, and its memory is given back only after the last is gone. None
        // but a draft, of which there is no other reference, is ever borrowed
        // mutably.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for BlockRef {
    fn clone(&self) -> Self {
        // Relaxed: who makes a reference has one already, as with `Arc`. It
        // cannot overflow: there are fewer directory entries and threads.
        self.header.references.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for BlockRef {
    fn drop(&mut self) {
        // Release, and Acquire for the last: all that was read through other
        // references was read before the lists are dropped.
        if self.header.references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: this was the last reference, so nobody reads the header,
            // and it is dropped this once. Nothing else in a block needs it.
            unsafe { Block::header_within(self.0.as_ptr()).drop_in_place() }
        }
    }
}

// SAFETY: a reference is the block's address and nothing else, so two equal ones
// count in the same place. `into_ptr` and `from_ptr` leave the count as it is;
// a block does not move.
unsafe impl RefCnt for BlockRef {
    type Base = Block;

    fn into_ptr(me: Self) -> *mut Block {
        ManuallyDrop::new(me).0.as_ptr()
    }

    fn as_ptr(me: &Self) -> *mut Block {
        me.0.as_ptr()
    }

    unsafe fn from_ptr(block: *const Block) -> Self {
        // SAFETY: it came from `into_ptr`, so it is not null.
        Self(unsafe { NonNull::new_unchecked(block.cast_mut()) })
    }
}

impl BlockRef {
    /// Gives the memory back if this is the only reference; else the reference
    /// is returned. It must have been taken out of everywhere that readers
    /// find it in.
    pub(super) fn free(self, arena: &mut Arena) -> Result<(), Self> {
        // Acquire pairs with the Release of the reference that was dropped
        // last. The count cannot rise again: nobody else has the reference.
        if self.header.references.load(Ordering::Acquire) > 1 {
            return Err(self);
        }
        let block = self.0;
        drop(self);
        arena.give_back(block);
        Ok(())
    }
}

/// A block that nobody else sees yet.
pub(super) struct Draft(BlockRef);

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
        Self(BlockRef(block))
    }

    /// A copy of a block, to be changed. For the writer at turn, so that no
    /// place is filled meanwhile.
    pub(super) fn copy(of: &Block, arena: &mut Arena) -> Self {
        let block = arena.take();
        // SAFETY: as in `empty`.
        unsafe { Block::header_within(block.as_ptr()).write(of.header.copy()) };
        let places = Block::places_within(block.as_ptr());
        // SAFETY: as above, and so it does not overlap with a block that is in
        // use. A place is plain data, which nobody writes meanwhile.
        unsafe { places.copy_from_nonoverlapping(&raw const of.places, 1) };
        Self(BlockRef(block))
    }

    /// From now on it is shared, and no more changed.
    pub(super) fn publish(self) -> BlockRef {
        self.0
    }
}

impl Deref for Draft {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.0
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Block {
        // SAFETY: a draft is the only reference to its block.
        unsafe { self.0.0.as_mut() }
    }
}
