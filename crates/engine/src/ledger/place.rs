//! Where a key's slot is: one word.

use crate::time::Hour;

/// Hours that a slot rests: the ring's 8, and one for the hour under way.
const REST_HOURS: u32 = 9;

/// Whether a slot that was given back has rested.
pub(super) fn rested(since: Hour, now: Hour) -> bool {
    now.number() >= since.number().saturating_add(REST_HOURS)
}

/// Bits of the word, from the top: kind (2), hour (30), slot (32).
const KIND_SHIFT: u32 = 62;
const HOUR_SHIFT: u32 = 32;
const HELD: u64 = 1;
const RESTING: u64 = 2;

const _: () = assert!(HOUR_SHIFT + Hour::BITS <= KIND_SHIFT);

/// What a node says of its key's slot. All zeroes is [`Place::Nowhere`], and so
/// is what no version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The key has none.
    Nowhere,
    /// Somebody holds the key.
    Held(u32),
    /// The key was removed. Its slot is its own until another takes it.
    Resting { slot: u32, since: Hour },
}

impl Place {
    pub(super) fn of(word: u64) -> Self {
        let slot = word as u32;
        match word >> KIND_SHIFT {
            HELD => Self::Held(slot),
            RESTING => Self::Resting {
                slot,
                since: Hour::of_number((word >> HOUR_SHIFT) as u32),
            },
            _ => Self::Nowhere,
        }
    }

    pub(super) fn word(self) -> u64 {
        match self {
            Self::Nowhere => 0,
            Self::Held(slot) => HELD << KIND_SHIFT | u64::from(slot),
            Self::Resting { slot, since } => {
                RESTING << KIND_SHIFT | u64::from(since.number()) << HOUR_SHIFT | u64::from(slot)
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_put_in() {
        let last = Hour::of(u64::MAX);
        let first = Hour::of(0);
        for place in [
            Place::Nowhere,
            Place::Held(0),
            Place::Held(u32::MAX),
            Place::Resting {
                slot: 7,
                since: last,
            },
            Place::Resting {
                slot: u32::MAX,
                since: first,
            },
        ] {
            assert_eq!(Place::of(place.word()), place);
        }
        assert_eq!(Place::of(u64::MAX), Place::Nowhere);
    }
}
