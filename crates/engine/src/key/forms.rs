//! Which texts are keys of this deployment.

use smallvec::SmallVec;

use super::tail::{self, Reader, Tail};
use super::{KeyId, MAX_KEY_LEN, MAX_PREFIX_LEN, Prefixes, TAIL_LEN};

/// What every key of one prefix begins with.
#[derive(Clone, Copy)]
struct Head {
    /// The prefix and its `_`, zeroes behind them.
    bytes: u128,
    /// All ones where `bytes` has a character.
    mask: u128,
    /// The length of a key, in bytes.
    key_len: usize,
    /// The check of the prefix and its `_`.
    check: u32,
}

const _: () = assert!(MAX_PREFIX_LEN < size_of::<u128>() && size_of::<u128>() <= TAIL_LEN);

/// The keys of some prefixes, ready to be told from other texts.
pub(crate) struct Forms {
    heads: SmallVec<[Head; 2]>,
    reader: Reader,
}

/// A key of the right form, as it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Formed<'k> {
    key: &'k [u8],
    id: KeyId,
}

impl Forms {
    pub(crate) fn of(prefixes: &Prefixes) -> Self {
        let head = |prefix: &[u8]| {
            let text = [prefix, b"_"].concat();
            let mut bytes = [0; size_of::<u128>()];
            let mut mask = [0; size_of::<u128>()];
            bytes[..text.len()].copy_from_slice(&text);
            mask[..text.len()].fill(0xFF);
            Head {
                bytes: u128::from_ne_bytes(bytes),
                mask: u128::from_ne_bytes(mask),
                key_len: text.len() + TAIL_LEN,
                check: tail::check_of(&text),
            }
        };
        Self {
            heads: prefixes.iter().map(|p| head(p.as_bytes())).collect(),
            reader: Reader::best(),
        }
    }

    /// Takes a key apart; `None` for what is no key under one of the prefixes.
    ///
    /// Looks at no table: length, characters and check only. Constant-time in
    /// nothing: what it reads is the client's own input. Linear in the number
    /// of prefixes.
    #[inline]
    pub(crate) fn take<'k>(&self, key: &'k [u8]) -> Option<Formed<'k>> {
        let front = u128::from_ne_bytes(*key.first_chunk()?);
        let is_under =
            |head: &&Head| head.key_len == key.len() && (front ^ head.bytes) & head.mask == 0;
        let head = self.heads.iter().find(is_under)?;
        let tail: &Tail = key.last_chunk()?;
        let id = self.reader.read(tail, head.check)?;
        Some(Formed { key, id })
    }
}

impl<'k> Formed<'k> {
    /// The whole key, at most [`MAX_KEY_LEN`] bytes.
    pub(crate) fn key(self) -> &'k [u8] {
        debug_assert!(self.key.len() <= MAX_KEY_LEN);
        self.key
    }

    /// Its public id.
    pub(crate) fn id(self) -> KeyId {
        self.id
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{CHECK_LEN, SecretKey, base62};
    use super::*;

    const KEY: &[u8] = b"tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";

    /// Whether it is a key under a default prefix.
    fn is_formed(key: &[u8]) -> bool {
        Forms::of(&Prefixes::default()).take(key).is_some()
    }

    #[test]
    fn a_key_is_dissected() {
        let forms = Forms::of(&Prefixes::default());
        let formed = forms.take(KEY).unwrap();
        assert_eq!(formed.key(), KEY);
        assert_eq!(formed.id().to_string(), "Gu8zTEly6P");
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        // Miri takes minutes for them all.
        let step = if cfg!(miri) { 51 } else { 1 };
        for i in 0..KEY.len() {
            for byte in (0..=255).step_by(step) {
                let mut key = KEY.to_vec();
                key[i] = byte;
                assert_eq!(is_formed(&key), key == KEY, "byte {i} as {byte}");
            }
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        for len in 0..KEY.len() {
            assert!(!is_formed(&KEY[..len]));
        }
        assert!(!is_formed(&[KEY, b"0"].concat()));
        assert!(!is_formed(&[b'a'; 65]));
        assert!(!is_formed(&[b'a'; 10_000]));
    }

    /// A text that ends as a key does: digits, and the check of the whole.
    fn ended(head: &[u8]) -> Vec<u8> {
        let mut text = [head, &[b'7'; TAIL_LEN - CHECK_LEN]].concat();
        let mut check = [0; CHECK_LEN];
        base62::encode(u64::from(tail::check_of(&text)), &mut check);
        text.extend(check);
        text
    }

    #[test]
    fn before_the_tail_stands_a_prefix_to_the_byte() {
        for prefix in ["a", "tk_live", "abcdefghijklmno"] {
            let prefixes = Prefixes::new([prefix.parse().unwrap()]).unwrap();
            let forms = Forms::of(&prefixes);
            let is_taken = |head: &[u8]| forms.take(&ended(head)).is_some();
            let head = [prefix, "_"].concat().into_bytes();
            assert!(is_taken(&head));
            for at in 0..head.len() {
                for byte in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
                    let mut other = head.clone();
                    other[at] = byte;
                    assert_eq!(is_taken(&other), other == head, "{at}: {byte}");
                    other.insert(at, head[at]);
                    assert!(!is_taken(&other), "{at}: {byte} too many");
                }
                assert!(!is_taken(&head[at + 1..]) && !is_taken(&head[..at]));
            }
            for more in [&b"\0"[..], b"_", b"a", b"7"] {
                assert!(!is_taken(&[&head, more].concat()));
                assert!(!is_taken(&[more, &head].concat()));
            }
        }
    }

    #[test]
    fn only_the_prefixes_that_are_taken() {
        let list = |texts: &[&str]| {
            let prefixes = texts.iter().map(|text| text.parse().unwrap());
            Prefixes::new(prefixes).unwrap()
        };
        let all = ["a", "abcdefghijklmno", "tk", "tk_live"];
        for prefix in all {
            let key = SecretKey::generate(&prefix.parse().unwrap()).unwrap();
            for other in all {
                let forms = Forms::of(&list(&[other, "x"]));
                let taken = forms.take(key.expose().as_bytes());
                assert_eq!(taken.map(Formed::id), (other == prefix).then(|| key.id()));
            }
        }
    }
}
