//! What both widths share: the rounds, over whatever a lane's word is.

/// Defines `mix` and `compress` for a width: its features, the registers' type,
/// and what is done with them.
macro_rules! rounds {
    ($features:literal, $vector:ty, $add:ident, $xor:ident, $set:ident, $rotate:expr) => {
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
            state[a] = $add($add(state[a], first), state[b]);
            state[d] = rotate.0($xor(state[d], state[a]));
            state[c] = $add(state[c], state[d]);
            state[b] = rotate.1($xor(state[b], state[c]));
            state[a] = $add($add(state[a], second), state[b]);
            state[d] = rotate.2($xor(state[d], state[a]));
            state[c] = $add(state[c], state[d]);
            state[b] = rotate.3($xor(state[b], state[c]));
        }

        /// The eight words of each lane's digest, of the words of its block.
        #[target_feature(enable = $features)]
        #[inline]
        fn compress(key: &[u8; 32], lens: $vector, words: &[$vector; WORDS]) -> [$vector; 8] {
            let set = |word: u32| $set(word as i32);
            let mut state = [set(0); 16];
            for (place, bytes) in state.iter_mut().zip(key.as_chunks::<4>().0) {
                *place = set(u32::from_le_bytes(*bytes));
            }
            for (place, word) in state[8..].iter_mut().zip(IV) {
                *place = set(word);
            }
            state[14] = lens;
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
            std::array::from_fn(|at| $xor(state[at], state[at + 8]))
        }
    };
}
