//! A key's form: `<prefix>_<id><secret><check>`.
//!
//! The id is 10 and the secret 32 base62 characters; the check is the CRC-32
//! (IEEE 802.3, as zlib computes it) of every byte before it in 6 base62
//! digits. So a typing error or a random guess is refused without a look-up,
//! and a secret scanner recognises a leaked key.

mod base62;
mod block;
mod digest;
mod forms;
mod prefix;
mod secret_key;
mod tail;
mod wide;

use std::fmt;
use std::str::FromStr;

pub use digest::{KeyDigest, ServerSecret, TokenDigest};
pub(crate) use forms::{Formed, Forms};
pub use prefix::{MAX_PREFIX_LEN, Prefix, PrefixError, Prefixes};
pub use secret_key::{KeyFormError, SecretKey, SessionToken};
pub(crate) use wide::MOST as MOST_AT_ONCE;

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

    /// An id from bits that may be no id's.
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    pub(crate) fn checked_from_bits(bits: u64) -> Option<Self> {
        (bits < 62_u64.pow(ID_LEN as u32)).then_some(Self(bits))
    }

    /// The id's ten characters.
    #[must_use]
    pub fn to_chars(self) -> [u8; ID_LEN] {
        let mut chars = [0; ID_LEN];
        base62::encode(self.0, &mut chars);
        chars
    }

    /// Where a key of the right form, as every known one is, shows its id: what
    /// [`to_chars`](Self::to_chars) says, without the work. Of another text
    /// some characters, or `None` if it is too short.
    #[must_use]
    pub fn shown_in(key: &[u8]) -> Option<&[u8; ID_LEN]> {
        key.last_chunk::<TAIL_LEN>()?.first_chunk()
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_its_id() {
        let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        let shown = KeyId::shown_in(key.expose().as_bytes());
        assert_eq!(shown, Some(&key.id().to_chars()));
        assert_eq!(KeyId::shown_in(b"tk_live_"), None);
    }

    #[test]
    fn ids_of_the_wrong_form_are_refused() {
        for bad in ["", "123456789", "12345678901", "123456789-", "12345678é"] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyIdError));
        }
    }
}
