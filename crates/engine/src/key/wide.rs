//! Keyed BLAKE3 of several short messages side by side, one in each lane of
//! the widest registers that the processor has.
//!
//! The `blake3` crate hashes side by side too, but only the whole blocks of a
//! long message. A key is one block that is not full, and the same hash: the
//! single compression of section 2.2 of the BLAKE3 paper (O'Connor et al.,
//! 2020), with the flags of a root that is its only chunk's only block.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use super::block::BLOCK_LEN;

/// Fewer messages than this are sooner hashed one by one.
const WORTH_IT: usize = 3;

/// Hashes each message of at most [`BLOCK_LEN`] bytes; a longer one, one by
/// one too. As many digests as messages.
pub(super) fn keyed_hashes(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    let mut messages = messages;
    let mut digests = digests;
    let lanes = lanes();
    while messages.len() >= WORTH_IT && lanes > 1 {
        let now = messages.len().min(digests.len()).min(lanes);
        let (these, others) = messages.split_at(now);
        let (out, rest) = digests.split_at_mut(now);
        if these.iter().all(|message| message.len() <= BLOCK_LEN) {
            side_by_side(key, these, out);
        } else {
            one_by_one(key, these, out);
        }
        (messages, digests) = (others, rest);
    }
    one_by_one(key, messages, digests);
}

fn one_by_one(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    for (message, digest) in messages.iter().zip(digests) {
        *digest = *blake3::keyed_hash(key, message).as_bytes();
    }
}

/// How many messages fit side by side; 1 where one by one is as good.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn lanes() -> usize {
    if is_x86_feature_detected!("avx512f") {
        16
    } else if is_x86_feature_detected!("avx2") {
        8
    } else {
        1
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn lanes() -> usize {
    1
}

/// Hashes at most [`lanes`] messages of at most a block.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn side_by_side(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, as was just found.
        unsafe { avx512::hash(key, messages, digests) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just found.
        unsafe { avx2::hash(key, messages, digests) }
    } else {
        one_by_one(key, messages, digests);
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use one_by_one as side_by_side;

/// One width: the registers' type, and what is done with them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! width {
    ($name:ident, $features:literal, $lanes:literal, $vector:ty, $add:ident, $xor:ident,
     $set:ident, $rotate:expr) => {
        mod $name {
            use super::super::block::{BLOCK_LEN, FLAGS, IV, SCHEDULE, WORDS};
            use std::arch::x86_64::*;

            /// A word of every lane.
            type Lanes = [u32; $lanes];
            const _: () = assert!(size_of::<Lanes>() == size_of::<$vector>());

            #[target_feature(enable = $features)]
            #[inline]
            fn load(lanes: Lanes) -> $vector {
                // SAFETY: of one size, and every bit pattern is valid in both.
                unsafe { std::mem::transmute::<Lanes, $vector>(lanes) }
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn store(vector: $vector) -> Lanes {
                // SAFETY: as in `load`.
                unsafe { std::mem::transmute::<$vector, Lanes>(vector) }
            }

            /// The quarter-round.
            #[target_feature(enable = $features)]
            #[inline]
            fn mix(
                state: &mut [$vector; 16],
                [a, b, c, d]: [usize; 4],
                first: $vector,
                second: $vector,
            ) {
                let rotate = $rotate;
                state[a] = $add($add(state[a], state[b]), first);
                state[d] = rotate.0($xor(state[d], state[a]));
                state[c] = $add(state[c], state[d]);
                state[b] = rotate.1($xor(state[b], state[c]));
                state[a] = $add($add(state[a], state[b]), second);
                state[d] = rotate.2($xor(state[d], state[a]));
                state[c] = $add(state[c], state[d]);
                state[b] = rotate.3($xor(state[b], state[c]));
            }

            #[target_feature(enable = $features)]
            pub(super) fn hash(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]]) {
                let mut words: [Lanes; WORDS] = [[0; $lanes]; WORDS];
                let mut lens: Lanes = [0; $lanes];
                for (lane, message) in messages.iter().take($lanes).enumerate() {
                    let mut block = [0; BLOCK_LEN];
                    let len = message.len().min(BLOCK_LEN);
                    block[..len].copy_from_slice(&message[..len]);
                    lens[lane] = len as u32;
                    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
                        word[lane] = u32::from_le_bytes(*bytes);
                    }
                }
                let words = words.map(|lanes| load(lanes));
                let set = |word: u32| $set(word as i32);
                let (key, _) = key.as_chunks::<4>();
                let zero = set(0);
                let mut state: [$vector; 16] = [zero; 16];
                for (place, bytes) in state.iter_mut().zip(key) {
                    *place = set(u32::from_le_bytes(*bytes));
                }
                for (place, word) in state[8..].iter_mut().zip(IV) {
                    *place = set(word);
                }
                state[14] = load(lens);
                state[15] = set(FLAGS);
                for order in &SCHEDULE {
                    let m = |at: usize| words[order[at]];
                    mix(&mut state, [0, 4, 8, 12], m(0), m(1));
                    mix(&mut state, [1, 5, 9, 13], m(2), m(3));
                    mix(&mut state, [2, 6, 10, 14], m(4), m(5));
                    mix(&mut state, [3, 7, 11, 15], m(6), m(7));
                    mix(&mut state, [0, 5, 10, 15], m(8), m(9));
                    mix(&mut state, [1, 6, 11, 12], m(10), m(11));
                    mix(&mut state, [2, 7, 8, 13], m(12), m(13));
                    mix(&mut state, [3, 4, 9, 14], m(14), m(15));
                }
                for at in 0..8 {
                    let out = store($xor(state[at], state[at + 8]));
                    for (digest, word) in digests.iter_mut().zip(out) {
                        digest[4 * at..][..4].copy_from_slice(&word.to_le_bytes());
                    }
                }
            }
        }
    };
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
width!(
    avx512,
    "avx512f",
    16,
    __m512i,
    _mm512_add_epi32,
    _mm512_xor_si512,
    _mm512_set1_epi32,
    (
        |v| _mm512_ror_epi32::<16>(v),
        |v| _mm512_ror_epi32::<12>(v),
        |v| _mm512_ror_epi32::<8>(v),
        |v| _mm512_ror_epi32::<7>(v),
    )
);

