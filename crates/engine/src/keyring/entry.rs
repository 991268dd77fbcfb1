//! An entry of the directory: `arc-swap` over a block, and its address beside.
//!
//! Readers hold a block by `arc-swap`, which takes locked instructions. To ask
//! for a line in advance its address is enough, and nothing is held.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::sync::atomic::{AtomicPtr, Ordering};

use arc_swap::{ArcSwapAny, Guard, RefCnt};

use super::block::Block;
use super::counted::BlockRef;
use super::directory::Entry;
use crate::prefetch::prefetch_at;

/// An entry that leads to a block.
pub(super) struct BlockEntry {
    block: ArcSwapAny<BlockRef>,
    /// The same block, but for moments in which a writer replaces it.
    address: AtomicPtr<Block>,
}

impl Entry for BlockEntry {
    type Block = BlockRef;
    type Held = Guard<BlockRef>;

    fn new(block: BlockRef) -> Self {
        Self {
            address: AtomicPtr::new(BlockRef::as_ptr(&block)),
            block: ArcSwapAny::new(block),
        }
    }

    #[inline]
    fn load(&self) -> Guard<BlockRef> {
        self.block.load()
    }

    fn swap(&self, block: BlockRef) -> BlockRef {
        // Relaxed: readers take it for a hint, and writers take turns.
        self.address
            .store(BlockRef::as_ptr(&block), Ordering::Relaxed);
        self.block.swap(block)
    }
}

impl BlockEntry {
    /// Asks for the line in which the search for a hash begins.
    #[inline]
    pub(super) fn expect(&self, hash: u64) {
        // Relaxed: should the block be another by now, nothing is lost but time.
        let block = self.address.load(Ordering::Relaxed);
        prefetch_at(Block::home_within(block, hash));
    }

    /// Asks for the block's header.
    pub(super) fn expect_header(&self) {
        // Relaxed: as above.
        prefetch_at(self.address.load(Ordering::Relaxed));
    }

    /// The block.
    ///
    /// # Safety
    ///
    /// The caller is the writer at turn, and frees no block meanwhile.
    pub(super) unsafe fn block(&self) -> &Block {
        // Relaxed: writers take turns.
        let block = self.address.load(Ordering::Relaxed);
        // SAFETY: `self.block` refers to it, and only the writer at turn could
        // put another in its place, and free it.
        unsafe { &*block }
    }
}
