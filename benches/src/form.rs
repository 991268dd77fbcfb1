//! A key's form, written a second time: the peer checks it, and the keys that
//! are measured are made by it.

use fastrand::Rng;

/// The prefix of every key that is measured.
pub const PREFIX: &[u8] = b"tk_live";
/// Where the secret starts: behind prefix, `_` and the id.
const SECRET_AT: usize = PREFIX.len() + 1 + 10;
/// Where the check starts.
const CHECK_AT: usize = SECRET_AT + 32;
/// Bytes of a key that is measured.
pub const KEY_LEN: usize = CHECK_AT + 6;

/// A whole key.
pub type Key = [u8; KEY_LEN];

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The check of what stands before it: its CRC-32 in six base62 digits.
fn check(covered: &[u8]) -> [u8; 6] {
    let mut value = crc32fast::hash(covered) as usize;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[value % 62];
        value /= 62;
    }
    digits
}

/// Draws a key.
pub fn draw(rng: &mut Rng) -> Key {
    let mut key = [b'_'; KEY_LEN];
    key[..PREFIX.len()].copy_from_slice(PREFIX);
    for byte in &mut key[PREFIX.len() + 1..CHECK_AT] {
        *byte = DIGITS[rng.usize(..62)];
    }
    let check = check(&key[..CHECK_AT]);
    key[CHECK_AT..].copy_from_slice(&check);
    key
}

/// A key with one character of its secret mistyped: only the check tells.
pub fn mistype(mut key: Key, rng: &mut Rng) -> Key {
    let byte = &mut key[rng.usize(SECRET_AT..CHECK_AT)];
    *byte = if *byte == b'0' { b'1' } else { b'0' };
    key
}

/// Whether bytes have a key's form under one of the prefixes.
pub fn is_key(bytes: &[u8], prefixes: &[&[u8]]) -> bool {
    let Some(at) = bytes.len().checked_sub(6).filter(|_| bytes.len() <= 64) else {
        return false;
    };
    let (covered, sent) = bytes.split_at(at);
    let of_prefix = |prefix: &&[u8]| {
        covered.strip_prefix(*prefix).is_some_and(|rest| {
            rest.len() == 1 + 10 + 32
                && rest[0] == b'_'
                && rest[1..].iter().all(u8::is_ascii_alphanumeric)
        })
    };
    prefixes.iter().any(of_prefix) && check(covered) == sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_keys_to_the_engine_too() {
        let mut rng = Rng::with_seed(1);
        for _ in 0..100 {
            let key = draw(&mut rng);
            let typo = mistype(key, &mut rng);
            for (bytes, good) in [(key, true), (typo, false)] {
                let text = std::str::from_utf8(&bytes).unwrap();
                assert_eq!(text.parse::<engine::SecretKey>().is_ok(), good, "{text}");
                assert_eq!(is_key(&bytes, &[b"tk_test", PREFIX]), good, "{text}");
            }
            assert!(!is_key(&key, &[b"tk_test"]));
            assert!(!is_key(&key[1..], &[PREFIX]));
        }
        assert!(!is_key(b"", &[PREFIX]));
    }
}
