//! Which block a key belongs to: extendible hashing.
//!
//! A table of 2^depth entries, chosen by the lower bits of a key's hash. Several
//! entries may lead to one block, whose keys then agree in fewer bits. A block
//! that is too full is split alone; where that needs a bit more than the table
//! goes by, the table doubles, and each new entry leads where its twin did. So
//! the keyring grows a block at a time (Fagin and others, "Extendible Hashing",
//! ACM TODS 4, 1979).
//!
//! Entries never move: each doubling adds a segment, as long as all before.
//!
//! # Readers without a lock
//!
//! A reader looks up how many bits count, then the entry. Between the two the
//! table may double and the entry be given a block of more bits, which is not
//! that of the key: so who does not find its key looks whether the bits are
//! still as many, else looks again. A key that was found is right whatever
//! happened, since it lies in no block but its own.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use super::error::OutOfMemory;
use crate::sync::{AtomicU64, Ordering};

/// Entries from the start, as a power of two.
const FIRST_BITS: u32 = if cfg!(any(test, loom, fuzzing)) { 1 } else { 4 };
/// The most bits that can count. Of the other half of a hash the place in a
/// block is made.
pub(super) const MAX_DEPTH: u32 = 32;
const SEGMENTS: usize = (MAX_DEPTH - FIRST_BITS) as usize + 1;

/// An entry: one place that readers load from while a writer stores. Loading
/// acquires what storing releases.
pub(super) trait Entry {
    /// The address of a block.
    type Block: Copy;

    fn new(block: Self::Block) -> Self;
    fn load(&self) -> Self::Block;
    fn store(&self, block: Self::Block);
}

/// The table of entries.
pub(super) struct Directory<E> {
    /// The bits of a hash that count: 2^depth - 1.
    mask: AtomicU64,
    /// The same as a number, for writers alone, who take turns: so relaxed
    /// throughout, and of no concern to a model.
    depth: std::sync::atomic::AtomicU32,
    /// The first holds 2^`FIRST_BITS` entries, each other one as many as all
    /// before it.
    segments: [OnceLock<Box<[E]>>; SEGMENTS],
}

/// What a look at the directory found, and by how many bits.
pub(super) struct Look<B> {
    pub(super) block: B,
    pub(super) bits: Bits,
}

/// The bits that counted, as a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits(u64);

impl<E: Entry> Directory<E> {
    /// A directory all of whose entries lead to one block.
    pub(super) fn new(block: E::Block) -> Self {
        let entries = std::iter::repeat_with(|| E::new(block));
        let first: Box<[E]> = entries.take(1 << FIRST_BITS).collect();
        let mut segments = [const { OnceLock::new() }; SEGMENTS];
        segments[0] = OnceLock::from(first);
        Self {
            mask: AtomicU64::new((1 << FIRST_BITS) - 1),
            depth: FIRST_BITS.into(),
            segments,
        }
    }

    /// The entry of a number below 2^depth.
    #[inline]
    fn entry(&self, number: u64) -> &E {
        let bits = (number | ((1 << FIRST_BITS) - 1)).ilog2();
        let segment = self.segments[(bits + 1 - FIRST_BITS) as usize].get();
        // Whoever knows of a number has seen the mask, which comes after.
        let segment = segment.expect("a segment is there before its numbers count");
        &segment[number as usize & (segment.len() - 1)]
    }

    /// The block of a hash, as far as the calling thread knows: that of the key,
    /// or the other half of one that was split since, or the whole one.
    #[inline]
    pub(super) fn look(&self, hash: u64) -> Look<E::Block> {
        // Acquire pairs with the Release in `double`: the segments that the
        // mask leads to are there.
        let mask = self.mask.load(Ordering::Acquire);
        let block = self.entry(hash & mask).load();
        let bits = Bits(mask);
        Look { block, bits }
    }

    /// For who did not find its key in the block of a look: another block to
    /// look in, if that one may have been split meanwhile. Lock-free: there is
    /// one only where the table doubled.
    #[inline]
    pub(super) fn look_again(&self, hash: u64, last: Bits) -> Option<Look<E::Block>> {
        // If the block goes by more bits than the mask had, the table was
        // doubled before the block was put into the entry; since the entry was
        // loaded with Acquire, this load sees it.
        let is_another = self.mask.load(Ordering::Acquire) != last.0;
        is_another.then(|| self.look(hash))
    }

    /// Puts a block in place of those that its keys belonged to: into every
    /// entry that agrees with `hash` in the lower `depth` bits. For the writer
    /// at turn, who has deepened the table to as many bits.
    pub(super) fn put(&self, block: E::Block, hash: u64, depth: u32) {
        debug_assert!(depth <= self.depth(), "deepened before");
        let first = hash & ((1 << depth) - 1);
        // The last first: who looks again, by more bits than before, then never
        // comes to an entry that is still as it was before the one it saw.
        for twin in (0..1_u64 << (self.depth() - depth)).rev() {
            self.entry(first | twin << depth).store(block);
        }
    }

    /// Lets at least so many bits count; where there is no memory, perhaps some
    /// of them. Which key belongs to which block stays as it is. For the writer
    /// at turn.
    pub(super) fn deepen(&self, depth: u32) -> Result<(), OutOfMemory> {
        while self.depth() < depth {
            self.double()?;
        }
        Ok(())
    }

    /// Lets one more bit count. Copies every entry once; readers are not kept
    /// waiting.
    fn double(&self) -> Result<(), OutOfMemory> {
        let depth = self.depth();
        let twin = |number| E::new(self.entry(number).load());
        let mut more = Vec::new();
        more.try_reserve_exact(1 << depth)
            .map_err(|_| OutOfMemory)?;
        more.extend((0..1 << depth).map(twin));
        // Nobody else sets it: writers take turns.
        let _ = self.segments[(depth + 1 - FIRST_BITS) as usize].set(more.into_boxed_slice());
        // Release: see `look`. Before any entry is given a block that goes by
        // the new bit.
        self.mask.store((2 << depth) - 1, Ordering::Release);
        // Relaxed, here and below: writers alone ask for it, and take turns.
        self.depth.store(depth + 1, Relaxed);
        Ok(())
    }

    /// Every entry's block, with the entry's number. For the writer at turn.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, E::Block)> {
        (0..1 << self.depth()).map(|number| (number, self.entry(number).load()))
    }

    /// How many bits of a hash count. For the writer at turn.
    pub(super) fn depth(&self) -> u32 {
        self.depth.load(Relaxed)
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
