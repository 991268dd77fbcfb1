//! The part of a key before its random characters: `tk_live`, `tk_test`.

use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;

use super::{MAX_KEY_LEN, TAIL_LEN};

/// The longest prefix: what `MAX_KEY_LEN` leaves beside `_` and the tail.
pub const MAX_PREFIX_LEN: usize = MAX_KEY_LEN - 1 - TAIL_LEN;

/// A checked key prefix: `[a-z0-9]+(_[a-z0-9]+)*`, 1 to [`MAX_PREFIX_LEN`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    bytes: [u8; MAX_PREFIX_LEN],
    len: u8,
}

/// Why a text is no [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrefixError {
    /// Longer than [`MAX_PREFIX_LEN`]: the key would not fit into 64 bytes.
    TooLong(String),
    /// Not of the form `[a-z0-9]+(_[a-z0-9]+)*`.
    Form(String),
    /// A list of prefixes was empty.
    NoneGiven,
    /// A list of prefixes names one twice.
    Twice(Prefix),
}

impl Prefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `parse` makes one, and it admits ASCII alone.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The prefix as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Reads a prefix from bytes.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, PrefixError> {
        let shown = || String::from_utf8_lossy(text).into_owned();
        if text.len() > MAX_PREFIX_LEN {
            return Err(PrefixError::TooLong(shown()));
        }
        let word_ok = |word: &[u8]| {
            !word.is_empty()
                && word
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !text.split(|&b| b == b'_').all(word_ok) {
            return Err(PrefixError::Form(shown()));
        }
        let mut bytes = [0; MAX_PREFIX_LEN];
        bytes[..text.len()].copy_from_slice(text);
        let len = text.len() as u8;
        Ok(Self { bytes, len })
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({self})")
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(text) => write!(
                f,
                "prefix {text:?} is too long: at most {MAX_PREFIX_LEN} bytes keep a key within {MAX_KEY_LEN}"
            ),
            Self::Form(text) => write!(
                f,
                "prefix {text:?} is not of the form [a-z0-9]+(_[a-z0-9]+)*, such as tk_live"
            ),
            Self::NoneGiven => {
                f.write_str("no key prefix is given: name at least one, such as tk_live")
            }
            Self::Twice(prefix) => write!(f, "prefix {:?} is given twice", prefix.as_str()),
        }
    }
}

impl std::error::Error for PrefixError {}

/// The prefixes that a deployment takes: at least one, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes(SmallVec<[Prefix; 2]>);

impl Prefixes {
    /// Checks a list of prefixes.
    ///
    /// # Errors
    ///
    /// [`PrefixError::NoneGiven`] for an empty list and [`PrefixError::Twice`]
    /// for a repetition.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Result<Self, PrefixError> {
        let mut list = SmallVec::<[Prefix; 2]>::new();
        for prefix in prefixes {
            if list.contains(&prefix) {
                return Err(PrefixError::Twice(prefix));
            }
            list.push(prefix);
        }
        if list.is_empty() {
            return Err(PrefixError::NoneGiven);
        }
        Ok(Self(list))
    }

    /// The prefixes in the order given; the first is the default for new keys.
    pub fn iter(&self) -> impl Iterator<Item = &Prefix> {
        self.0.iter()
    }

    /// Whether `prefix` is one of them. Linear in their number.
    #[must_use]
    pub fn contains(&self, prefix: &[u8]) -> bool {
        self.0.iter().any(|p| p.as_bytes() == prefix)
    }
}

impl Default for Prefixes {
    /// `tk_live` and `tk_test`.
    fn default() -> Self {
        let parse = |text: &[u8]| Prefix::parse(text).ok();
        Self(
            [b"tk_live", b"tk_test"]
                .into_iter()
                .filter_map(|t| parse(t))
                .collect(),
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn good_prefixes() {
        for good in ["tk_live", "a", "0", "a_b_c", "abcdefghijklmno"] {
            assert_eq!(good.parse::<Prefix>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn bad_prefixes_are_named() {
        for bad in ["", "_", "a_", "_a", "a__b", "TK", "tk-live", "é"] {
            assert_eq!(bad.parse::<Prefix>(), Err(PrefixError::Form(bad.into())));
        }
        let long = "abcdefghijklmnop";
        let error = long.parse::<Prefix>().unwrap_err();
        assert_eq!(error, PrefixError::TooLong(long.into()));
        assert!(error.to_string().contains(long) && error.to_string().contains("15"));
    }

    #[test]
    fn a_list_is_neither_empty_nor_repeated() {
        assert_eq!(Prefixes::new([]), Err(PrefixError::NoneGiven));
        let one: Prefix = "tk".parse().unwrap();
        assert_eq!(Prefixes::new([one, one]), Err(PrefixError::Twice(one)));
        assert!(Prefixes::default().contains(b"tk_live"));
        assert!(Prefixes::default().contains(b"tk_test"));
        assert!(!Prefixes::default().contains(b"tk"));
    }
}
