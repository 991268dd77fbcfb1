//! Reading what stands behind a key's prefix: 48 characters, of which the last
//! six are the check of all before them.

use super::{ID_LEN, KeyId, SECRET_LEN, TAIL_LEN, base62};

/// A key's last 48 bytes.
pub(super) type Tail = [u8; TAIL_LEN];

/// Bytes of a tail that its check covers.
const COVERED_LEN: usize = ID_LEN + SECRET_LEN;

/// How tails are read on this processor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    /// Byte by byte.
    Plain,
    /// In vectors.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Vectors(vectors::Available),
}

impl Reader {
    /// The fastest that the processor has.
    pub(super) fn best() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if let Some(available) = vectors::Available::here() {
            return Self::Vectors(available);
        }
        Self::Plain
    }

    /// The id, if all are base62 digits and the check is right. `head_check` is
    /// the check of what stands before the tail.
    #[inline]
    pub(super) fn read(self, tail: &Tail, head_check: u32) -> Option<KeyId> {
        match self {
            Self::Plain => plain(tail, head_check),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Vectors(available) => vectors::read(available, tail, head_check),
        }
    }
}

/// The check of a text: CRC-32 (IEEE 802.3, as zlib computes it).
pub(super) fn check_of(text: &[u8]) -> u32 {
    crc32fast::hash(text)
}

fn plain(tail: &Tail, head_check: u32) -> Option<KeyId> {
    let (covered, check) = tail.split_at(COVERED_LEN);
    let (id, secret) = covered.split_at(ID_LEN);
    let id = base62::decode(id)?;
    if !base62::is_base62(secret) {
        return None;
    }
    let mut sum = crc32fast::Hasher::new_with_initial(head_check);
    sum.update(covered);
    (base62::decode(check)? == u64::from(sum.finalize())).then_some(KeyId(id))
}

