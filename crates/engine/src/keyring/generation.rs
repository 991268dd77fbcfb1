//! Which blocks nobody reads any more.
//!
//! A reader enters the present generation, by `arc-swap`, and may then follow
//! every address that it finds in the directory until it leaves. A writer puts
//! new blocks in place of old ones and then ends the generation: whoever enters
//! the next one finds the new blocks only. So what was replaced in a generation
//! is free once that one and all before it have been left: an earlier reader
//! too may have found a block of later on.
//!
//! One entry is enough for any number of look-ups, and takes the same two
//! locked instructions as a single one; a reader never frees.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::sync::step;

/// A span of time, from one writer's end of the last to the next.
///
/// Holds a byte: `arc-swap` keeps the address of the value, and behind nothing
/// at all that would lie at the end of what was allocated, where tools that look
/// for leaks see no reference to it.
pub(super) struct Generation(#[expect(dead_code, reason = "only its address matters")] u8);

/// The present generation, for readers.
pub(super) struct Present(ArcSwap<Generation>);

/// An entered generation; left when it is dropped.
pub(super) type Entered = Guard<Arc<Generation>>;

impl Present {
    pub(super) fn new() -> Self {
        Self(ArcSwap::from_pointee(Generation(0)))
    }

    /// Enters it. Lock-free; allocates only the first time a thread comes here.
    #[inline]
    pub(super) fn enter(&self) -> Entered {
        step();
        self.0.load()
    }

    /// Ends it, and begins the next.
    fn end(&self) -> Arc<Generation> {
        step();
        self.0.swap(Arc::new(Generation(0)))
    }
}

/// A generation that has ended.
pub(super) trait Ended {
    /// Whether all who had entered it have left, and what they read was read
    /// before this. Once true it stays so: nobody can enter it any more.
    fn is_left(&mut self) -> bool;
}

impl Ended for Arc<Generation> {
    fn is_left(&mut self) -> bool {
        step();
        // It came from `ArcSwap::swap`, so that every hold on it that readers
        // still have is counted; and `get_mut` synchronises with those that
        // were dropped, as `Arc::try_unwrap` would.
        Arc::get_mut(self).is_some()
    }
}

/// What writers have replaced and not yet freed.
pub(super) struct Past<T, G = Arc<Generation>> {
    /// In the generation that has not ended yet.
    present: Vec<T>,
    /// In those before, the oldest first.
    ended: VecDeque<(G, Vec<T>)>,
}

impl<T, G: Ended> Past<T, G> {
    pub(super) fn new() -> Self {
        Self {
            present: Vec::new(),
            ended: VecDeque::new(),
        }
    }

    /// Notes what was replaced: nobody can find it any more, but who has
    /// entered the present generation or an earlier one.
    pub(super) fn replaced(&mut self, what: T) {
        self.present.push(what);
    }

    /// How much was replaced in the present generation.
    pub(super) fn present(&self) -> usize {
        self.present.len()
    }

    /// Ends the present generation, by `end`, if anything was replaced in it.
    fn end_by(&mut self, end: impl FnOnce() -> G) {
        if !self.present.is_empty() {
            self.ended
                .push_back((end(), std::mem::take(&mut self.present)));
        }
    }

    /// Hands out all that nobody reads any more.
    pub(super) fn reclaim(&mut self, mut free: impl FnMut(T)) {
        while let Some((generation, _)) = self.ended.front_mut()
            && generation.is_left()
        {
            let (_, replaced) = self.ended.pop_front().unwrap_or_else(|| unreachable!());
            replaced.into_iter().for_each(&mut free);
        }
    }

    /// How much waits to be freed.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let ended = self.ended.iter().map(|(_, replaced)| replaced.len());
        self.present.len() + ended.sum::<usize>()
    }
}

