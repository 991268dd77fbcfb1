//! What can be wrong with a ledger that was opened.

use std::fmt;

/// What is wrong with a ledger's file, found while it was in use.
///
/// Whatever it is, deciding goes on and fails closed: a key whose counts are
/// lost and that has a limit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerFault {
    /// The file has become shorter than it was, or could not be read.
    CutShort,
    /// The file was deleted, or another put in its place: processes that start
    /// now count elsewhere.
    Replaced,
    /// Something in it leads nowhere or in circles.
    Damaged,
    /// The file could not grow: the number of the system's error.
    NoRoom(i32),
    /// There is no address space left for more keys: see `max_keys`.
    TooLong,
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str(
                "the ledger file was cut short or cannot be read: limited keys whose counts lay \
                 there are refused until it is replaced (`tokenkit ledger reset`)",
            ),
            Self::Replaced => f.write_str(
                "the ledger file was deleted or another put in its place: restart every process \
                 that uses it, so that they count as one again",
            ),
            Self::Damaged => f.write_str(
                "the ledger file is damaged: see `tokenkit ledger check`, then \
                 `tokenkit ledger reset`",
            ),
            Self::NoRoom(code) => write!(
                f,
                "the ledger file cannot grow: {}",
                std::io::Error::from_raw_os_error(*code)
            ),
            Self::TooLong => f.write_str(
                "the ledger file holds more keys than this process set space aside for: \
                 raise max_keys",
            ),
        }
    }
}

impl std::error::Error for LedgerFault {}
