//! An entry of the directory: `arc-swap` over a block.

use arc_swap::{ArcSwapAny, Guard};

use super::counted::BlockRef;
use super::directory::Entry;

impl Entry for ArcSwapAny<BlockRef> {
    type Block = BlockRef;
    type Held = Guard<BlockRef>;

    fn new(block: BlockRef) -> Self {
        Self::new(block)
    }

    #[inline]
    fn load(&self) -> Guard<BlockRef> {
        self.load()
    }

    fn swap(&self, block: BlockRef) -> BlockRef {
        self.swap(block)
    }
}
