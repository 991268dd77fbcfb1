//! Whom a way belongs to: one word.

/// Bits of a tag, from the top: the address's hash, the way, the era.
const HASH_BITS: u32 = 48;
const WAY_BITS: u32 = 3;
pub(super) const ERA_BITS: u32 = 13;
const WAY_MASK: u64 = ((1 << WAY_BITS) - 1) << ERA_BITS;
const _: () = assert!(HASH_BITS + WAY_BITS + ERA_BITS == 64);
const _: () = assert!(super::WAYS <= 1 << WAY_BITS);

/// How often a way has changed hands. Wraps: what goes by it would have to
/// stand still while one way changes hands 8,192 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era(u64);

impl Era {
    /// The era in the lowest bits of a word.
    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits & ((1 << ERA_BITS) - 1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn next(self) -> Self {
        Self::of_bits(self.0 + 1)
    }
}

/// An address, as its set knows it: 48 bits of a hash under secret seeds. Two
/// addresses that agree in all of them, and in the set, count together: less
/// than once in 10^10 insertions even in the largest table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressHash(u64);

impl AddressHash {
    /// From the lower bits; the upper ones choose the set. Never 0, which
    /// marks a way that nobody has had.
    pub(super) fn new(hash: u64) -> Self {
        Self((hash & ((1 << HASH_BITS) - 1)).max(1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// An address in a way, for an era. No two insertions into a set have the
/// same tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub(super) u64);

impl Tag {
    /// What stands in a way's place, zeroes where nobody has had it: the way's
    /// number is put in whatever the word says.
    pub(super) fn at(word: u64, way: usize) -> Self {
        Self(word & !WAY_MASK | (way as u64) << ERA_BITS)
    }

    /// The next tag of the same way.
    pub(super) fn next(self, hash: AddressHash) -> Self {
        Self(hash.0 << (WAY_BITS + ERA_BITS) | self.0 & WAY_MASK | self.era().next().0)
    }

    pub(super) fn hash(self) -> AddressHash {
        AddressHash(self.0 >> (WAY_BITS + ERA_BITS))
    }

    /// Whether it has ever been written.
    pub(super) fn is_of_an_address(self) -> bool {
        self.hash().0 != 0
    }

    pub(super) fn way(self) -> usize {
        ((self.0 & WAY_MASK) >> ERA_BITS) as usize
    }

    pub(super) fn era(self) -> Era {
        Era::of_bits(self.0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_its_parts() {
        let hash = AddressHash::new(u64::MAX);
        assert_eq!(hash.bits(), (1 << HASH_BITS) - 1);
        let first = Tag::at(0, 5).next(hash);
        assert_eq!(
            (first.hash(), first.way(), first.era()),
            (hash, 5, Era::of_bits(1))
        );
        let second = first.next(AddressHash::new(7));
        assert_eq!(
            (second.hash().bits(), second.way(), second.era()),
            (7, 5, Era::of_bits(2))
        );
        // Damage to the way's number does not lead to another way.
        let mended = Tag::at(u64::MAX, 2);
        assert_eq!((mended.hash(), mended.way()), (hash, 2));
        assert_eq!(mended.era(), Era::of_bits(u64::MAX));
    }

    #[test]
    fn eras_wrap_and_touch_nothing_beside_them() {
        let last = Era::of_bits(u64::MAX);
        assert_eq!(last.bits(), (1 << ERA_BITS) - 1);
        assert_eq!(last.next(), Era::of_bits(0));
        assert_eq!(Era::of_bits(1 << ERA_BITS).bits(), 0);
        let tag = Tag::at(u64::MAX, 3).next(AddressHash::new(9));
        assert_eq!((tag.hash().bits(), tag.way(), tag.era().bits()), (9, 3, 0));
    }

    #[test]
    fn only_a_tag_that_was_never_written_is_nobodys() {
        assert!(!Tag::at(0, 6).is_of_an_address());
        // No address has the hash that stands for none.
        assert_eq!(AddressHash::new(0).bits(), 1);
        assert!(Tag::at(0, 6).next(AddressHash::new(0)).is_of_an_address());
    }
}
