//! The map's tables: buckets behind pointers that are swapped, split and
//! reclaimed. All of the sessions' unsafe code is here.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crossbeam_epoch::{Atomic, Guard, Owned, Shared};

use super::bucket::Bucket;

/// Tag of a bucket in a new table whose share still lies in the old one.
const UNSPLIT: usize = 1;
/// Tag of a bucket in an old table that nobody changes any more.
const FROZEN: usize = 2;

/// Buckets of the first table.
const FIRST_BUCKETS: usize = 64;

/// Buckets, a power of two of them, chosen by the hash's lower bits. A null
/// pointer is an empty bucket.
struct Table {
    buckets: Box<[Atomic<Bucket>]>,
    /// The table that this one is being split from; null when that is done.
    old: Atomic<Table>,
}

/// The newest table, and through it perhaps the one before.
pub(super) struct Map {
    newest: Atomic<Table>,
}

/// A bucket as it was found, to be replaced if it is still the same.
pub(super) struct Seen<'m, 'g> {
    place: &'m Atomic<Bucket>,
    found: Shared<'g, Bucket>,
    bucket: &'g Bucket,
}

/// The empty bucket, for those that are null.
static EMPTY: std::sync::LazyLock<Bucket> = std::sync::LazyLock::new(Bucket::default);

/// What a pointer to a bucket points at.
fn target<'g>(pointer: Shared<'g, Bucket>) -> Option<&'g Bucket> {
    // SAFETY: a bucket is published whole (Release swaps, paired with the
    // Acquire loads by which each `pointer` here was read), is never changed
    // afterwards, and is handed to the collector only after it was swapped
    // out; so it lives as long as the guard whose lifetime `'g` is.
    unsafe { pointer.as_ref() }
}

impl Table {
    fn new(buckets: usize, tag: usize) -> Self {
        let bucket = || Atomic::from(Shared::null().with_tag(tag));
        Self {
            buckets: std::iter::repeat_with(bucket).take(buckets).collect(),
            old: Atomic::null(),
        }
    }

    fn place(&self, hash: u64) -> &Atomic<Bucket> {
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    /// The table that this one is being split from.
    fn old<'g>(&self, guard: &'g Guard) -> Option<&'g Table> {
        // SAFETY: `old` is set before this table is published, is handed to
        // the collector only after it was set to null, and the guard was
        // pinned before this load, so the table lives as long as the guard.
        // Acquire pairs with the Release that published this table.
        unsafe { self.old.load(Acquire, guard).as_ref() }
    }

    /// Brings the share of a bucket over from the old table.
    fn split(&self, hash: u64, guard: &Guard) {
        let Some(old) = self.old(guard) else {
            // All is split; so is this bucket.
            return;
        };
        // AcqRel: what is frozen is read below; and who sees it frozen sees
        // the table that replaces it, which was published before.
        let frozen = old.place(hash).fetch_or(FROZEN, AcqRel, guard);
        let mask = self.buckets.len() as u64 - 1;
        let share = target(frozen)
            .map(|bucket| {
                bucket.without(|session| super::hash(&session.digest) & mask != hash & mask)
            })
            .filter(|bucket| !bucket.is_empty());
        let unsplit = Shared::null().with_tag(UNSPLIT);
        // The first to swap decides; the others' shares are the same, since a
        // frozen bucket does not change. What fails to be swapped in is freed.
        // Release publishes the share.
        let place = self.place(hash);
        match share {
            Some(share) => {
                let _ = place.compare_exchange(unsplit, Owned::new(share), Release, Relaxed, guard);
            }
            None => {
                let _ = place.compare_exchange(unsplit, Shared::null(), Release, Relaxed, guard);
            }
        }
    }
}

impl Map {
    pub(super) fn new() -> Self {
        Self {
            newest: Atomic::new(Table::new(FIRST_BUCKETS, 0)),
        }
    }

