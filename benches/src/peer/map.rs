//! The maps that the peer is tried with.

use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};

/// A concurrent map. Values are changed through their own interior, or
/// replaced.
pub trait Map<K, V>: Send + Sync {
    /// The crate and type.
    const NAME: &'static str;
    /// How keys are hashed.
    type Hasher;

    /// An empty map with room for so many.
    fn new(capacity: usize, hasher: Self::Hasher) -> Self;

    /// Adds a value, or replaces that of the same key.
    fn put(&self, key: K, value: V);

    /// Shows the value of a key.
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R>;

    /// Shows the value of a key, made if there is none.
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default;
}

/// DashMap: shards of hashbrown tables, each behind a lock.
pub type Dash<K, V, S> = dashmap::DashMap<K, V, S>;
/// papaya: a lock-free table of pointers.
pub type Papaya<K, V, S> = papaya::HashMap<K, V, S>;
/// scc's map, whose buckets have locks.
pub type Scc<K, V, S> = scc::HashMap<K, V, S>;
/// scc's map for reading, whose readers take no lock.
pub type SccIndex<K, V, S> = scc::HashIndex<K, V, S>;
/// The standard library's map behind one lock.
pub struct Whole<K, V, S>(Mutex<std::collections::HashMap<K, V, S>>);

impl<K, V, S> Map<K, V> for Dash<K, V, S>
where
    K: Eq + Hash + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Clone + Send + Sync,
{
    const NAME: &'static str = "DashMap";
    type Hasher = S;

    fn new(capacity: usize, hasher: S) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher)
    }

    fn put(&self, key: K, value: V) {
        self.insert(key, value);
    }

    #[inline]
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R> {
        self.get(key).map(|value| show(&value))
    }

    #[inline]
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default,
    {
        show(&self.entry(key).or_default())
    }
}

impl<K, V, S> Map<K, V> for Papaya<K, V, S>
where
    K: Eq + Hash + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Send + Sync,
{
    const NAME: &'static str = "papaya";
    type Hasher = S;

    fn new(capacity: usize, hasher: S) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher)
    }

    fn put(&self, key: K, value: V) {
        self.pin().insert(key, value);
    }

    #[inline]
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R> {
        self.pin().get(key).map(show)
    }

    #[inline]
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default,
    {
        show(self.pin().get_or_insert_with(key, V::default))
    }
}

impl<K, V, S> Map<K, V> for Scc<K, V, S>
where
    K: Eq + Hash + Send + Sync,
    V: Send + Sync,
    S: BuildHasher + Send + Sync,
{
    const NAME: &'static str = "scc::HashMap";
    type Hasher = S;

    fn new(capacity: usize, hasher: S) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher)
    }

    fn put(&self, key: K, value: V) {
        self.upsert_sync(key, value);
    }

    #[inline]
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R> {
        self.read_sync(key, |_, value| show(value))
    }

    #[inline]
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default,
    {
        show(self.entry_sync(key).or_default().get())
    }
}

impl<K, V, S> Map<K, V> for SccIndex<K, V, S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Send + Sync,
{
    const NAME: &'static str = "scc::HashIndex";
    type Hasher = S;

    fn new(capacity: usize, hasher: S) -> Self {
        Self::with_capacity_and_hasher(capacity, hasher)
    }

    fn put(&self, key: K, value: V) {
        match self.entry_sync(key) {
            scc::hash_index::Entry::Occupied(mut there) => {
                there.update(value);
            }
            scc::hash_index::Entry::Vacant(free) => {
                free.insert_entry(value);
            }
        }
    }

    #[inline]
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R> {
        self.peek_with(key, |_, value| show(value))
    }

    #[inline]
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default,
    {
        show(self.entry_sync(key).or_default().get())
    }
}

impl<K, V, S> Map<K, V> for Whole<K, V, S>
where
    K: Eq + Hash + Send,
    V: Send,
    S: BuildHasher + Send,
{
    const NAME: &'static str = "Mutex<HashMap>";
    type Hasher = S;

    fn new(capacity: usize, hasher: S) -> Self {
        let map = std::collections::HashMap::with_capacity_and_hasher(capacity, hasher);
        Self(Mutex::new(map))
    }

    fn put(&self, key: K, value: V) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(key, value);
    }

    #[inline]
    fn read<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(key).map(show)
    }

    #[inline]
    fn read_or_default<R>(&self, key: K, show: impl FnOnce(&V) -> R) -> R
    where
        V: Default,
    {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        show(map.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ahash::RandomState;

    fn holds_what_it_is_given<M: Map<u32, u64, Hasher = RandomState>>() {
        let map = M::new(1, RandomState::with_seeds(1, 2, 3, 4));
        for key in 0..1000 {
            map.put(key, u64::from(key));
        }
        map.put(7, 70);
        let read = |key| map.read(&key, |value| *value);
        assert_eq!((read(6), read(7), read(1000)), (Some(6), Some(70), None));
        assert_eq!(map.read_or_default(7, |value| *value), 70, "{}", M::NAME);
        assert_eq!(map.read_or_default(2000, |value| *value), 0);
        assert_eq!(read(2000), Some(0));
    }

    #[test]
    fn every_map_is_used_rightly() {
        holds_what_it_is_given::<Dash<_, _, _>>();
        holds_what_it_is_given::<Papaya<_, _, _>>();
        holds_what_it_is_given::<Scc<_, _, _>>();
        holds_what_it_is_given::<SccIndex<_, _, _>>();
        holds_what_it_is_given::<Whole<_, _, _>>();
    }
}
