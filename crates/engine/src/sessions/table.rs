//! The map's tables: buckets behind pointers that are swapped, split and
//! reclaimed. All of the sessions' unsafe code is here.
//!
//! The pointers are `crossbeam-epoch`'s, tags included. Its collector is not
//! used: it frees what writers leave in whichever thread comes by, and a
//! decision must not be that thread. [`Gate`] and [`Limbo`] stand in for it. Under
//! loom others take the place of the pointers, so that the models run this code.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::sync::LazyLock;

use super::bucket::Bucket;
use super::gate::{Gate, Pass};
use super::limbo::Limbo;
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::pointers::{self, Atomic, Guard, Owned, Shared};
use crate::sync::step;

/// Tag of a bucket in a new table whose share still lies in the old one.
const UNSPLIT: usize = 1;
/// Tag of a bucket in an old table that nobody changes any more.
const FROZEN: usize = 2;

/// Buckets of the first table.
const FIRST_BUCKETS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 64 };

/// Buckets, a power of two of them, chosen by the hash's lower bits. A null
/// pointer is an empty bucket.
struct Table {
    buckets: Box<[Atomic<Bucket>]>,
    /// The table that this one is being split from; null when that is done.
    old: Atomic<Table>,
}

/// The tables, the newest and through it perhaps the one before.
pub(super) struct Map {
    newest: Atomic<Table>,
    gate: Gate,
    limbo: Limbo<Retired>,
}

/// Reads and changes a map. What it reads stays as long as it does.
pub(super) struct Visit<'m> {
    map: &'m Map,
    _pass: Pass<'m>,
}

/// A bucket as it was found, to be replaced if it is still the same.
pub(super) struct Seen<'v> {
    visit: &'v Visit<'v>,
    place: &'v Atomic<Bucket>,
    found: Shared<'v, Bucket>,
    bucket: &'v Bucket,
}

/// What was unlinked, for good and by one thread alone; freed when dropped.
enum Retired {
    Bucket(Atomic<Bucket>),
    Table(Atomic<Table>),
}

/// The empty bucket, for those that are null.
static EMPTY: LazyLock<Bucket> = LazyLock::new(Bucket::default);

/// The guard that the pointers' methods ask for. It protects nothing: here
/// visits do. Asked for before each step on a pointer.
fn no_guard() -> &'static Guard {
    step();
    // SAFETY: what an unprotected guard makes unsafe is to dereference what is
    // loaded under it, and to defer under it. Nothing is deferred here, and
    // each dereference below says by itself why its target lives.
    unsafe { pointers::unprotected() }
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
}

impl Map {
    pub(super) fn new() -> Self {
        Self {
            newest: Atomic::new(Table::new(FIRST_BUCKETS, 0)),
            gate: Gate::new(),
            limbo: Limbo::new(),
        }
    }

    /// Begins a visit. Wait-free; allocates nothing.
    pub(super) fn visit(&self) -> Visit<'_> {
        Visit {
            map: self,
            _pass: self.gate.enter(),
        }
    }

    /// Frees what was replaced and is no longer read.
    pub(super) fn reclaim(&self) {
        self.limbo.reclaim(&self.gate);
    }
}

