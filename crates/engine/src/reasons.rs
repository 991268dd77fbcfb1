//! A set of reasons, in one word.

use std::fmt;

use crate::decision::Reason;

/// A set of [`Reason`]s. Cheap to copy.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReasonSet(u16);

const _: () = assert!(Reason::ALL.len() < u16::BITS as usize);

impl ReasonSet {
    /// No reason.
    pub const NONE: Self = Self(0);

    /// The set of some reasons.
    #[must_use]
    pub const fn of(reasons: &[Reason]) -> Self {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < reasons.len() {
            set = set.with(reasons[at]);
            at += 1;
        }
        set
    }

    /// The set and a reason.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | 1 << reason as u16)
    }

    /// All that is in one or the other.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a reason is in it.
    #[must_use]
    #[inline]
    pub const fn contains(self, reason: Reason) -> bool {
        self.0 >> reason as u16 & 1 != 0
    }

    /// Whether none is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The reasons in it, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL
            .into_iter()
            .filter(move |reason| self.contains(*reason))
    }

    /// The bits, of which each is a reason's number.
    pub(crate) const fn to_bits(self) -> u32 {
        self.0 as u32
    }
}

impl FromIterator<Reason> for ReasonSet {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        reasons.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for ReasonSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        assert!(ReasonSet::NONE.is_empty());
        for reason in Reason::ALL {
            let set = ReasonSet::NONE.with(reason);
            assert!(!set.is_empty());
            assert_eq!(set.to_bits(), 1 << reason as u32);
            for other in Reason::ALL {
                assert_eq!(set.contains(other), other == reason);
            }
            assert_eq!(set.iter().collect::<Vec<_>>(), [reason]);
        }
        let all: ReasonSet = Reason::ALL.into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Reason::ALL);
        assert_eq!(all, ReasonSet::of(&Reason::ALL));
    }

    #[test]
    fn what_is_put_in_twice_is_in_it() {
        let [first, second, third, ..] = Reason::ALL;
        let both = ReasonSet::of(&[first, second, first]);
        assert_eq!(both.iter().collect::<Vec<_>>(), [first, second]);
        let all = both.and(ReasonSet::of(&[second, third]));
        assert_eq!(all.iter().collect::<Vec<_>>(), [first, second, third]);
    }
}
