//! Models of the map itself: sessions that are put, ended and looked up while it
//! grows and what was replaced is freed. What is read after it was freed, or
//! without having been acquired, is reported by `sync/pointers.rs`.
//!
//! All threads of a model come in by one shard of the gate, whose own models try
//! two. A loop that waits for what was not published never ends here: loom says
//! that there are too many branches.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::key::{ServerSecret, TokenDigest};
use crate::project::ProjectId;
use crate::sessions::{Session, Sessions};
use crate::sync::{AtomicU64, Ordering, bounded_in_turns};

/// Tokens by the lowest bits of their hashes: A and B share a bucket of two, and
/// part when there are four; C lies in the other.
const A: u64 = 0b00;
const B: u64 = 0b10;
const C: u64 = 0b01;

/// By those bits.
static DIGESTS: LazyLock<[TokenDigest; 4]> = LazyLock::new(|| {
    let secret = ServerSecret::from_bytes([5; 32]);
    let digest = |number: u64| secret.digest_token(&number.to_le_bytes());
    std::array::from_fn(|bits| {
        let fits = |digest: &TokenDigest| crate::sessions::hash(digest) & 0b11 == bits as u64;
        (0..).map(digest).find(fits).expect("one of four fits")
    })
});

fn digest(bits: u64) -> TokenDigest {
    DIGESTS[bits as usize]
}

fn session(bits: u64, expires_at: u64) -> Session {
    Session {
        digest: digest(bits),
        expires_at,
        project: ProjectId::from_bits(1),
        user: "u".parse().unwrap(),
    }
}

/// A map, and what the threads of a model have told each other.
struct World {
    sessions: Sessions,
    told: AtomicU64,
}

impl World {
    /// With some sessions that expire at 1.
    fn new(bits: &[u64]) -> Arc<Self> {
        let world = Self {
            sessions: Sessions::new(),
            told: AtomicU64::new(0),
        };
        for bits in bits {
            world.put(*bits, 1);
        }
        Arc::new(world)
    }

    fn put(&self, bits: u64, expires_at: u64) {
        self.sessions.put(session(bits, expires_at));
    }

    fn end(&self, bits: u64) {
        assert!(self.sessions.end(&digest(bits)), "it was there");
    }

    /// When it expires.
    fn find(&self, bits: u64) -> Option<u64> {
        let found = self.sessions.find(&digest(bits));
        found.map(|session| session.expires_at)
    }

    fn grow(&self) {
        self.sessions.map.visit().grow_beyond(FIRST_BUCKETS + 1);
    }

    /// What was replaced before the wait that may be under way, then the rest.
    fn reclaim(&self) {
        self.sessions.reclaim();
        self.sessions.reclaim();
    }

    /// Tells that a change has returned.
    fn tell(&self) {
        self.told.store(1, Release);
    }

    fn is_told(&self) -> bool {
        self.told.load(Acquire) == 1
    }
}

fn spawn(world: &Arc<World>, work: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || work(&world))
}

/// Some work beside a reader's, and what is so after both. Of three threads while
/// the map grows two pre-emptions are tried in turns, for three take a minute.
fn beside<const N: usize>(
    preemptions: usize,
    sessions: &'static [u64],
    works: [fn(&World); N],
    reader: fn(&World),
    end: fn(&World),
) {
    // Before: to hash takes more of a stack than loom's threads have.
    LazyLock::force(&DIGESTS);
    bounded_in_turns(preemptions, move || {
        let world = World::new(sessions);
        let threads = works.map(|work| spawn(&world, work));
        reader(&world);
        for thread in threads {
            thread.join().unwrap();
        }
        end(&world);
    });
}

#[test]
fn loom_a_session_is_found_once_it_was_put() {
    let put = |world: &World| {
        world.put(A, 1);
        world.tell();
    };
    let reader = |world: &World| {
        let is_told = world.is_told();
        let first = world.find(A);
        assert!(!is_told || first.is_some(), "missed");
        assert!(world.find(A) >= first, "back again");
    };
    beside(3, &[], [put], reader, |world| {
        assert_eq!(world.find(A), Some(1));
    });
}

#[test]
fn loom_a_session_is_replaced_ended_and_looked_up() {
    let replace = |world: &World| world.put(A, 2);
    let end = |world: &World| {
        world.end(A);
        world.tell();
    };
    let reader = |world: &World| {
        let is_told = world.is_told();
        let found = world.find(A);
        assert!(!is_told || found != Some(1), "had ended");
    };
    beside(3, &[A], [replace, end], reader, |world| {
        assert_ne!(world.find(A), Some(1));
    });
}

#[test]
fn loom_no_session_is_missed_while_the_map_grows() {
    let reader = |world: &World| {
        assert_eq!(world.find(A), Some(1), "missed");
        assert_eq!(world.find(B), Some(1), "missed");
    };
    beside(3, &[A, B], [World::grow], reader, reader);
}

#[test]
fn loom_a_session_that_is_put_while_the_map_grows_stays() {
    let put = |world: &World| {
        world.put(B, 1);
        world.tell();
    };
    let reader = |world: &World| {
        let is_told = world.is_told();
        let found = world.find(B);
        assert!(!is_told || found.is_some(), "missed");
    };
    beside(2, &[A], [World::grow, put], reader, |world| {
        assert_eq!(world.find(A), Some(1), "missed");
        assert_eq!(world.find(B), Some(1), "missed");
    });
}

#[test]
fn loom_a_session_that_ends_while_the_map_grows_is_gone() {
    let end = |world: &World| {
        world.end(B);
        world.tell();
    };
    let reader = |world: &World| {
        let is_told = world.is_told();
        let found = world.find(B);
        assert!(!is_told || found.is_none(), "had ended");
    };
    beside(2, &[A, B], [World::grow, end], reader, |world| {
        assert_eq!(world.find(A), Some(1), "missed");
        assert_eq!(world.find(B), None, "had ended");
    });
}

