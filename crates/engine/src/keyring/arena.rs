//! The memory that blocks lie in: chunks of a huge page, cut into blocks.
//!
//! For the writer at turn, who alone takes blocks and gives them back. It takes
//! the one of the lowest address, so that what was freed last is likely used
//! again, and higher chunks run empty. Those go back to the system, but for
//! what is set aside and for one: the next block that is needed should not have
//! to wait for it.

use std::alloc::{Layout, handle_alloc_error};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ptr::NonNull;

use super::block::Block;
use super::error::OutOfMemory;
use crate::memory::Memory;

/// Blocks in a chunk, a bit of a word for each: one huge page.
const BLOCKS: usize = 64;
const CHUNK_BYTES: usize = BLOCKS * size_of::<Block>();
const ALL_FREE: u64 = u64::MAX;

const _: () = assert!(CHUNK_BYTES == crate::memory::HUGE_PAGE || cfg!(any(test, loom, fuzzing)));

/// Where blocks come from. Frees all of them when it is dropped, whoever still
/// points to one.
pub(super) struct Arena {
    /// By address.
    chunks: BTreeMap<usize, Chunk>,
    /// Those that have a free block.
    open: BTreeSet<usize>,
    /// How many have nothing but free ones.
    empty: usize,
    /// Free blocks, in all of them.
    free: usize,
    /// How many of those are set aside.
    reserved: usize,
}