    fn newest<'g>(&self, guard: &'g Guard) -> &'g Table {
        // Acquire pairs with the Release that published the table.
        let table = self.newest.load(Acquire, guard);
        // SAFETY: `newest` is never null, and a table that was swapped out of
        // it is handed to the collector only when it is no longer reachable;
        // the guard was pinned before the load.
        unsafe { table.deref() }
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self, guard: &Guard) -> usize {
        self.newest(guard).buckets.len()
    }

    /// The bucket of a hash, to be read. Wait-free but for a table that is
    /// finished between two loads, at most once for each doubling.
    pub(super) fn read<'g>(&self, hash: u64, guard: &'g Guard) -> Option<&'g Bucket> {
        let table = self.newest(guard);
        loop {
            // Acquire: pairs with the Release by which it was swapped in.
            let found = table.place(hash).load(Acquire, guard);
            if found.tag() != UNSPLIT {
                return target(found);
            }
            // The old table's bucket is what the map holds, or held when it
            // was frozen, which was after we came: a reader that came later
            // would have found it split or still unfrozen.
            if let Some(old) = table.old(guard) {
                return target(old.place(hash).load(Acquire, guard));
            }
        }
    }

    /// The bucket of a hash, to be replaced.
    pub(super) fn to_change<'m, 'g: 'm>(&'m self, hash: u64, guard: &'g Guard) -> Seen<'m, 'g> {
        loop {
            let table: &'g Table = self.newest(guard);
            let place = table.place(hash);
            let found = place.load(Acquire, guard);
            match found.tag() {
                UNSPLIT => table.split(hash, guard),
                // Frozen: a newer table was published before, and is loaded
                // at the next turn.
                FROZEN => {}
                _ => {
                    let bucket = target(found).unwrap_or(&EMPTY);
                    return Seen {
                        place,
                        found,
                        bucket,
                    };
                }
            }
        }
    }

    /// Puts a table with twice the buckets in front and splits into it, if
    /// there are fewer than `wanted` and no split is under way.
    pub(super) fn grow_beyond(&self, wanted: usize, guard: &Guard) {
        let current = self.newest.load(Acquire, guard);
        let table = self.newest(guard);
        if table.buckets.len() >= wanted || table.old(guard).is_some() {
            return;
        }
        let next = Table::new(table.buckets.len() * 2, UNSPLIT);
        // Relaxed: published with the table.
        next.old.store(current, Relaxed);
        // Release publishes the table. Who loses leaves growing to the other.
        // AcqRel, so that the new table's splits come after what it replaces.
        let Ok(next) =
            self.newest
                .compare_exchange(current, Owned::new(next), AcqRel, Relaxed, guard)
        else {
            return;
        };
        // SAFETY: we have just published it, under our guard.
        let next = unsafe { next.deref() };
        for hash in 0..next.buckets.len() as u64 {
            next.split(hash, guard);
        }
        // Release: who reads null sees every bucket split.
        next.old.store(Shared::null(), Release);
        // SAFETY: the old table is reachable neither from `newest` nor from
        // `old` any more; only we had it to retire, as only one thread grows a
        // table. Its drop frees its own buckets, which the new table does not
        // share.
        unsafe { guard.defer_destroy(current) };
    }
}

impl<'g> Seen<'_, 'g> {
    /// What was found.
    pub(super) fn bucket(&self) -> &'g Bucket {
        self.bucket
    }

    /// Puts another bucket in its place; a copy of what was replaced, or
    /// `None` where it was no longer the same.
    pub(super) fn replace(self, next: Bucket, guard: &Guard) -> Option<Bucket> {
        // Release publishes the bucket.
        let swapped = if next.is_empty() {
            self.place
                .compare_exchange(self.found, Shared::null(), AcqRel, Relaxed, guard)
                .is_ok()
        } else {
            self.place
                .compare_exchange(self.found, Owned::new(next), AcqRel, Relaxed, guard)
                .is_ok()
        };
        if !swapped {
            return None;
        }
        let replaced = self.bucket.clone();
        if !self.found.is_null() {
            // SAFETY: it was swapped out just now, and by us alone; who still
            // reads it was pinned before.
            unsafe { guard.defer_destroy(self.found) };
        }
        Some(replaced)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for bucket in &mut self.buckets {
            let bucket = std::mem::replace(bucket, Atomic::null());
            // SAFETY: we own the table, so nobody else reaches its buckets;
            // each is null or was made by `Owned::new`, and was not retired,
            // or it would have been swapped out.
            drop(unsafe { bucket.try_into_owned() });
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: we own the map, so no guard of another thread protects
        // anything that is still reachable from it.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        let newest = self.newest.load(Relaxed, guard);
        // SAFETY: as above; `newest` is never null and was made by `Owned`.
        let newest = unsafe { newest.into_owned() };
        let old = newest.old.load(Relaxed, guard);
        if !old.is_null() {
            // SAFETY: as above; a split that was never finished has not
            // retired its old table.
            drop(unsafe { old.into_owned() });
        }
    }
}