impl Visit<'_> {
    fn newest(&self) -> &Table {
        // Acquire pairs with the Release that published the table.
        let table = self.map.newest.load(Acquire, no_guard());
        // SAFETY: `newest` is never null, and a table comes into the limbo
        // only after it was swapped out of `newest` and unlinked from the next
        // one's `old`. This visit began before the load, so the limbo frees
        // the table only after the visit, to which the reference is bound.
        unsafe { table.deref() }
    }

    /// The table that one is being split from.
    fn old<'v>(&'v self, table: &'v Table) -> Option<&'v Table> {
        // Acquire pairs with the Release that published `table`.
        let old = table.old.load(Acquire, no_guard());
        // SAFETY: `old` is set before its table is published, and comes into
        // the limbo only after it was set to null: as in `newest`.
        unsafe { old.as_ref() }
    }

    /// What a pointer to a bucket, which this visit has loaded, points at.
    fn target<'v>(&'v self, pointer: Shared<'v, Bucket>) -> Option<&'v Bucket> {
        // SAFETY: a bucket is published whole (Release swaps, paired with the
        // Acquire loads by which each `pointer` here was read) and never
        // changed afterwards. It comes into the limbo only after it was
        // swapped out, or with the table that it lies in: as in `newest`.
        unsafe { pointer.as_ref() }
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.newest().buckets.len()
    }

    /// The bucket of a hash, to be read. Wait-free but for a table that is
    /// finished between two loads, at most once for each doubling.
    pub(super) fn read(&self, hash: u64) -> Option<&Bucket> {
        let table = self.newest();
        loop {
            // Acquire: pairs with the Release by which it was swapped in.
            let found = table.place(hash).load(Acquire, no_guard());
            if found.tag() != UNSPLIT {
                return self.target(found);
            }
            // The old table's bucket is what the map holds, or held when it
            // was frozen, which was after we came: a reader that came later
            // would have found it split or still unfrozen.
            if let Some(old) = self.old(table) {
                // Acquire: as above.
                return self.target(old.place(hash).load(Acquire, no_guard()));
            }
        }
    }

    /// The bucket of a hash, to be replaced.
    pub(super) fn to_change(&self, hash: u64) -> Seen<'_> {
        loop {
            let table = self.newest();
            let place = table.place(hash);
            // Acquire: as in `read`.
            let found = place.load(Acquire, no_guard());
            match found.tag() {
                UNSPLIT => self.split(table, hash),
                // Frozen: a newer table was published before, and is loaded
                // at the next turn.
                FROZEN => {}
                _ => {
                    return Seen {
                        visit: self,
                        place,
                        found,
                        bucket: self.target(found).unwrap_or(&EMPTY),
                    };
                }
            }
        }
    }

    /// Brings the share of a bucket over from the old table.
    fn split(&self, table: &Table, hash: u64) {
        let Some(old) = self.old(table) else {
            // All is split; so is this bucket.
            return;
        };
        // AcqRel: what is frozen is read below; and who sees it frozen sees
        // the table that replaces it, which was published before.
        let frozen = old.place(hash).fetch_or(FROZEN, AcqRel, no_guard());
        let mask = table.buckets.len() as u64 - 1;
        let share = self
            .target(frozen)
            .map(|bucket| {
                bucket.without(|session| super::hash(&session.digest) & mask != hash & mask)
            })
            .filter(|bucket| !bucket.is_empty());
        // The first to swap decides; the others' shares are the same, since a
        // frozen bucket does not change. What fails to be swapped in is freed.
        swap(table.place(hash), Shared::null().with_tag(UNSPLIT), share);
    }

    /// Puts a table with twice the buckets in front and splits into it, if
    /// there are fewer than `wanted` and no split is under way.
    pub(super) fn grow_beyond(&self, wanted: usize) {
        let table = self.newest();
        if table.buckets.len() >= wanted || self.old(table).is_some() {
            return;
        }
        let current = Shared::from(std::ptr::from_ref(table));
        let next = Table::new(table.buckets.len() * 2, UNSPLIT);
        // Relaxed: published with the table.
        next.old.store(current, Relaxed);
        // Release publishes the table. Who loses leaves growing to the other.
        // AcqRel, so that the new table's splits come after what it replaces.
        // Relaxed where it fails: nothing is read by what stands there.
        let published = self.map.newest.compare_exchange(
            current,
            Owned::new(next),
            AcqRel,
            Relaxed,
            no_guard(),
        );
        let Ok(next) = published else {
            return;
        };
        // SAFETY: published just now, under this visit: as in `newest`.
        let next = unsafe { next.deref() };
        for hash in 0..next.buckets.len() as u64 {
            self.split(next, hash);
        }
        step();
        // Release: who reads null sees every bucket split.
        next.old.store(Shared::null(), Release);
        // The old table is reachable neither from `newest` nor from `old` any
        // more, and only we had it to unlink: one thread grows a table.
        self.retire(Retired::Table(Atomic::from(current)));
    }

    fn retire(&self, retired: Retired) {
        self.map.limbo.take(&self.map.gate, retired);
    }
}

impl<'v> Seen<'v> {
    /// What was found.
    pub(super) fn bucket(&self) -> &'v Bucket {
        self.bucket
    }

    /// Puts another bucket in its place; what was replaced, or `None` where it
    /// was no longer the same.
    pub(super) fn replace(self, next: Bucket) -> Option<&'v Bucket> {
        let next = (!next.is_empty()).then_some(next);
        if !swap(self.place, self.found, next) {
            return None;
        }
        if !self.found.is_null() {
            // It was swapped out just now, and by us alone.
            self.visit.retire(Retired::Bucket(Atomic::from(self.found)));
        }
        // The visit goes on, so it stays.
        Some(self.bucket)
    }
}

/// Puts a bucket, or none, in the place of what was found; whether it was
/// still the same. Release publishes the bucket; Acquire, for what is replaced
/// is retired after. Relaxed where it fails: who failed loads it again.
fn swap(place: &Atomic<Bucket>, found: Shared<'_, Bucket>, next: Option<Bucket>) -> bool {
    let guard = no_guard();
    match next {
        Some(next) => place
            .compare_exchange(found, Owned::new(next), AcqRel, Relaxed, guard)
            .is_ok(),
        None => place
            .compare_exchange(found, Shared::null(), AcqRel, Relaxed, guard)
            .is_ok(),
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY (both): made from what one thread has unlinked for good, and
        // dropped by the limbo alone, when nobody who came before is left, or
        // with the map, when nobody is; made by `Owned::new` and not null.
        match self {
            Self::Bucket(bucket) => {
                let bucket = std::mem::replace(bucket, Atomic::null());
                // SAFETY: see above.
                drop(unsafe { bucket.into_owned() });
            }
            Self::Table(table) => {
                let table = std::mem::replace(table, Atomic::null());
                // SAFETY: see above. Its buckets are not those of the table
                // that took its place.
                drop(unsafe { table.into_owned() });
            }
        }
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
        let newest = std::mem::replace(&mut self.newest, Atomic::null());
        // SAFETY: we own the map, so there is no visit; `newest` is never null
        // and was made by `Owned`.
        let mut newest = unsafe { newest.into_owned() };
        let old = std::mem::replace(&mut newest.old, Atomic::null());
        // SAFETY: as above; where a split was never finished its old table was
        // not retired.
        drop(unsafe { old.try_into_owned() });
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
