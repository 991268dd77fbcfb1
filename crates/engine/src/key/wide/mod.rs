//! Keyed BLAKE3 of several keys side by side, one in each lane of the widest
//! registers that the processor has.
//!
//! The `blake3` crate hashes side by side too, but only the whole blocks of a
//! long message. A key is one block that is not full, and the same hash: see
//! [`block`].

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[macro_use]
mod rounds;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx512;

use super::block;

/// The most messages that are hashed at once.
pub(crate) const MOST: usize = 16;

/// Fewer messages than this are sooner hashed one by one.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const WORTH_IT: usize = 3;

/// How messages are hashed on this processor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    /// One by one.
    One,
    /// Eight side by side.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Eight(avx2::Available),
    /// Sixteen side by side.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Sixteen(avx512::Available),
}

impl Width {
    /// The widest that the processor has.
    pub(super) fn best() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if let Some(available) = avx512::Available::here() {
                return Self::Sixteen(available);
            }
            if let Some(available) = avx2::Available::here() {
                return Self::Eight(available);
            }
        }
        Self::One
    }

    /// Hashes messages, at most [`MOST`], each of at most [`block::BLOCK_LEN`]
    /// bytes. The digest of one that is longer is all zeroes, which no key has.
    pub(super) fn keyed_hashes(self, key: &[u8; 32], messages: &[&[u8]]) -> [[u8; 32]; MOST] {
        debug_assert!(messages.len() <= MOST);
        let mut digests = [[0; 32]; MOST];
        match self {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Sixteen(available) if messages.len() >= WORTH_IT => {
                avx512::hash(available, key, messages, &mut digests);
            }
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Eight(available) if messages.len() >= WORTH_IT => {
                for (messages, digests) in messages.chunks(8).zip(digests.as_chunks_mut().0) {
                    avx2::hash(available, key, messages, digests);
                }
            }
            _ => one_by_one(key, messages, &mut digests),
        }
        digests
    }
}

fn one_by_one(key: &[u8; 32], messages: &[&[u8]], digests: &mut [[u8; 32]]) {
    for (message, digest) in messages.iter().zip(digests) {
        *digest = block::keyed_hash(key, message).unwrap_or_default();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::block::BLOCK_LEN;
    use super::*;

    /// Every width that is here.
    fn widths() -> Vec<Width> {
        let mut widths = vec![Width::One];
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            widths.extend(avx2::Available::here().map(Width::Eight));
            widths.extend(avx512::Available::here().map(Width::Sixteen));
        }
        widths
    }

    fn check(width: Width, key: &[u8; 32], messages: &[&[u8]]) {
        let digests = width.keyed_hashes(key, messages);
        for (message, digest) in messages.iter().zip(&digests) {
            let expected = *blake3::keyed_hash(key, message).as_bytes();
            let fits = message.len() <= BLOCK_LEN;
            assert_eq!(*digest, if fits { expected } else { [0; 32] });
        }
    }

    #[test]
    fn every_length_and_number_gives_the_hash_of_blake3() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100).collect();
        let messages: Vec<&[u8]> = (0..=BLOCK_LEN)
            .map(|len| &bytes[len / 2..][..len])
            .collect();
        let key = std::array::from_fn(|i| i as u8 ^ 0xA5);
        for width in widths() {
            for number in 0..=MOST {
                check(width, &key, &messages[..number]);
                check(width, &key, &messages[messages.len() - number..]);
            }
            for some in messages.chunks(MOST) {
                check(width, &key, some);
            }
        }
    }

    #[test]
    fn one_that_is_too_long_harms_no_other() {
        let long = [7; 1000];
        for at in 0..MOST {
            let messages: Vec<&[u8]> = (0..MOST)
                .map(|i| if i == at { &long[..] } else { &long[..i] })
                .collect();
            for width in widths() {
                check(width, &[9; 32], &messages);
            }
        }
    }
}