/// The same in vectors of 16 bytes: SSE 4.1 and carry-less multiplication.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod vectors {
    use std::arch::x86_64::*;

    use super::{COVERED_LEN, ID_LEN, KeyId, Tail};
    use crate::key::CHECK_LEN;

    const _: () = assert!(ID_LEN == 10 && CHECK_LEN == 6 && COVERED_LEN == 42);

    /// Proof that the processor has what [`read`] needs.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Available(());

    impl Available {
        /// The proof, where it holds.
        pub(super) fn here() -> Option<Self> {
            (is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("pclmulqdq"))
                .then_some(Self(()))
        }
    }

    /// As [`super::plain`].
    #[inline]
    pub(super) fn read(_: Available, tail: &Tail, head_check: u32) -> Option<KeyId> {
        // SAFETY: the processor has both, for there is an `Available`.
        unsafe { read_here(tail, head_check) }
    }

    #[target_feature(enable = "sse4.1,pclmulqdq")]
    fn read_here(tail: &Tail, head_check: u32) -> Option<KeyId> {
        let [first, second, third] = [0, 1, 2].map(|at| load(tail.as_chunks().0[at]));
        let digits = _mm_and_si128(
            _mm_and_si128(are_digits(first), are_digits(second)),
            are_digits(third),
        );
        // The id is the first ten bytes, the check the last six: one vector.
        let numbers = _mm_blend_epi16::<0b1110_0000>(first, third);
        let (id, check) = decode(numbers);
        let right = u64::from(sum(tail, first, head_check)) == check;
        (right && _mm_test_all_ones(digits) != 0).then_some(KeyId(id))
    }

    #[target_feature(enable = "sse4.1")]
    fn load(bytes: [u8; 16]) -> __m128i {
        let [low, high] =
            [0, 8].map(|at| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap_or(&[0; 8])));
        _mm_set_epi64x(high as i64, low as i64)
    }

    /// All ones in each byte that is a digit.
    #[target_feature(enable = "sse4.1")]
    fn are_digits(bytes: __m128i) -> __m128i {
        let within = |from: __m128i, first: u8, count: i8| {
            let above = _mm_sub_epi8(from, _mm_set1_epi8(first as i8));
            _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(count - 1)), above)
        };
        let lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        _mm_or_si128(within(bytes, b'0', 10), within(lower, b'a', 26))
    }

    /// The numbers that the first ten and the last six digits are.
    #[target_feature(enable = "sse4.1")]
    fn decode(digits: __m128i) -> (u64, u64) {
        let above = |than: u8, less: i8| {
            let above = _mm_cmpgt_epi8(digits, _mm_set1_epi8(than as i8));
            _mm_and_si128(above, _mm_set1_epi8(less))
        };
        // What lies between the ranges of digits in ASCII.
        let gaps = _mm_add_epi8(above(b'9', 7), above(b'Z', 6));
        let values = _mm_sub_epi8(_mm_sub_epi8(digits, _mm_set1_epi8(b'0' as i8)), gaps);
        // Two digits in each 16 bits, then four in each 32.
        let twos = _mm_maddubs_epi16(values, _mm_set1_epi16((1 << 8) | 62));
        let fours = _mm_madd_epi16(twos, _mm_set1_epi32((1 << 16) | (62 * 62)));
        let four = |fours: u64| fours & 0xFFFF_FFFF;
        let low = _mm_cvtsi128_si64(fours) as u64;
        let last = _mm_extract_epi32::<3>(fours) as u32;
        let fifth = _mm_extract_epi16::<4>(twos) as u64;
        let sixth = _mm_extract_epi16::<5>(twos) as u64;
        let id = (four(low) * 62_u64.pow(4) + (low >> 32)) * 62_u64.pow(2) + fifth;
        (id, sixth * 62_u64.pow(4) + u64::from(last))
    }

    /// The polynomial, without its highest power; bit 31 is x^31.
    const POLYNOMIAL: u32 = 0x04C1_1DB7;

    /// x^`power` modulo the polynomial as a factor for bit-reversed words,
    /// whose product is one place short.
    const fn factor(power: u32) -> i64 {
        let mut rest = 1_u32;
        let mut at = 0;
        while at < power {
            rest = rest << 1 ^ if rest >> 31 == 1 { POLYNOMIAL } else { 0 };
            at += 1;
        }
        (rest.reverse_bits() as i64) << 1
    }

    /// Factors that move 128 bits on by 256, by 128, and 64 by 64: for the lower
    /// and the upper half.
    const BY_256: [i64; 2] = [factor(256 + 32), factor(256 - 32)];
    const BY_128: [i64; 2] = [factor(128 + 32), factor(128 - 32)];
    const BY_64: i64 = factor(64);

    /// x^64 divided by the polynomial, bit-reversed: Barrett's constant.
    const QUOTIENT: i64 = {
        // Long division; the quotient has 33 bits.
        let divisor = 1_u128 << 32 | POLYNOMIAL as u128;
        let mut rest = 1_u128 << 64;
        let mut quotient = 0_u64;
        let mut bit = 33;
        while bit > 0 {
            bit -= 1;
            if rest >> (bit + 32) & 1 == 1 {
                rest ^= divisor << bit;
                quotient |= 1 << (32 - bit);
            }
        }
        quotient as i64
    };

    /// The polynomial itself, bit-reversed.
    const DIVISOR: i64 = (POLYNOMIAL.reverse_bits() as i64) << 1 | 1;

    /// The check of the head and the tail's covered bytes, by folding (Gopal et
    /// al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
    /// Instruction", Intel, 2009).
    #[target_feature(enable = "sse4.1,pclmulqdq")]
    fn sum(tail: &Tail, first: __m128i, head_check: u32) -> u32 {
        // The head's check goes on where it ended: in the first four bytes.
        let carried = _mm_xor_si128(first, _mm_cvtsi32_si128(!head_check as i32));
        // Ten bytes behind six zeroes, 16, and 16.
        let oldest = _mm_slli_si128::<{ 16 - ID_LEN as i32 }>(carried);
        let part = |at: usize| load(*tail[at..].first_chunk().unwrap_or(&[0; 16]));
        let (middle, newest) = (part(ID_LEN), part(ID_LEN + 16));
        // Moved on by as many bits as lie between it and the newest.
        let moved = |vector, factors| {
            _mm_xor_si128(
                _mm_clmulepi64_si128::<0x00>(vector, factors),
                _mm_clmulepi64_si128::<0x11>(vector, factors),
            )
        };
        let by_128 = _mm_set_epi64x(BY_128[1], BY_128[0]);
        let by_256 = _mm_set_epi64x(BY_256[1], BY_256[0]);
        let all = _mm_xor_si128(newest, moved(middle, by_128));
        let all = _mm_xor_si128(all, moved(oldest, by_256));
        // 128 bits to 96, to 64, and by Barrett's reduction to 32.
        let low_32 = _mm_set_epi32(0, !0, 0, !0);
        let all = _mm_xor_si128(
            _mm_srli_si128::<8>(all),
            _mm_clmulepi64_si128::<0x10>(all, by_128),
        );
        let by_64 = _mm_set_epi64x(0, BY_64);
        let all = _mm_xor_si128(
            _mm_srli_si128::<4>(all),
            _mm_clmulepi64_si128::<0x00>(_mm_and_si128(all, low_32), by_64),
        );
        let barrett = _mm_set_epi64x(QUOTIENT, DIVISOR);
        let times = _mm_clmulepi64_si128::<0x10>(_mm_and_si128(all, low_32), barrett);
        let times = _mm_clmulepi64_si128::<0x00>(_mm_and_si128(times, low_32), barrett);
        !(_mm_extract_epi32::<1>(_mm_xor_si128(all, times)) as u32)
    }

    #[cfg(all(test, not(loom)))]
    mod tests {
        use super::super::TAIL_LEN;
        use super::*;

        #[test]
        fn the_constants_are_those_of_the_paper() {
            assert_eq!(BY_128, [0x1_7519_97D0, 0x0_CCAA_009E]);
            assert_eq!(BY_64, 0x1_63CD_6124);
            assert_eq!(QUOTIENT, 0x1_F701_1641);
            assert_eq!(DIVISOR, 0x1_DB71_0641);
        }

        #[target_feature(enable = "sse4.1,pclmulqdq")]
        fn sum_here(tail: &Tail, head_check: u32) -> u32 {
            sum(tail, load(tail.as_chunks().0[0]), head_check)
        }

        /// Both sums are affine over the bits that they are of: shifts, masks
        /// and products with constants. So what agrees for no bit set, and for
        /// each alone, agrees for all.
        #[test]
        fn the_sum_is_that_of_crc32_for_every_bit() {
            if Available::here().is_none() {
                return;
            }
            let check = |tail: &Tail, head_check| {
                let mut plain = crc32fast::Hasher::new_with_initial(head_check);
                plain.update(&tail[..COVERED_LEN]);
                // SAFETY: there is an `Available`.
                let sum = unsafe { sum_here(tail, head_check) };
                assert_eq!(sum, plain.finalize(), "{tail:?} {head_check:#x}");
            };
            check(&[0; TAIL_LEN], 0);
            for bit in 0..32 {
                check(&[0; TAIL_LEN], 1 << bit);
            }
            // Those of the check itself too: they must not be summed up.
            for bit in 0..8 * TAIL_LEN {
                let mut tail = [0; TAIL_LEN];
                tail[bit / 8] = 1 << (bit % 8);
                check(&tail, 0);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tail with the right check.
    fn tail(covered: [u8; COVERED_LEN], head: &[u8]) -> Tail {
        let mut tail = [0; TAIL_LEN];
        let (front, check) = tail.split_at_mut(COVERED_LEN);
        front.copy_from_slice(&covered);
        let text = [head, &covered].concat();
        base62::encode(u64::from(check_of(&text)), check);
        tail
    }

    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    fn digit() -> impl Strategy<Value = u8> {
        (0..DIGITS.len()).prop_map(|at| DIGITS[at])
    }

    /// What every reader that is here makes of a tail.
    fn read(tail: &Tail, head: &[u8]) -> Option<KeyId> {
        let id = plain(tail, check_of(head));
        assert_eq!(Reader::best().read(tail, check_of(head)), id, "{tail:?}");
        id
    }

    /// Every byte value, or some, where Miri would take minutes for them all.
    fn bytes() -> impl Iterator<Item = u8> {
        (0..=255).step_by(if cfg!(miri) { 29 } else { 1 })
    }

    #[test]
    fn a_digit_and_nothing_else_is_taken_in_every_place() {
        for at in 0..COVERED_LEN {
            for byte in bytes() {
                let mut covered = *b"Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW";
                covered[at] = byte;
                // The check is right: only what the byte is decides.
                let id = read(&tail(covered, b"tk_"), b"tk_");
                let expected = base62::decode(&covered[..ID_LEN]).map(KeyId);
                let expected = expected.filter(|_| DIGITS.contains(&byte));
                assert_eq!(id, expected, "{at}: {byte}");
            }
        }
    }

    /// With every digit in every place of the check, for bytes that are none
    /// count as some digit in the vectors' sum.
    #[test]
    fn the_check_and_nothing_else_is_taken_in_every_place() {
        for digit in DIGITS.iter().step_by(if cfg!(miri) { 20 } else { 1 }) {
            let right = tail([*digit; COVERED_LEN], b"tk_");
            for at in COVERED_LEN..TAIL_LEN {
                for byte in bytes() {
                    let mut tail = right;
                    tail[at] = byte;
                    let taken = read(&tail, b"tk_").is_some();
                    assert_eq!(taken, byte == right[at], "{digit} {at}: {byte}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 2000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_best_reader_reads_as_the_plain_one(
            covered in proptest::collection::vec(digit(), COVERED_LEN),
            head in proptest::collection::vec(any::<u8>(), 0..16),
            change in proptest::option::of((0..TAIL_LEN, any::<u8>())),
        ) {
            let covered: [u8; COVERED_LEN] = covered.try_into().unwrap();
            let mut tail = tail(covered, &head);
            let id = plain(&tail, check_of(&head));
            prop_assert_eq!(id.map(|id| id.to_chars().to_vec()), Some(covered[..ID_LEN].to_vec()));
            if let Some((at, byte)) = change {
                tail[at] = byte;
            }
            let best = Reader::best().read(&tail, check_of(&head));
            prop_assert_eq!(best, plain(&tail, check_of(&head)));
        }
    }
}
