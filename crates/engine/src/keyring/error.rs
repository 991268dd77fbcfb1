//! Why a change to the keys is refused.

use std::fmt;

use crate::key::KeyId;
use crate::ledger::LedgerFault;

/// Why a change to the keys was refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChangeError {
    /// A key of this id is there already, or stands twice in the change.
    Duplicate(KeyId),
    /// No key of this id is there.
    Unknown(KeyId),
    /// There is no slot left for a further key.
    Full {
        /// The configured number of slots.
        max_keys: u32,
    },
    /// The ledger's file gave no slot for a further key.
    Ledger(LedgerFault),
}

impl fmt::Display for KeyChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(id) => write!(f, "there is a key {id} already"),
            Self::Unknown(id) => write!(f, "there is no key {id}"),
            Self::Full { max_keys } => write!(
                f,
                "all {max_keys} key slots are taken (that of a removed key rests for 9 hours): \
                 raise max_keys"
            ),
            Self::Ledger(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for KeyChangeError {}