#[test]
fn loom_no_bucket_is_freed_under_a_reader() {
    let replace = |world: &World| {
        for expires_at in [2, 3] {
            world.put(A, expires_at);
            world.reclaim();
        }
    };
    let reader = |world: &World| {
        let first = world.find(A);
        assert!(first.is_some() && world.find(A) >= first, "back again");
    };
    beside(3, &[A], [replace], reader, |world| {
        assert_eq!(world.find(A), Some(3));
    });
}

#[test]
fn loom_no_table_is_freed_under_a_reader() {
    let grow = |world: &World| {
        world.grow();
        world.reclaim();
    };
    let reader = |world: &World| assert_eq!(world.find(A), Some(1), "missed");
    beside(3, &[A], [grow], reader, reader);
}

#[test]
fn loom_one_alone_makes_the_map_grow() {
    let reader = |world: &World| {
        world.grow();
        assert_eq!(world.find(C), Some(1), "missed");
    };
    beside(3, &[C], [World::grow], reader, |world| {
        assert_eq!(world.sessions.map.visit().buckets(), 2 * FIRST_BUCKETS);
        assert_eq!(world.find(C), Some(1), "missed");
    });
}

/// The broken twin: a bucket is loaded without acquiring what was published.
#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_loading_relaxed() {
    let reader = |world: &World| {
        let visit = world.sessions.map.visit();
        let found = visit.newest().place(A).load(Relaxed, no_guard());
        visit.target(found);
    };
    beside(3, &[], [|world| world.put(A, 1)], reader, |_| {});
}

/// Another: a bucket is put in place without publishing what it holds.
#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_swapping_relaxed() {
    let put = |world: &World| {
        let visit = world.sessions.map.visit();
        let seen = visit.to_change(A);
        let next = Owned::new(seen.bucket().with(session(A, 1)));
        let place = seen.place;
        let swapped = place.compare_exchange(seen.found, next, Relaxed, Relaxed, no_guard());
        assert!(swapped.is_ok(), "nobody else writes");
    };
    let reader = |world: &World| {
        world.find(A);
    };
    beside(3, &[], [put], reader, |_| {});
}

/// Another: whoever reads left before, and may be too late.
#[test]
#[should_panic(expected = "read after free")]
fn loom_finds_the_fault_of_leaving_early() {
    let replace = |world: &World| {
        world.put(A, 2);
        world.reclaim();
    };
    let reader = |world: &World| {
        let early = world.sessions.map.visit();
        let pointer = early.newest().place(A).load(Acquire, no_guard());
        drop(early);
        world.sessions.map.visit().target(pointer);
    };
    beside(3, &[A], [replace], reader, |_| {});
}

/// Another: nobody waits until readers have gone.
#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_freeing_at_once() {
    let replace = |world: &World| {
        let visit = world.sessions.map.visit();
        let seen = visit.to_change(A);
        let next = seen.bucket().with(session(A, 2));
        assert!(
            swap(seen.place, seen.found, Some(next)),
            "nobody else writes"
        );
        drop(Retired::Bucket(Atomic::from(seen.found)));
    };
    let reader = |world: &World| {
        world.find(A);
    };
    beside(3, &[A], [replace], reader, |_| {});
}

/// Puts a table of twice the buckets in front, as `Visit::grow_beyond` does.
fn put_in_front(visit: &Visit<'_>, published: Ordering) {
    let current = Shared::from(std::ptr::from_ref(visit.newest()));
    let next = Table::new(2 * FIRST_BUCKETS, UNSPLIT);
    next.old.store(current, Relaxed);
    let newest = &visit.map.newest;
    let swapped =
        newest.compare_exchange(current, Owned::new(next), published, Relaxed, no_guard());
    assert!(swapped.is_ok(), "nobody else makes it grow");
}

/// Another: a table is put in front without publishing what it holds.
#[test]
#[should_panic(expected = "Causality violation")]
fn loom_finds_the_fault_of_growing_relaxed() {
    let grow = |world: &World| put_in_front(&world.sessions.map.visit(), Relaxed);
    let reader = |world: &World| {
        world.find(A);
    };
    beside(3, &[A], [grow], reader, |_| {});
}

/// Another: what a bucket holds is brought over while others may change it.
#[test]
#[should_panic(expected = "missed")]
fn loom_finds_the_fault_of_splitting_unfrozen() {
    let grow = |world: &World| {
        let visit = world.sessions.map.visit();
        put_in_front(&visit, AcqRel);
        let table = visit.newest();
        let old = visit.old(table).expect("nothing is split");
        for hash in [A, B] {
            let found = visit.target(old.place(hash).load(Acquire, no_guard()));
            let share =
                found.map(|bucket| bucket.without(|session| session.digest != digest(hash)));
            swap(table.place(hash), Shared::null().with_tag(UNSPLIT), share);
        }
    };
    let put = |world: &World| world.put(B, 1);
    beside(3, &[A], [grow], put, |world| {
        assert_eq!(world.find(B), Some(1), "missed");
    });
}

/// Another: whoever finds a bucket unsplit does not look into the old table.
#[test]
#[should_panic(expected = "missed")]
fn loom_finds_the_fault_of_looking_into_the_new_table_alone() {
    let reader = |world: &World| {
        let visit = world.sessions.map.visit();
        let found = visit.newest().place(A).load(Acquire, no_guard());
        assert!(visit.target(found).is_some(), "missed");
    };
    beside(3, &[A], [World::grow], reader, |_| {});
}
