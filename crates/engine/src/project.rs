//! The names of projects, each kept once and named by a small number.
//!
//! A record and a decision carry the number; whoever writes a header asks for
//! the name. Names are only ever added, so a number stays good for the life of
//! the engine and a reader needs no lock.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::name::Name;

/// A project, as a number that one engine gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(u32);

impl ProjectId {
    /// The number, to keep in a record or to hand to another language.
    #[must_use]
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// A number read back from where [`to_bits`](Self::to_bits) put it; one of
    /// nowhere else is that of some other project, or of none.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Names in segments of doubling size, so that adding one moves none.
pub(crate) struct Projects {
    segments: [OnceLock<Box<[OnceLock<Name>]>>; SEGMENTS],
    /// Name to number, and so the count of names. For writers only.
    numbers: Mutex<HashMap<Name, u32>>,
}

/// Names in the first segment, as a power of two.
const FIRST_BITS: u32 = 4;
/// Enough segments for every `u32` number.
const SEGMENTS: usize = (u32::BITS - FIRST_BITS) as usize + 1;

/// The segment of a number, and the place in it.
fn place(number: u32) -> (usize, usize) {
    let shifted = u64::from(number) + (1 << FIRST_BITS);
    let bits = shifted.ilog2();
    (
        (bits - FIRST_BITS) as usize,
        (shifted - (1 << bits)) as usize,
    )
}

impl Projects {
    pub(crate) fn new() -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            numbers: Mutex::new(HashMap::new()),
        }
    }

    /// The number of a name, a new one if it was never seen. Takes a lock.
    ///
    /// # Panics
    ///
    /// Past 2^32 names, which is beyond any memory.
    pub(crate) fn intern(&self, name: &Name) -> ProjectId {
        // A poisoned map is whole: nothing between its changes can panic.
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = numbers.get(name) {
            return ProjectId(number);
        }
        let number = u32::try_from(numbers.len()).expect("fewer than 2^32 projects");
        let (segment, at) = place(number);
        let names = self.segments[segment].get_or_init(|| {
            std::iter::repeat_with(OnceLock::new)
                .take(1 << (segment as u32 + FIRST_BITS))
                .collect()
        });
        // Under the lock a number is given out once, so its place is empty.
        let _ = names[at].set(*name);
        numbers.insert(*name, number);
        ProjectId(number)
    }

    /// The name of a number that this table gave out. Wait-free.
    pub(crate) fn name(&self, id: ProjectId) -> Option<&Name> {
        let (segment, at) = place(id.0);
        self.segments.get(segment)?.get()?.get(at)?.get()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(15), (0, 15));
        assert_eq!(place(16), (1, 0));
        assert_eq!(place(47), (1, 31));
        assert_eq!(place(48), (2, 0));
        let (segment, at) = place(u32::MAX);
        assert_eq!((segment, at), (SEGMENTS - 1, 15));
    }

    #[test]
    fn a_name_keeps_its_number() {
        let projects = Projects::new();
        let name = |i: u32| format!("p{i}").parse::<Name>().unwrap();
        let ids: Vec<_> = (0..100).map(|i| projects.intern(&name(i))).collect();
        for (i, id) in (0..).zip(ids) {
            assert_eq!(projects.intern(&name(i)), id);
            assert_eq!(projects.name(id), Some(&name(i)));
        }
        assert_eq!(projects.name(ProjectId(100)), None);
        assert_eq!(projects.name(ProjectId(u32::MAX)), None);
    }
}
