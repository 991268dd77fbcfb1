//! Models of readers while the table doubles. A block is a number here, and its
//! entry stands for the real one, which `published` has models of.

use loom::sync::Arc;
use loom::thread;

use super::*;

/// A block as a number: which keys it holds, a bit for each, and how many bits
/// of their hashes it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    keys: u32,
    depth: u32,
}

struct Word(AtomicU64);

impl From<u64> for Leaf {
    fn from(word: u64) -> Self {
        Self {
            keys: word as u32,
            depth: (word >> 32) as u32,
        }
    }
}

impl Leaf {
    fn word(self) -> u64 {
        u64::from(self.depth) << 32 | u64::from(self.keys)
    }
}

impl Entry for Word {
    type Block = Leaf;

    fn new(leaf: Leaf) -> Self {
        Self(AtomicU64::new(leaf.word()))
    }

    fn load(&self) -> Leaf {
        // Changes nothing. But of a word loom remembers the last access alone:
        // with two loads in a row it would not try what comes between.
        self.0.fetch_or(0, Ordering::Acquire).into()
    }

    fn store(&self, leaf: Leaf) {
        // A swap, for loom tries any two of them in both orders.
        self.0.swap(leaf.word(), Ordering::Release);
    }
}

/// Keys are their own hashes: 1 and 3 agree in the lowest bit alone.
fn block(keys: &[u64], depth: u32) -> Leaf {
    let keys = keys.iter().fold(0, |all, key| all | 1 << key);
    Leaf { keys, depth }
}

fn put(directory: &Directory<Word>, keys: &[u64], depth: u32) {
    directory.deepen(depth).unwrap();
    directory.put(block(keys, depth), keys[0], depth);
}

/// 2 in one block, 1 and 3 in the other.
fn directory() -> Arc<Directory<Word>> {
    let directory = Directory::new(block(&[], 0));
    put(&directory, &[2], 1);
    put(&directory, &[1, 3], 1);
    Arc::new(directory)
}

fn is_there(directory: &Directory<Word>, key: u64) -> bool {
    let mut look = directory.look(key);
    while look.block.keys >> key & 1 == 0 {
        let Some(again) = directory.look_again(key, look.bits) else {
            return false;
        };
        look = again;
    }
    true
}

/// Splits the block of 1 and 3, for which the table doubles.
fn split(directory: &Directory<Word>) {
    put(directory, &[1, 5], 2);
    put(directory, &[3], 2);
}

#[test]
fn loom_no_key_is_missed_while_the_table_doubles() {
    loom::model(|| {
        let directory = directory();
        let writer = {
            let directory = directory.clone();
            thread::spawn(move || split(&directory))
        };
        let reader = {
            let directory = directory.clone();
            thread::spawn(move || assert!(is_there(&directory, 3), "missed"))
        };
        assert!(is_there(&directory, 1) && is_there(&directory, 2));
        reader.join().unwrap();
        writer.join().unwrap();
        assert!((1..=3).chain([5]).all(|key| is_there(&directory, key)));
        assert!(!is_there(&directory, 7));
    });
}

#[test]
fn loom_no_key_is_missed_while_it_doubles_twice() {
    loom::model(|| {
        let directory = directory();
        let writer = {
            let directory = directory.clone();
            thread::spawn(move || {
                split(&directory);
                put(&directory, &[1], 3);
                put(&directory, &[5], 3);
            })
        };
        assert!(is_there(&directory, 3), "missed");
        assert!(is_there(&directory, 1), "missed");
        writer.join().unwrap();
        assert!((1..=3).chain([5]).all(|key| is_there(&directory, key)));
    });
}

#[test]
fn loom_a_change_is_seen_by_whoever_comes_later() {
    loom::model(|| {
        let directory = directory();
        let done = Arc::new(AtomicU64::new(0));
        let writer = {
            let (directory, done) = (directory.clone(), done.clone());
            thread::spawn(move || {
                split(&directory);
                done.store(1, Ordering::Release);
                // Key 3 goes.
                put(&directory, &[7], 2);
                done.store(2, Ordering::Release);
            })
        };
        let done = done.load(Ordering::Acquire);
        let (five, three) = (is_there(&directory, 5), is_there(&directory, 3));
        assert!(done < 1 || five, "came with the first change");
        assert!(done < 2 || !three, "went with the second change");
        writer.join().unwrap();
    });
}

/// The broken twin: who finds nothing does not look whether the table doubled
/// meanwhile. Loom must find the key that is missed.
#[test]
#[should_panic(expected = "missed")]
fn loom_finds_the_fault_of_looking_once() {
    loom::model(|| {
        let directory = directory();
        let writer = {
            let directory = directory.clone();
            thread::spawn(move || split(&directory))
        };
        let leaf = directory.look(3).block;
        assert!(leaf.keys >> 3 & 1 == 1, "missed");
        writer.join().unwrap();
    });
}

/// Another: the table's new length is told only after an entry got a block that
/// goes by the new bit.
#[test]
#[should_panic(expected = "missed")]
fn loom_finds_the_fault_of_doubling_late() {
    loom::model(|| {
        let directory = directory();
        let writer = {
            let directory = directory.clone();
            thread::spawn(move || {
                directory.entry(1).store(block(&[1], 2));
                split(&directory);
            })
        };
        assert!(is_there(&directory, 3), "missed");
        writer.join().unwrap();
    });
}
