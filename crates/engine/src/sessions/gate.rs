//! Who is reading: so a writer knows when nobody can still be reading what it
//! replaced.
//!
//! Readers count themselves in and out, in one of two phases, as in sleepable
//! RCU (McKenney, "Sleepable Read-Copy Update", 2006). A writer that has
//! unlinked something waits, without blocking anybody, until the phase not in
//! use is clear, turns the phases over, and waits until the other is clear too.
//! Two phases, so that readers who keep coming never keep it waiting; both,
//! since a reader may be slow between looking up the phase and counting itself
//! in.

use std::cell::Cell;

use crate::sync::{AtomicU64, Ordering, fence};

/// Readers of different shards share no cache line. More threads than shards
/// share them.
const SHARDS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 16 };

/// Two lines, since processors fetch lines in pairs.
#[repr(align(128))]
struct Shard([AtomicU64; 2]);

/// The readers' counts.
pub(super) struct Gate {
    phase: AtomicU64,
    shards: [Shard; SHARDS],
}

/// A reader's way out: while it exists, nothing that was reachable since it
/// came to be is freed.
pub(super) struct Pass<'g> {
    readers: &'g AtomicU64,
}

/// How far a writer's waiting has come; ended by [`Gate::is_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grace {
    /// Until the phase not in use is clear.
    Unused,
    /// The phases were turned over; until this one is clear, which was in use.
    Used(u64),
}

impl Gate {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            phase: zero(),
            shards: std::array::from_fn(|_| Shard([zero(), zero()])),
        }
    }

    /// Lets a reader in. Wait-free; allocates nothing.
    pub(super) fn enter(&self) -> Pass<'_> {
        self.enter_by(own_shard())
    }

    fn enter_by(&self, shard: usize) -> Pass<'_> {
        // Relaxed: a phase that has just been turned over will do, which is
        // what the writer waits for both phases for.
        let phase = self.phase.load(Ordering::Relaxed);
        let readers = &self.shards[shard % SHARDS].0[(phase & 1) as usize];
        // Relaxed, for the fence puts it before all that the reader reads. It
        // pairs with the one in `is_clear`: either the writer sees us counted
        // in, or we see what it has put in place of what it unlinked.
        readers.fetch_add(1, Ordering::Relaxed);
        // SeqCst: only the one order of all such fences says which of the two
        // came first.
        fence(Ordering::SeqCst);
        Pass { readers }
    }

    /// Whether everybody who came before `grace` began has gone; takes it on
    /// as far as it goes. For one writer at a time.
    pub(super) fn is_over(&self, grace: &mut Grace) -> bool {
        if *grace == Grace::Unused {
            // Relaxed: only writers turn the phases over, one at a time.
            let used = self.phase.load(Ordering::Relaxed);
            if !self.is_clear(used + 1) {
                return false;
            }
            // Relaxed: a reader that has not seen it yet counts itself in the
            // phase that is waited for next.
            self.phase.store(used + 1, Ordering::Relaxed);
            *grace = Grace::Used(used);
        }
        match *grace {
            Grace::Used(used) => self.is_clear(used),
            Grace::Unused => false,
        }
    }

    fn is_clear(&self, phase: u64) -> bool {
        // SeqCst: pairs with the one in `enter_by`, and puts the unlinking
        // before the look at the readers.
        fence(Ordering::SeqCst);
        // Acquire pairs with the Release of the way out: what was read there
        // was read before what is freed here.
        let readers = |shard: &Shard| shard.0[(phase & 1) as usize].load(Ordering::Acquire);
        self.shards.iter().all(|shard| readers(shard) == 0)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Release: see `is_clear`.
        self.readers.fetch_sub(1, Ordering::Release);
    }
}

/// A number for each thread, given out in turn.
fn own_shard() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    thread_local! {
        /// 0 before the thread's first use. Const and without a destructor:
        /// reading it never allocates, and works to a thread's very end.
        static OWN: Cell<usize> = const { Cell::new(0) };
    }
    OWN.with(|own| {
        if own.get() == 0 {
            // Relaxed: a number and no more. After it has wrapped, some thread
            // may get 0 and ask again each time.
            own.set(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
        own.get()
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_only_those_waiting_who_came_later() {
        let gate = Gate::new();
        let early = gate.enter();
        let mut first = Grace::Unused;
        assert!(!gate.is_over(&mut first), "a reader is inside");
        // Comes after the phases were turned over, and stays.
        let late = gate.enter();
        assert!(!gate.is_over(&mut first));
        drop(early);
        assert!(gate.is_over(&mut first), "the late one is not waited for");
        let mut second = Grace::Unused;
        assert!(!gate.is_over(&mut second));
        drop(late);
        assert!(gate.is_over(&mut second));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::sync::bounded;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// What is read: `at` names the cell that is in place. A cell is written,
    /// which stands for its being freed, once nobody can be reading it.
    struct World {
        gate: Gate,
        at: AtomicU64,
        cells: [UnsafeCell<u64>; 3],
    }

    // SAFETY: what the model is to show: loom reports each cell that is
    // written while it may be read.
    unsafe impl Sync for World {}
    // SAFETY: as above.
    unsafe impl Send for World {}

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                gate: Gate::new(),
                at: AtomicU64::new(0),
                cells: std::array::from_fn(|_| UnsafeCell::new(1)),
            })
        }

        fn read(&self, shard: usize) {
            let _pass = self.gate.enter_by(shard);
            let at = self.at.load(Ordering::Acquire) as usize;
            // SAFETY: as above.
            self.cells[at].with(|cell| assert_eq!(unsafe { *cell }, 1, "read after free"));
        }

        fn free(&self, at: usize) {
            // SAFETY: as above.
            self.cells[at].with_mut(|cell| unsafe { *cell = 0 });
        }
    }

    fn model(test: impl Fn() + Sync + Send + 'static) {
        bounded(3).check(test);
    }

    /// Two replacements in turn, each freed if its wait is over at once.
    fn write_twice(world: &World, is_over: impl Fn(&Gate) -> bool) {
        for replaced in 0..2 {
            world.at.store(replaced as u64 + 1, Ordering::Release);
            if !is_over(&world.gate) {
                return;
            }
            world.free(replaced);
        }
    }

    #[test]
    fn loom_nothing_is_freed_under_a_reader() {
        model(|| {
            let world = World::new();
            let readers = [0, 1].map(|shard| {
                let world = world.clone();
                thread::spawn(move || world.read(shard))
            });
            write_twice(&world, |gate| gate.is_over(&mut Grace::Unused));
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_nothing_is_freed_under_one_who_reads_twice() {
        model(|| {
            let world = World::new();
            let reader = {
                let world = world.clone();
                thread::spawn(move || {
                    world.read(0);
                    world.read(0);
                })
            };
            write_twice(&world, |gate| gate.is_over(&mut Grace::Unused));
            reader.join().unwrap();
        });
    }

    /// The broken twin: waits for the phase in use alone. Loom must find the
    /// reader who was slow to count itself in.
    #[test]
    #[should_panic(expected = "Causality violation")]
    fn loom_finds_the_fault_of_one_phase() {
        model(|| {
            let world = World::new();
            let reader = {
                let world = world.clone();
                thread::spawn(move || world.read(0))
            };
            write_twice(&world, |gate| {
                let used = gate.phase.load(Ordering::Relaxed);
                gate.phase.store(used + 1, Ordering::Relaxed);
                gate.is_clear(used)
            });
            reader.join().unwrap();
        });
    }
}