#[cfg(all(target_arch = "x86_64", not(miri)))]
width!(
    avx2,
    "avx2",
    8,
    __m256i,
    _mm256_add_epi32,
    _mm256_xor_si256,
    _mm256_set1_epi32,
    (
        |v| _mm256_or_si256(_mm256_srli_epi32::<16>(v), _mm256_slli_epi32::<16>(v)),
        |v| _mm256_or_si256(_mm256_srli_epi32::<12>(v), _mm256_slli_epi32::<20>(v)),
        |v| _mm256_or_si256(_mm256_srli_epi32::<8>(v), _mm256_slli_epi32::<24>(v)),
        |v| _mm256_or_si256(_mm256_srli_epi32::<7>(v), _mm256_slli_epi32::<25>(v)),
    )
);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn check(key: &[u8; 32], messages: &[&[u8]]) {
        let mut digests = vec![[0; 32]; messages.len()];
        keyed_hashes(key, messages, &mut digests);
        for (message, digest) in messages.iter().zip(&digests) {
            assert_eq!(digest, blake3::keyed_hash(key, message).as_bytes());
        }
    }

    #[test]
    fn every_length_and_number_gives_the_hash_of_blake3() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100).collect();
        let messages: Vec<&[u8]> = (0..=BLOCK_LEN)
            .map(|len| &bytes[len / 2..][..len])
            .collect();
        let key = std::array::from_fn(|i| i as u8 ^ 0xA5);
        for number in 0..=40 {
            check(&key, &messages[..number]);
            check(&key, &messages[messages.len() - number..]);
        }
        check(&key, &messages);
    }

    #[test]
    fn one_too_long_for_a_lane_is_hashed_all_the_same() {
        let long = [7; 1000];
        let messages: Vec<&[u8]> = (0..20)
            .map(|i| if i == 5 { &long[..] } else { &long[..i] })
            .collect();
        check(&[9; 32], &messages);
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn each_width_that_is_here() {
        let bytes: [u8; 64] = std::array::from_fn(|i| i as u8);
        let messages: Vec<&[u8]> = (49..65).map(|len| &bytes[..len]).collect();
        let key = [3; 32];
        let expected: Vec<_> = messages
            .iter()
            .map(|message| *blake3::keyed_hash(&key, message).as_bytes())
            .collect();
        let mut digests = [[0; 32]; 16];
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F.
            unsafe { avx512::hash(&key, &messages, &mut digests) };
            assert_eq!(digests[..], expected);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { avx2::hash(&key, &messages[..8], &mut digests[..8]) };
            assert_eq!(digests[..8], expected[..8]);
        }
    }
}
