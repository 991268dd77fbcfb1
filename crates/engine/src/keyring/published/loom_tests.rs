//! Models of blocks that are published while two look keys up, through the
//! directory that decisions look through.

use loom::sync::Arc;
use loom::thread;

use super::super::directory::Directory;
use super::super::record::sample;
use super::*;
use crate::key::KeyId;
use crate::sync::bounded_in_turns;

/// A directory and its writer.
struct World<E> {
    directory: Arc<Directory<E>>,
    arena: Arena,
}

/// Keys 1, 3 and 5 agree in the lowest bit, 1 and 5 in two.
fn hash(number: u64) -> u64 {
    number << 61 | number
}

/// The slot of a key, looked for as a decision does.
fn slot<E: Entry<Block = BlockPtr>>(directory: &Directory<E>, number: u64) -> Option<u32> {
    let hash = hash(number);
    let mut look = directory.look(hash);
    loop {
        // SAFETY: its arena is dropped when all readers have ended.
        let block = unsafe { look.block.get() };
        if let Some(record) = block.find(KeyId::from_bits(number), hash) {
            assert_eq!(record.digest(), sample(number, 0).digest());
            return Some(record.slot());
        }
        look = directory.look_again(hash, look.bits)?;
    }
}

impl<E: Entry<Block = BlockPtr> + 'static> World<E> {
    /// Whose keys have slot 1, all of one block.
    fn new(numbers: &[u64]) -> Self {
        let mut arena = Arena::new();
        let mut draft = Draft::empty(0, &mut arena);
        for number in numbers {
            draft.put(sample(*number, 1), None, hash(*number));
        }
        let directory = Arc::new(Directory::new(draft.publish()));
        Self { directory, arena }
    }

    /// Lets two threads read.
    fn readers(&self, read: fn(&Directory<E>)) -> [thread::JoinHandle<()>; 2] {
        [(); 2].map(|()| {
            let directory = self.directory.clone();
            thread::spawn(move || read(&directory))
        })
    }

    /// The block of a key, for the writer.
    fn block(&self, number: u64) -> &Block {
        let block = self.directory.look(hash(number)).block;
        // SAFETY: none is freed before the arena is dropped.
        unsafe { block.get() }
    }

    /// Replaces the one block by a copy in which a key has another slot.
    fn change(&mut self, number: u64, slot: u32) {
        let block = self.directory.look(hash(number)).block;
        // SAFETY: none is freed before the arena is dropped.
        let old = unsafe { block.get() };
        // SAFETY: there is no other writer.
        let mut draft = unsafe { Draft::copy(old, &mut self.arena) };
        draft.put(sample(number, slot), None, hash(number));
        self.directory.put(draft.publish(), hash(number), 0);
    }

    /// Splits the one block: these two keys go by two bits of their hashes, for
    /// which the table doubles.
    fn split(&mut self, numbers: [u64; 2]) {
        self.directory.deepen(2).unwrap();
        for number in numbers {
            let mut draft = Draft::empty(2, &mut self.arena);
            draft.put(sample(number, 2), None, hash(number));
            self.directory.put(draft.publish(), hash(number), 2);
        }
    }
}

fn changed_while_two_look<E: Entry<Block = BlockPtr> + 'static>() {
    bounded_in_turns(3, || {
        let mut world = World::<E>::new(&[1]);
        let readers = world.readers(|directory| {
            let before = slot(directory, 1);
            let after = slot(directory, 1);
            assert!(before.is_some() && after >= before, "{before:?}, {after:?}");
        });
        world.change(1, 2);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(slot(&world.directory, 1), Some(2));
    });
}

#[test]
fn loom_who_finds_a_block_finds_it_whole() {
    changed_while_two_look::<BlockEntry>();
}

#[test]
fn loom_no_key_is_missed_while_its_block_is_split() {
    bounded_in_turns(2, || {
        let mut world = World::<BlockEntry>::new(&[1, 3]);
        let readers = world.readers(|directory| assert!(slot(directory, 3).is_some(), "missed"));
        world.split([1, 3]);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(slot(&world.directory, 3), Some(2));
    });
}

#[test]
fn loom_who_finds_a_new_key_finds_the_one_before_it() {
    bounded_in_turns(3, || {
        let world = World::<BlockEntry>::new(&[]);
        let readers = world.readers(|directory| {
            let later = slot(directory, 5);
            let earlier = slot(directory, 1);
            assert!(later.is_none() || earlier.is_some(), "missed");
        });
        for number in [1, 5] {
            // SAFETY: there is no other writer.
            unsafe { world.block(number).add(&sample(number, 1), hash(number)) };
        }
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(slot(&world.directory, 5).is_some());
    });
}

/// The broken twin: the address publishes nothing.
struct Unpublished(BlockEntry);

impl Entry for Unpublished {
    type Block = BlockPtr;

    fn new(block: BlockPtr) -> Self {
        Self(BlockEntry::new(block))
    }

    fn load(&self) -> BlockPtr {
        self.0.load()
    }

    fn store(&self, block: BlockPtr) {
        self.0.0.store(block.0.as_ptr(), Ordering::Relaxed);
    }
}

/// Another: who finds the address acquires nothing by it.
struct Unacquired(BlockEntry);

impl Entry for Unacquired {
    type Block = BlockPtr;

    fn new(block: BlockPtr) -> Self {
        Self(BlockEntry::new(block))
    }

    fn load(&self) -> BlockPtr {
        let block = self.0.0.load(Ordering::Relaxed);
        BlockPtr(NonNull::new(block).unwrap())
    }

    fn store(&self, block: BlockPtr) {
        self.0.store(block);
    }
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_an_address_that_publishes_nothing() {
    changed_while_two_look::<Unpublished>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_an_address_that_is_not_acquired() {
    changed_while_two_look::<Unacquired>();
}
