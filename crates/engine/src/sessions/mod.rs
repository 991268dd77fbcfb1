//! Users' session tokens: a concurrent hash map, since sessions come and go
//! far too often for a snapshot.
//!
//! A bucket is an immutable array of sessions; a change swaps in another one.
//! Readers are wait-free, but for a table that is finished before their eyes;
//! writers swap without a lock, and take turns only to hand over what they
//! replaced. That is freed by writers, when nobody reads it any more.
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
mod gate;
mod limbo;
mod table;

use std::sync::atomic::{AtomicIsize, Ordering};

use crate::key::TokenDigest;
use crate::name::Name;
use crate::project::ProjectId;
use crate::time::NEVER;

use bucket::Bucket;
use table::{Map, Visit};

/// Sessions for each bucket, on the average, above which the map grows.
const LOAD: usize = 2;

/// Buckets that a purge goes through in one visit.
const PURGE_STEP: usize = 1024;

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
        now < self.expires_at || self.expires_at == NEVER
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
        let visit = self.map.visit();
        visit.read(hash(digest))?.find(digest).copied()
    }

    /// Adds a session, or replaces that of the same token. Now and then it
    /// makes the map grow, which takes time in proportion to it.
    pub(crate) fn put(&self, session: Session) {
        let visit = self.map.visit();
        let hash = hash(&session.digest);
        let before = change(&visit, hash, |seen| Some(seen.with(session)));
        if before.is_some_and(|before| before.find(&session.digest).is_none()) {
            // Relaxed, here and below: a count for gauges and for growing,
            // which may be late.
            self.len.fetch_add(1, Ordering::Relaxed);
            visit.grow_beyond(self.len() / LOAD);
        }
    }

    /// Ends a session; whether there was one.
    pub(crate) fn end(&self, digest: &TokenDigest) -> bool {
        let visit = self.map.visit();
        let before = change(&visit, hash(digest), |seen| {
            seen.find(digest)
                .is_some()
                .then(|| seen.without(|s| s.digest == *digest))
        });
        if before.is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        before.is_some()
    }

    /// Drops every session that has expired at a time, those excepted that are
    /// put at this moment; how many.
    pub(crate) fn purge(&self, now: u64) -> usize {
        let mut purged = 0;
        let mut at = 0;
        // In visits of their own, so that what is dropped can be freed between
        // them. A map that grows meanwhile brings what was not yet looked at
        // into buckets further on.
        loop {
            let visit = self.map.visit();
            let buckets = visit.buckets();
            let end = buckets.min(at + PURGE_STEP);
            for bucket in at..end {
                // The hash's lower bits choose the bucket: the index is one.
                let before = change(&visit, bucket as u64, |seen| {
                    let dead = seen.sessions().any(|s| !s.is_live(now));
                    dead.then(|| seen.without(|s| !s.is_live(now)))
                });
                purged += before.map_or(0, |b| b.sessions().filter(|s| !s.is_live(now)).count());
            }
            at = end;
            // Asked anew: it may have grown during the last step.
            let done = at >= visit.buckets();
            drop(visit);
            self.map.reclaim();
            if done {
                break;
            }
        }
        self.len.fetch_sub(purged as isize, Ordering::Relaxed);
        purged
    }

    /// Frees what was replaced and is no longer read.
    pub(crate) fn reclaim(&self) {
        self.map.reclaim();
    }

    /// How many sessions there are, expired ones that were not purged included.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.len.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Swaps a bucket for what `next` makes of it, until that succeeds; what was
/// replaced, or `None` where `next` wanted no change. Lock-free.
fn change<'v>(
    visit: &'v Visit<'_>,
    hash: u64,
    next: impl Fn(&Bucket) -> Option<Bucket>,
) -> Option<&'v Bucket> {
    loop {
        let seen = visit.to_change(hash);
        let wanted = next(seen.bucket())?;
        if let Some(replaced) = seen.replace(wanted) {
            return Some(replaced);
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

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, shuttle))]
mod shuttle_tests;
