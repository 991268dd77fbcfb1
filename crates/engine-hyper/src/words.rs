//! Which words stand in a path, told roughly: a set of a fixed size, which may
//! seem to hold a word that was never put into it, and never lacks one that was.
//!
//! A rule whose words are not all in a path matches no reading of it, so that
//! most rules are left out of the costly part by one comparison each. Words that
//! only seem to be there cost time, and make nothing laxer.

/// A set of words, in which the case of letters makes no difference.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words(u128);

impl Words {
    /// Puts a word in.
    pub(crate) fn add(&mut self, word: &[u8]) {
        let hash = hash(word);
        // Two bits for each: words that are few then seldom hide a third.
        self.0 |= 1 << (hash >> 57) | 1 << (hash >> 50 & 127);
    }

    /// Whether all words of another set are in this one, as far as can be told.
    pub(crate) fn hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }
}

impl<'a> FromIterator<&'a [u8]> for Words {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(words: I) -> Self {
        let mut set = Self::default();
        words.into_iter().for_each(|word| set.add(word));
        set
    }
}

/// A hash that is the same for words that differ in the case of letters alone.
/// Who makes words to collide here gets the answer that is safe to give without
/// looking closer, so that no secret seed is needed.
fn hash(word: &[u8]) -> u64 {
    /// The bit in which `a` and `A` differ: set in all bytes, for it does not
    /// matter that other bytes become alike by it.
    const SMALL: u64 = 0x2020_2020_2020_2020;
    /// 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (chunks, rest) = word.as_chunks::<8>();
    let mix = |hash: u64, eight: u64| (hash.rotate_left(29) ^ (eight | SMALL)).wrapping_mul(SPREAD);
    let hash = chunks.iter().fold(word.len() as u64, |hash, chunk| {
        mix(hash, u64::from_le_bytes(*chunk))
    });
    let last = rest
        .iter()
        .fold(0, |last, byte| last << 8 | u64::from(*byte));
    let hash = mix(hash, last);
    // What the last bytes changed lies in the highest bits alone.
    (hash ^ hash >> 32).wrapping_mul(SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn no_word_is_lacking_in_any_case_of_letters() {
        for word in ["", "a", "v1", "Resource", "longer than eight", "É?", "@[`{"] {
            let path = words(&format!("x {} y", word.to_ascii_uppercase()));
            assert!(path.hold(words(word)), "{word}");
            assert!(path.hold(words(&format!("y {word}"))), "{word}");
        }
        assert!(words("x").hold(Words::default()));
        assert!(Words::default().hold(Words::default()));
    }

    #[test]
    fn most_words_that_are_not_there_are_told_apart() {
        let path = words("api v1 resource7 12 items");
        for shape in ["resource", "r", "resour", "a-longer-resource-"] {
            let seem = |i: &usize| path.hold(words(&format!("api v1 {shape}{i}")));
            let seeming = (100..1100).filter(seem).count();
            assert!(seeming < 30, "{seeming} of 1000 like {shape}100");
        }
    }
}
