//! Eight side by side.

use std::arch::x86_64::*;
use std::mem::transmute;

use crate::key::block::{BLOCK_LEN, FLAGS, IV, SCHEDULE, WORDS};

/// A word of every lane.
type Lanes = [u32; 8];

/// Proof that the processor has what [`hash`] needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct Available(());

impl Available {
    /// The proof, where it holds.
    pub(super) fn here() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

rounds!(
    "avx2",
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

/// Hashes up to eight messages.
pub(super) fn hash(_: Available, key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]; 8]) {
    // SAFETY: the processor has AVX2, for there is an `Available`.
    unsafe { hash_here(key, messages, digests) }
}

#[target_feature(enable = "avx2")]
fn hash_here(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]; 8]) {
    let mut words: [Lanes; WORDS] = [[0; 8]; WORDS];
    let mut lens: Lanes = [0; 8];
    for (lane, message) in messages.iter().take(8).enumerate() {
        let mut block = [0; BLOCK_LEN];
        let Some(place) = block.get_mut(..message.len()) else {
            continue;
        };
        place.copy_from_slice(message);
        lens[lane] = message.len() as u32;
        for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            word[lane] = u32::from_le_bytes(*bytes);
        }
    }
    let words = words.map(|lanes| load(lanes));
    let hashed = compress(key, load(lens), &words).map(|word| store(word));
    for (lane, message) in messages.iter().take(8).enumerate() {
        if message.len() > BLOCK_LEN {
            continue;
        }
        for (out, word) in digests[lane].as_chunks_mut().0.iter_mut().zip(&hashed) {
            *out = word[lane].to_le_bytes();
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(lanes: Lanes) -> __m256i {
    // SAFETY: of one size, and every bit pattern is valid in both.
    unsafe { transmute::<Lanes, __m256i>(lanes) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(vector: __m256i) -> Lanes {
    // SAFETY: as in `load`.
    unsafe { transmute::<__m256i, Lanes>(vector) }
}
