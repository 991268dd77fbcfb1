//! Names of projects and users: short texts that travel in HTTP headers.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// The name of a project or a user: 1 to [`MAX_NAME_LEN`] printable ASCII
/// characters, neither starting nor ending with a space.
///
/// Kept inline, so that a decision carries it without a heap or a lifetime.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    bytes: [u8; MAX_NAME_LEN],
    len: u8,
}

/// A text that is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `from_str` makes one, and it admits ASCII alone.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if text.is_empty() || text.len() > MAX_NAME_LEN || !printable || text.trim() != text {
            return Err(NameError(text.into()));
        }
        let mut bytes = [0; MAX_NAME_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self {
            bytes,
            len: text.len() as u8,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no name: 1 to {MAX_NAME_LEN} printable ASCII characters are wanted, \
             with no space at either end",
            self.0
        )
    }
}

impl std::error::Error for NameError {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_ascii() {
        for good in [
            "p1",
            "a b",
            "user@example.com",
            "auth0|5f7c8ec7",
            &"x".repeat(64),
        ] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", " a", "a ", "é", "a\nb", "a\0", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Name>(), Err(NameError(bad.into())));
        }
    }
}
