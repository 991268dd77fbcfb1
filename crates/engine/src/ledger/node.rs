//! What the directory of a shared ledger is made of: nodes, and the branches
//! that lead to them.

use super::place::Place;
use crate::key::KeyId;
use crate::sync::{AtomicU64, Ordering};

/// What no branch leads to.
pub(super) const NOWHERE: u32 = 0;

/// Half a word that leads to a node, or nowhere.
#[derive(Clone, Copy)]
pub(super) struct Branch<'a> {
    pub(super) word: &'a AtomicU64,
    shift: u32,
}

impl<'a> Branch<'a> {
    pub(super) fn of(words: &'a [AtomicU64], at: usize) -> Self {
        Self {
            word: &words[at / 2],
            shift: if at.is_multiple_of(2) { 0 } else { 32 },
        }
    }

    fn half(self, word: u64) -> u32 {
        (word >> self.shift) as u32
    }

    pub(super) fn load(self) -> u32 {
        // Acquire pairs with `lead`: who finds the node finds its key.
        self.half(self.word.load(Ordering::Acquire))
    }

    /// Leads to a node from now on, unless it does so already: to which.
    pub(super) fn lead(self, node: u32) -> Result<(), u32> {
        // Acquire: see `load`.
        let mut seen = self.word.load(Ordering::Acquire);
        loop {
            let there = self.half(seen);
            if there != NOWHERE {
                return Err(there);
            }
            let next = seen | u64::from(node) << self.shift;
            // Release publishes the node's key. Acquire on failure: see `load`.
            let swapped =
                self.word
                    .compare_exchange_weak(seen, next, Ordering::Release, Ordering::Acquire);
            match swapped {
                Ok(_) => return Ok(()),
                Err(now_there) => seen = now_there,
            }
        }
    }
}

/// One key's node: half a line.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a [AtomicU64; 4]);

impl<'a> Node<'a> {
    /// Names the node's key, which has no slot and from which nothing branches.
    /// Before it is led to.
    pub(super) fn name(self, id: KeyId) {
        // Relaxed: published by `Branch::lead`. Zero is nobody's.
        self.0[0].store(id.to_bits() + 1, Ordering::Relaxed);
        for word in &self.0[1..] {
            // Relaxed: as above.
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The bits of the key's id; `None` in one that was never named.
    pub(super) fn id_bits(self) -> Option<u64> {
        // Relaxed: who was led here has acquired it, and it never changes.
        self.0[0].load(Ordering::Relaxed).checked_sub(1)
    }

    /// Where the key's slot is told.
    fn place(self) -> &'a AtomicU64 {
        &self.0[1]
    }

    /// Where the key's slot is, as the word says it.
    pub(super) fn look(self) -> u64 {
        // Acquire pairs with the swap by which a slot is given: its ring was
        // cleared before.
        self.place().load(Ordering::Acquire)
    }

    /// Where the key's slot is.
    pub(super) fn found(self) -> Place {
        Place::of(self.look())
    }

    pub(super) fn branch(self, at: usize) -> Branch<'a> {
        Branch::of(&self.0[2..], at)
    }

    /// Replaces what was found; whether that was still there.
    pub(super) fn replace(self, seen: u64, next: Place) -> bool {
        // Release publishes a cleared ring. Relaxed where it fails: Acquire is
        // left to the next look.
        self.place()
            .compare_exchange(seen, next.word(), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}

/// The way to a key: what is left of its hash.
pub(super) struct Path(pub(super) u64);

impl Path {
    pub(super) fn turn(&mut self) -> usize {
        let turn = self.0 & 3;
        self.0 >>= 2;
        turn as usize
    }
}
