//! Hashes in the order of the directory, and slips by which things are brought
//! into it.

/// The half of a hash that the directory goes by, its lowest bit first. Hashes
/// that agree in their lower bits, and so belong to one block, lie together in
/// this order, however many bits that are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Order(u32);

impl Order {
    pub(super) fn of(hash: u64) -> Self {
        Self((hash as u32).reverse_bits())
    }

    /// That half of the hash, where it lay.
    pub(super) fn hash(self) -> u64 {
        u64::from(self.0.reverse_bits())
    }

    /// Whether two hashes agree in so many lower bits.
    pub(super) fn agrees(self, other: Self, depth: u32) -> bool {
        // All agree in no bits, for which the shift is too wide.
        (self.0 ^ other.0).checked_shr(32 - depth).unwrap_or(0) == 0
    }

    /// The bit of the hash behind the `depth` lowest.
    pub(super) fn bit(self, depth: u32) -> bool {
        self.0 >> (31 - depth) & 1 == 1
    }

    /// This hash with that bit clear, and with it set.
    pub(super) fn halves(self, depth: u32) -> [Self; 2] {
        let bit = 1 << (31 - depth);
        [Self(self.0 & !bit), Self(self.0 | bit)]
    }
}

/// Something's place in the order, and its number below 2^32 where it is from.
/// Sorts by both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slip(u64);

impl Slip {
    pub(super) fn new(order: Order, at: usize) -> Self {
        Self(u64::from(order.0) << 32 | at as u64 & 0xFFFF_FFFF)
    }

    pub(super) fn order(self) -> Order {
        Order((self.0 >> 32) as u32)
    }

    pub(super) fn at(self) -> usize {
        (self.0 & 0xFFFF_FFFF) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_agrees_in_lower_bits_lies_together() {
        let mut slips: Vec<_> = (0..1000_u64)
            .map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .enumerate()
            .map(|(at, hash)| Slip::new(Order::of(hash), at))
            .collect();
        slips.sort_unstable();
        for depth in [0, 1, 2, 5, 8, 32] {
            let mask = (1_u64 << depth) - 1;
            let same = |a: &Slip, b: &Slip| a.order().agrees(b.order(), depth);
            let groups: Vec<_> = slips.chunk_by(same).collect();
            let mut lower: Vec<_> = groups.iter().map(|g| g[0].order().hash() & mask).collect();
            lower.sort_unstable();
            lower.dedup();
            assert_eq!(
                lower.len(),
                groups.len(),
                "one group for each, depth {depth}"
            );
            for group in groups.iter().filter(|_| depth < 32) {
                let split = group.partition_point(|slip| !slip.order().bit(depth));
                let [clear, set] = group[0].order().halves(depth);
                let agree = |half: Order| move |slip: &Slip| half.agrees(slip.order(), depth + 1);
                assert!(group[..split].iter().all(agree(clear)));
                assert!(group[split..].iter().all(agree(set)));
            }
        }
        assert_eq!(slips.iter().map(|slip| slip.at()).sum::<usize>(), 499_500);
    }
}