struct Chunk {
    memory: Memory,
    /// A bit for each block that is free.
    free: u64,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self {
            chunks: BTreeMap::new(),
            open: BTreeSet::new(),
            empty: 0,
            free: 0,
            reserved: 0,
        }
    }

    /// Sets memory aside for so many blocks in all: as many can be taken before
    /// one has to come from the system, whatever is given back in between.
    pub(super) fn reserve(&mut self, blocks: usize) -> Result<(), OutOfMemory> {
        self.reserved = blocks;
        while self.free < blocks {
            if let Err(none) = self.extend() {
                self.release();
                return Err(none);
            }
        }
        Ok(())
    }

    /// Sets nothing aside any longer: empty chunks go back, but for one.
    pub(super) fn release(&mut self) {
        self.reserved = 0;
        if self.empty <= 1 {
            return;
        }
        let chunks = &mut self.chunks;
        let mut kept = false;
        self.open.retain(|at| {
            if chunks[at].free != ALL_FREE || !mem::replace(&mut kept, true) {
                return true;
            }
            chunks.remove(at);
            false
        });
        self.free -= (self.empty - 1) * BLOCKS;
        self.empty = 1;
    }

    /// Memory for a block, the caller's alone until it is given back or the
    /// arena is dropped. What lies in it is of no meaning. Where none was
    /// reserved and the system has none, ends the process, as any allocation
    /// does.
    pub(super) fn take(&mut self) -> NonNull<Block> {
        let at = match self.open.first() {
            Some(at) => *at,
            None => self
                .extend()
                .unwrap_or_else(|_| handle_alloc_error(Layout::new::<[Block; BLOCKS]>())),
        };
        let Some(chunk) = self.chunks.get_mut(&at) else {
            unreachable!("an open chunk is a chunk");
        };
        if chunk.free == ALL_FREE {
            self.empty -= 1;
        }
        self.free -= 1;
        self.reserved = self.reserved.saturating_sub(1);
        let number = chunk.free.trailing_zeros();
        chunk.free &= !(1 << number);
        if chunk.free == 0 {
            self.open.remove(&at);
        }
        let bytes = number as usize * size_of::<Block>();
        let block = chunk.memory.start().as_ptr().wrapping_add(bytes);
        let Some(block) = NonNull::new(block.cast()) else {
            unreachable!("it lies within the chunk");
        };
        block
    }

    /// Takes back what `take` gave.
    ///
    /// # Safety
    ///
    /// This arena gave it, nobody uses it any more, and it is given back this
    /// once.
    pub(super) unsafe fn give_back(&mut self, block: NonNull<Block>) {
        let block = block.as_ptr().addr();
        let Some((&at, chunk)) = self.chunks.range_mut(..=block).next_back() else {
            unreachable!("a block lies in a chunk");
        };
        let bit = 1 << ((block - at) / size_of::<Block>());
        debug_assert!(chunk.free & bit == 0, "given back twice");
        if chunk.free == 0 {
            self.open.insert(at);
        }
        chunk.free |= bit;
        self.free += 1;
        if chunk.free == ALL_FREE {
            if self.empty > 0 && self.free - BLOCKS >= self.reserved {
                self.open.remove(&at);
                self.chunks.remove(&at);
                self.free -= BLOCKS;
            } else {
                self.empty += 1;
            }
        }
    }

    /// Adds a chunk; its address.
    fn extend(&mut self) -> Result<usize, OutOfMemory> {
        let memory = Memory::zeroed(CHUNK_BYTES).map_err(|_| OutOfMemory)?;
        let at = memory.start().as_ptr().addr();
        let free = ALL_FREE;
        self.chunks.insert(at, Chunk { memory, free });
        self.open.insert(at);
        self.empty += 1;
        self.free += BLOCKS;
        Ok(at)
    }

    /// How many blocks are taken.
    pub(super) fn taken(&self) -> usize {
        self.chunks.len() * BLOCKS - self.free
    }

    /// How many chunks there are.
    #[cfg(test)]
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_one_owners_alone() {
        let mut arena = Arena::new();
        let mut blocks: Vec<_> = (0..3 * BLOCKS).map(|_| arena.take()).collect();
        assert_eq!((arena.taken(), arena.chunks()), (3 * BLOCKS, 3));
        blocks.sort_unstable();
        let apart = |pair: &[NonNull<Block>]| {
            pair[1].addr().get() - pair[0].addr().get() >= size_of::<Block>()
        };
        assert!(blocks.windows(2).all(apart));
        assert!(blocks.iter().all(|block| block.is_aligned()));
        for block in blocks {
            // SAFETY: it was just taken, and nobody uses it.
            unsafe { arena.give_back(block) };
        }
        assert_eq!((arena.taken(), arena.chunks()), (0, 1), "one is kept");
        assert_eq!(arena.free, BLOCKS);
    }

    #[test]
    fn what_was_freed_is_used_again() {
        let mut arena = Arena::new();
        let blocks: Vec<_> = (0..2 * BLOCKS).map(|_| arena.take()).collect();
        for round in 0..100 {
            let block = blocks[round * 37 % blocks.len()];
            // SAFETY: it was taken, and nobody uses it.
            unsafe { arena.give_back(block) };
            assert_eq!(arena.take(), block);
        }
        assert_eq!(arena.chunks(), 2);
    }

    #[test]
    fn what_was_reserved_is_there() {
        let mut arena = Arena::new();
        arena.reserve(BLOCKS + 1).unwrap();
        assert_eq!((arena.free, arena.chunks()), (2 * BLOCKS, 2));
        let taken: Vec<_> = (0..BLOCKS + 1).map(|_| arena.take()).collect();
        assert_eq!((arena.free, arena.chunks()), (BLOCKS - 1, 2));
        arena.reserve(BLOCKS - 1).unwrap();
        assert_eq!(arena.chunks(), 2);
        arena.reserve(BLOCKS).unwrap();
        assert_eq!(arena.chunks(), 3);
        for block in taken {
            // SAFETY: it was taken, and nobody uses it.
            unsafe { arena.give_back(block) };
        }
        assert_eq!((arena.taken(), arena.chunks()), (0, 1), "one is kept");
    }

    #[test]
    fn what_is_given_back_takes_nothing_from_what_was_reserved() {
        let mut arena = Arena::new();
        let taken: Vec<_> = (0..BLOCKS + 1).map(|_| arena.take()).collect();
        arena.reserve(2 * BLOCKS - 1).unwrap();
        assert_eq!((arena.free, arena.chunks()), (2 * BLOCKS - 1, 3));
        // SAFETY: it was taken, and nobody uses it.
        unsafe { arena.give_back(taken[BLOCKS]) };
        assert_eq!((arena.free, arena.chunks()), (2 * BLOCKS, 3));
        arena.release();
        assert_eq!((arena.free, arena.chunks()), (BLOCKS, 2), "one is kept");
    }
}
