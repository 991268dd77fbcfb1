//! Users' session tokens: a concurrent hash map, since sessions come and go
//! far too often for a snapshot.
//!
//! A bucket is an immutable array of sessions; a change swaps in another one,
//! and what was replaced is reclaimed through `crossbeam-epoch`. Readers and
//! writers are lock-free.
//!
//! # How it grows
//!
//! A table with twice the buckets is put in front, its buckets marked UNSPLIT.
//! Whoever writes to such a bucket, and the thread that grew the table, split:
//! they freeze the bucket of the old table that it comes from (after which
//! nobody changes that) and swap its share in. A reader that finds an UNSPLIT
//! bucket reads the old one: what that holds when it is read, frozen or not, is
//! what the map held at some moment since the reader came.

mod bucket;
mod table;

use std::sync::atomic::{AtomicIsize, Ordering};

use crossbeam_epoch::Guard;

use crate::key::TokenDigest;
use crate::name::Name;
use crate::project::ProjectId;

use bucket::Bucket;
use table::{Map, Seen};

/// Sessions for each bucket, on the average, above which the map grows.
const LOAD: usize = 2;

/// What is known of a live token.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub(crate) digest: TokenDigest,
    pub(crate) expires_at: u64,
    pub(crate) project: ProjectId,
    pub(crate) user: Name,
}

impl Session {
    /// Whether the token is still good at a time.
    pub(crate) fn is_live(&self, now: u64) -> bool {
        now < self.expires_at
    }
}

/// The sessions.
pub(crate) struct Sessions {
    map: Map,
    /// Signed: an ending may be counted before the beginning it ends.
    len: AtomicIsize,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            map: Map::new(),
            len: AtomicIsize::new(0),
        }
    }

    /// The session of a token, whether expired or not. Digests are compared in
    /// constant time.
    pub(crate) fn find(&self, digest: &TokenDigest) -> Option<Session> {
        let guard = &reclaim::pin();
        let bucket = self.map.read(hash(digest), guard)?;
        bucket.find(digest).copied()
    }

    /// Adds a session, or replaces that of the same token.
    pub(crate) fn put(&self, session: Session) {
        let guard = &reclaim::pin();
        let hash = hash(&session.digest);
        let before = self.change(hash, guard, |seen| Some(seen.with(session)));
        if before.is_some_and(|before| before.find(&session.digest).is_none()) {
            // Relaxed: a count for gauges and for growing, which may be late.
            self.len.fetch_add(1, Ordering::Relaxed);
            self.map.grow_beyond(self.len() / LOAD, guard);
        }
    }

    /// Ends a session; whether there was one.
    pub(crate) fn end(&self, digest: &TokenDigest) -> bool {
        let guard = &reclaim::pin();
        let before = self.change(hash(digest), guard, |seen| {
            seen.find(digest)
                .is_some()
                .then(|| seen.without(|s| s.digest == *digest))
        });
        if before.is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        before.is_some()
    }

    /// Drops every session that has expired at a time; how many.
    pub(crate) fn purge(&self, now: u64) -> usize {
        let guard = &reclaim::pin();
        let mut purged = 0;
        let buckets = self.map.buckets(guard);
        for at in 0..buckets {
            // The hash's lower bits choose the bucket, so the index is one.
            let before = self.change(at as u64, guard, |seen| {
                let dead = seen.sessions().any(|s| !s.is_live(now));
                dead.then(|| seen.without(|s| !s.is_live(now)))
            });
            purged += before.map_or(0, |b| b.sessions().filter(|s| !s.is_live(now)).count());
        }
        self.len.fetch_sub(purged as isize, Ordering::Relaxed);
        // What was dropped lies in this thread's bag; hand it on now, since
        // the thread may not come back for long.
        guard.flush();
        purged
    }

    /// How many sessions there are, expired ones that were not purged included.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.len.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Swaps a bucket for what `next` makes of it, until that succeeds; what
    /// was replaced, or `None` where `next` wanted no change.
    fn change<'g>(
        &self,
        hash: u64,
        guard: &'g Guard,
        next: impl Fn(&Bucket) -> Option<Bucket>,
    ) -> Option<Bucket> {
        loop {
            let seen: Seen<'_, 'g> = self.map.to_change(hash, guard);
            let wanted = next(seen.bucket())?;
            if let Some(replaced) = seen.replace(wanted, guard) {
                return Some(replaced);
            }
        }
    }
}

/// A token's digest is as good as random to whoever does not know the server
/// secret: its first bytes serve as the hash.
fn hash(digest: &TokenDigest) -> u64 {
    let (first, _) = digest
        .as_bytes()
        .split_first_chunk::<8>()
        .unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

/// Pins through a collector of our own, so that no decision ever runs what
/// other users of `crossbeam-epoch` in the process have left to be freed.
mod reclaim {
    use std::sync::LazyLock;

    use crossbeam_epoch::{Collector, Guard, LocalHandle};

    static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::new);

    thread_local! {
        static HANDLE: LocalHandle = COLLECTOR.register();
    }

    pub(super) fn pin() -> Guard {
        // While the thread is being torn down its handle may be gone.
        HANDLE
            .try_with(LocalHandle::pin)
            .unwrap_or_else(|_| COLLECTOR.register().pin())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
