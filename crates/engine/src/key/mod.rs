//! A key's form: `<prefix>_<id><secret><check>`.
//!
//! The id is 10 and the secret 32 base62 characters; the check is the CRC-32
//! (IEEE 802.3, as zlib computes it) of every byte before it in 6 base62
//! digits. So a typing error or a random guess is refused without a look-up,
//! and a secret scanner recognises a leaked key.

mod base62;
mod digest;
mod prefix;
mod secret_key;
mod wide;

use std::fmt;
use std::str::FromStr;

pub use digest::{KeyDigest, ServerSecret, TokenDigest};
pub use prefix::{MAX_PREFIX_LEN, Prefix, PrefixError, Prefixes};
pub use secret_key::{KeyFormError, SecretKey, SessionToken};

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 64;
/// Characters of a key's public id.
pub const ID_LEN: usize = 10;
/// Characters of a key's secret.
const SECRET_LEN: usize = 32;
/// Characters of a key's check.
const CHECK_LEN: usize = 6;
/// Everything behind the `_` that ends the prefix.
const TAIL_LEN: usize = ID_LEN + SECRET_LEN + CHECK_LEN;

/// The public part of a key: ten base62 characters. It may be shown, logged
/// and put into metrics, and names the key everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

/// A text that is no [`KeyId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdError;

impl KeyId {
    /// The id as a number below 62^10.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// An id read back from where [`KeyId::to_bits`] put it.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The id's ten characters.
    #[must_use]
    pub fn to_chars(self) -> [u8; ID_LEN] {
        let mut chars = [0; ID_LEN];
        base62::encode(self.0, &mut chars);
        chars
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        if text.len() != ID_LEN {
            return Err(KeyIdError);
        }
        base62::decode(text.as_bytes()).map(Self).ok_or(KeyIdError)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = self.to_chars();
        f.write_str(std::str::from_utf8(&chars).unwrap_or_default())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Display for KeyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key id is {ID_LEN} characters of 0-9, A-Z and a-z")
    }
}

impl std::error::Error for KeyIdError {}

/// A key of the right form, as it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Formed<'k> {
    key: &'k [u8],
    id: KeyId,
}

impl<'k> Formed<'k> {
    /// Takes a key apart; `None` for what has not the right form.
    ///
    /// Looks at no table: length, characters and check only. Constant-time in
    /// nothing: what it reads is the client's own input.
    pub(crate) fn of(key: &'k [u8]) -> Option<Self> {
        if key.len() > MAX_KEY_LEN {
            return None;
        }
        let (head, tail) = key.split_at_checked(key.len().checked_sub(TAIL_LEN)?)?;
        let (body, check) = tail.split_at(ID_LEN + SECRET_LEN);
        let (id, secret) = body.split_at(ID_LEN);
        let id = base62::decode(id)?;
        if *head.last()? != b'_' || !base62::is_base62(secret) {
            return None;
        }
        let covered = &key[..key.len() - CHECK_LEN];
        let sum = u64::from(crc32fast::hash(covered));
        let id = KeyId(id);
        (base62::decode(check)? == sum).then_some(Self { key, id })
    }

    /// The whole key.
    pub(crate) fn key(self) -> &'k [u8] {
        self.key
    }

    /// Its prefix, which may be none that is taken.
    pub(crate) fn prefix(self) -> &'k [u8] {
        // `of` has found the tail, and a separator before it.
        let len = self.key.len().saturating_sub(TAIL_LEN + 1);
        self.key.get(..len).unwrap_or_default()
    }

    /// Its public id.
    pub(crate) fn id(self) -> KeyId {
        self.id
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Whether it has the right form.
    fn is_formed(key: &[u8]) -> bool {
        Formed::of(key).is_some()
    }

    const KEY: &[u8] = b"tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";

    #[test]
    fn a_key_is_dissected() {
        let formed = Formed::of(KEY).unwrap();
        let id = formed.id();
        assert_eq!(formed.prefix(), b"tk_live");
        assert_eq!(formed.key(), KEY);
        assert_eq!(id.to_string(), "Gu8zTEly6P");
        assert_eq!("Gu8zTEly6P".parse(), Ok(id));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        // Miri takes minutes for them all.
        let step = if cfg!(miri) { 51 } else { 1 };
        for i in 0..KEY.len() {
            for byte in (0..=255).step_by(step) {
                let mut key = KEY.to_vec();
                key[i] = byte;
                if key != KEY {
                    assert!(!is_formed(&key), "byte {i} as {byte}");
                }
            }
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        for len in 0..KEY.len() {
            assert!(!is_formed(&KEY[..len]));
        }
        assert!(!is_formed(&[b'a'; 65]));
        assert!(!is_formed(&[b'a'; 10_000]));
    }

    #[test]
    fn ids_of_the_wrong_form_are_refused() {
        for bad in ["", "123456789", "12345678901", "123456789-", "12345678é"] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyIdError));
        }
    }
}
