//! Keyed BLAKE3 of one message that fits a block, as every key does.
//!
//! The compression of section 2.2 of the BLAKE3 paper (O'Connor et al., 2020),
//! once, with the flags of a root that is its only chunk's only block. In plain
//! words of the processor and not in its vectors: a round's steps depend on
//! each other, and where a vector instruction takes longer than a plain one
//! they wait for it. What that is worth is told in `docs/adr/0007-our-own-block.md`.

/// Bytes of a block: the longest message that is hashed here.
pub(super) const BLOCK_LEN: usize = 64;
/// Words of a block.
pub(super) const WORDS: usize = BLOCK_LEN / 4;

/// The initialisation vector: that of SHA-256.
pub(super) const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];

/// KEYED_HASH, ROOT, CHUNK_END and CHUNK_START.
pub(super) const FLAGS: u32 = 16 | 8 | 2 | 1;

/// Which word of the message goes where in each round.
pub(super) const SCHEDULE: [[usize; WORDS]; 7] = {
    const PERMUTATION: [usize; WORDS] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut schedule = [[0; WORDS]; 7];
    let mut word = 0;
    while word < WORDS {
        schedule[0][word] = word;
        word += 1;
    }
    let mut round = 1;
    while round < 7 {
        word = 0;
        while word < WORDS {
            schedule[round][word] = schedule[round - 1][PERMUTATION[word]];
            word += 1;
        }
        round += 1;
    }
    schedule
};

/// The hash of a message of at most [`BLOCK_LEN`] bytes; `None` for a longer
/// one.
pub(super) fn keyed_hash(key: &[u8; 32], message: &[u8]) -> Option<[u8; 32]> {
    let mut block = [0; BLOCK_LEN];
    block.get_mut(..message.len())?.copy_from_slice(message);
    let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let m: [u32; WORDS] = std::array::from_fn(|at| word(&block.as_chunks().0[at]));
    let k: [u32; 8] = std::array::from_fn(|at| word(&key.as_chunks().0[at]));

    let mut v = [0; 16];
    v[..8].copy_from_slice(&k);
    v[8..12].copy_from_slice(&IV);
    v[14] = message.len() as u32;
    v[15] = FLAGS;
    // Written out, so that each round's schedule is known where it is used.
    round::<0>(&mut v, &m);
    round::<1>(&mut v, &m);
    round::<2>(&mut v, &m);
    round::<3>(&mut v, &m);
    round::<4>(&mut v, &m);
    round::<5>(&mut v, &m);
    round::<6>(&mut v, &m);

    let mut hash = [0; 32];
    for (at, out) in hash.as_chunks_mut().0.iter_mut().enumerate() {
        *out = (v[at] ^ v[at + 8]).to_le_bytes();
    }
    Some(hash)
}

/// One round: the columns, then the diagonals.
#[inline(always)]
fn round<const ROUND: usize>(v: &mut [u32; 16], m: &[u32; WORDS]) {
    let m = |at: usize| m[SCHEDULE[ROUND][at]];
    mix(v, [0, 4, 8, 12], m(0), m(1));
    mix(v, [1, 5, 9, 13], m(2), m(3));
    mix(v, [2, 6, 10, 14], m(4), m(5));
    mix(v, [3, 7, 11, 15], m(6), m(7));
    mix(v, [0, 5, 10, 15], m(8), m(9));
    mix(v, [1, 6, 11, 12], m(10), m(11));
    mix(v, [2, 7, 8, 13], m(12), m(13));
    mix(v, [3, 4, 9, 14], m(14), m(15));
}

/// The quarter-round.
#[inline(always)]
fn mix(v: &mut [u32; 16], [a, b, c, d]: [usize; 4], first: u32, second: u32) {
    // The message's word first: it is there before `b` is.
    v[a] = v[a].wrapping_add(first).wrapping_add(v[b]);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(12);
    v[a] = v[a].wrapping_add(second).wrapping_add(v[b]);
    v[d] = (v[d] ^ v[a]).rotate_right(8);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(7);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_gives_the_hash_of_blake3() {
        let key = std::array::from_fn(|i| i as u8 ^ 0xA5);
        let bytes: [u8; BLOCK_LEN] = std::array::from_fn(|i| (i * 37) as u8);
        for len in 0..=BLOCK_LEN {
            let message = &bytes[..len];
            let expected = *blake3::keyed_hash(&key, message).as_bytes();
            assert_eq!(keyed_hash(&key, message), Some(expected), "{len}");
        }
        assert_eq!(keyed_hash(&key, &[0; BLOCK_LEN + 1]), None);
    }
}
