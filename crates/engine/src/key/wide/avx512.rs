//! Sixteen side by side.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::MOST;
use crate::key::block::{BLOCK_LEN, FLAGS, IV, SCHEDULE, WORDS};

/// Proof that the processor has what [`hash`] needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct Available(());

impl Available {
    /// The proof, where it holds.
    pub(super) fn here() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"))
            .then_some(Self(()))
    }
}

rounds!(
    "avx512f,avx512bw",
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

/// Hashes up to sixteen messages.
pub(super) fn hash(
    _: Available,
    key: &[u8; 32],
    messages: &[&[u8]],
    digests: &mut [[u8; 32]; MOST],
) {
    // SAFETY: the processor has both, for there is an `Available`.
    unsafe { hash_here(key, messages, digests) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn hash_here(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]; MOST]) {
    let mut rows = [_mm512_setzero_si512(); MOST];
    let mut lens = [0_u32; MOST];
    let mut fits = [false; MOST];
    for (lane, message) in messages.iter().take(MOST).enumerate() {
        fits[lane] = message.len() <= BLOCK_LEN;
        if fits[lane] {
            rows[lane] = load_block(message);
            lens[lane] = message.len() as u32;
        }
    }
    // SAFETY: of one size, and every bit pattern is valid in both.
    let lens = unsafe { transmute::<[u32; MOST], __m512i>(lens) };
    let words = turned(rows);
    let hashed = digests_of(compress(key, lens, &words));
    for ((digest, hash), fits) in digests.iter_mut().zip(hashed).zip(fits) {
        if fits {
            *digest = hash;
        }
    }
}

/// A block that begins with a message and is filled up with zeroes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_block(message: &[u8]) -> __m512i {
    debug_assert!(message.len() <= BLOCK_LEN);
    let missing = BLOCK_LEN.saturating_sub(message.len()) as u32;
    let mask = u64::MAX.checked_shr(missing).unwrap_or(0);
    // SAFETY: only the bytes whose bits are set in the mask are read, which are
    // at most as many as the message has.
    unsafe { _mm512_maskz_loadu_epi8(mask, message.as_ptr().cast()) }
}

/// Rows of sixteen words as columns: word `w` of row `r` becomes word `r` of
/// row `w`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn turned(rows: [__m512i; 16]) -> [__m512i; WORDS] {
    let zero = _mm512_setzero_si512();
    // Within each quarter of a register four rows become four columns.
    let mut fours = [zero; 16];
    for (four, rows) in fours.as_chunks_mut().0.iter_mut().zip(rows.as_chunks().0) {
        *four = turned_four(rows);
    }
    // `fours[4 * r + c]`, quarter `q`: word `4 * q + c` of rows `4 * r` on.
    let mut columns = [zero; 16];
    for c in 0..4 {
        let part = |r: usize| fours[4 * r + c];
        let even_low = _mm512_shuffle_i32x4::<0b10_00_10_00>(part(0), part(1));
        let odd_low = _mm512_shuffle_i32x4::<0b11_01_11_01>(part(0), part(1));
        let even_high = _mm512_shuffle_i32x4::<0b10_00_10_00>(part(2), part(3));
        let odd_high = _mm512_shuffle_i32x4::<0b11_01_11_01>(part(2), part(3));
        columns[c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(even_low, even_high);
        columns[4 + c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(odd_low, odd_high);
        columns[8 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(even_low, even_high);
        columns[12 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(odd_low, odd_high);
    }
    columns
}

/// In each quarter: four rows of four words as columns.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn turned_four(rows: &[__m512i; 4]) -> [__m512i; 4] {
    let low = _mm512_unpacklo_epi32(rows[0], rows[1]);
    let high = _mm512_unpackhi_epi32(rows[0], rows[1]);
    let next_low = _mm512_unpacklo_epi32(rows[2], rows[3]);
    let next_high = _mm512_unpackhi_epi32(rows[2], rows[3]);
    [
        _mm512_unpacklo_epi64(low, next_low),
        _mm512_unpackhi_epi64(low, next_low),
        _mm512_unpacklo_epi64(high, next_high),
        _mm512_unpackhi_epi64(high, next_high),
    ]
}

/// The digest of each lane, of its eight words.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn digests_of(words: [__m512i; 8]) -> [[u8; 32]; MOST] {
    let (halves, _) = words.as_chunks();
    // Quarter `q` of number `k`: half the digest of lane `4 * q + k`.
    let first = turned_four(&halves[0]);
    let second = turned_four(&halves[1]);
    let mut digests = [[0; 32]; MOST];
    for k in 0..4 {
        let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        let pair = |order| {
            let pair = _mm512_permutex2var_epi64(first[k], order, second[k]);
            // SAFETY: of one size, and every bit pattern is valid in both.
            unsafe { transmute::<__m512i, [[u8; 32]; 2]>(pair) }
        };
        [digests[k], digests[4 + k]] = pair(low);
        [digests[8 + k], digests[12 + k]] = pair(high);
    }
    digests
}