impl<T> Past<T> {
    /// Ends the present generation, if anything was replaced in it.
    pub(super) fn end(&mut self, present: &Present) {
        self.end_by(|| present.end());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn freed(past: &mut Past<u32>) -> Vec<u32> {
        let mut freed = Vec::new();
        past.reclaim(|what| freed.push(what));
        freed
    }

    #[test]
    fn an_early_reader_holds_what_was_replaced_later() {
        let present = Present::new();
        let mut past = Past::new();
        let early = present.enter();
        past.replaced(1);
        past.end(&present);
        let late = present.enter();
        past.replaced(2);
        past.end(&present);
        assert!(freed(&mut past).is_empty());
        drop(late);
        assert!(freed(&mut past).is_empty(), "the early one may read it");
        let latest = present.enter();
        drop(early);
        assert_eq!(freed(&mut past), [1, 2]);
        drop(latest);
    }

    #[test]
    fn without_a_change_no_generation_ends() {
        let present = Present::new();
        let mut past = Past::<u32>::new();
        let before = Arc::as_ptr(&present.0.load_full());
        past.end(&present);
        assert_eq!(Arc::as_ptr(&present.0.load_full()), before);
        assert_eq!(past.waiting(), 0);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    //! `arc-swap` is a mutex over an `Arc` here, which gives no more than it. The
    //! entry is the directory's.

    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::super::arena::Arena;
    use super::super::directory::Entry;
    use super::super::published::{BlockEntry, BlockPtr, Draft};
    use super::*;

    /// A generation that is over when `left` says so of its `Arc`.
    struct Counted(Arc<()>, fn(&mut Arc<()>) -> bool);

    impl Ended for Counted {
        fn is_left(&mut self) -> bool {
            (self.1)(&mut self.0)
        }
    }

    fn is_left(generation: &mut Arc<()>) -> bool {
        Arc::get_mut(generation).is_some()
    }

    /// One entry of a directory, the addresses of blocks, and for each a cell
    /// that is read with it and written when it is freed.
    struct Shared {
        present: Mutex<Arc<()>>,
        entry: BlockEntry,
        blocks: [BlockPtr; 3],
        cells: [UnsafeCell<()>; 3],
    }

    // SAFETY: what the model is to show: loom reports each cell that is written
    // while it may be read.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}

    impl Shared {
        fn new() -> Arc<Self> {
            let mut arena = Arena::new();
            // Their addresses alone are used, so that the arena need not stay.
            let blocks = [(); 3].map(|()| Draft::empty(0, &mut arena).publish());
            Arc::new(Self {
                present: Mutex::new(Arc::new(())),
                entry: BlockEntry::new(blocks[0]),
                blocks,
                cells: [(); 3].map(UnsafeCell::new),
            })
        }

        fn end(&self) -> Arc<()> {
            std::mem::replace(&mut *self.present.lock().unwrap(), Arc::new(()))
        }

        /// Enters, follows the entry, and leaves.
        fn read(&self) -> usize {
            let entered = self.present.lock().unwrap().clone();
            let block = self.entry.load();
            let is_it = |other: &BlockPtr| *other == block;
            let block = self.blocks.iter().position(is_it).unwrap();
            self.cells[block].with(|_| thread::yield_now());
            drop(entered);
            block
        }

        fn free(&self, block: usize) {
            self.cells[block].with_mut(|_| ());
        }

        /// Puts block `new` in place of the one before it.
        fn replace(
            &self,
            new: usize,
            past: &mut Past<usize, Counted>,
            left: fn(&mut Arc<()>) -> bool,
        ) {
            self.entry.store(self.blocks[new]);
            past.replaced(new - 1);
            past.end_by(|| Counted(self.end(), left));
            past.reclaim(|block| self.free(block));
        }
    }

    fn two_changes_beside_a_reader(left: fn(&mut Arc<()>) -> bool) {
        loom::model(move || {
            let shared = Shared::new();
            let reader = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let first = shared.read();
                    assert!(shared.read() >= first);
                })
            };
            let mut past = Past::new();
            shared.replace(1, &mut past, left);
            shared.replace(2, &mut past, left);
            reader.join().unwrap();
            assert_eq!(shared.read(), 2);
            past.reclaim(|block| shared.free(block));
            assert_eq!(past.waiting(), 0);
        });
    }

    #[test]
    fn loom_no_block_is_freed_under_its_reader() {
        two_changes_beside_a_reader(is_left);
    }

    /// The broken twin: what was replaced is freed without a look at who reads.
    #[test]
    #[should_panic(expected = "currently reading")]
    fn loom_finds_the_fault_of_not_looking() {
        two_changes_beside_a_reader(|_| true);
    }

    /// Another: each generation is freed for itself, whatever was before it.
    #[test]
    #[should_panic(expected = "currently reading")]
    fn loom_finds_the_fault_of_looking_at_one_generation() {
        loom::model(|| {
            let shared = Shared::new();
            let reader = {
                let shared = shared.clone();
                thread::spawn(move || shared.read())
            };
            let mut first = Past::new();
            shared.replace(1, &mut first, is_left);
            let mut second = Past::new();
            shared.replace(2, &mut second, is_left);
            reader.join().unwrap();
        });
    }

    /// And one more: the generation ends before the block is replaced.
    #[test]
    #[should_panic(expected = "Causality violation")]
    fn loom_finds_the_fault_of_ending_early() {
        loom::model(|| {
            let shared = Shared::new();
            let reader = {
                let shared = shared.clone();
                thread::spawn(move || shared.read())
            };
            let mut past = Past::new();
            let ended = Counted(shared.end(), is_left);
            shared.entry.store(shared.blocks[1]);
            past.replaced(0);
            past.end_by(|| ended);
            past.reclaim(|block| shared.free(block));
            reader.join().unwrap();
        });
    }
}
