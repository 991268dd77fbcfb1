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
    /// The system gives no memory for the change.
    Memory,
}

impl fmt::Display for KeyChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(id) => write!(
                f,
                "there is a key {id} already, or it stands twice in the change"
            ),
            Self::Unknown(id) => write!(f, "there is no key {id}"),
            Self::Full { max_keys } => write!(
                f,
                "all {max_keys} key slots are taken (that of a removed key rests for 9 hours): \
                 raise max_keys"
            ),
            Self::Ledger(fault) => fault.fmt(f),
            Self::Memory => f.write_str(
                "the system gives no memory for the change, and the keys stay as they are: \
                 try again once there is some",
            ),
        }
    }
}

impl std::error::Error for KeyChangeError {}

/// The system gives no memory, where that is no reason to end the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfMemory;

impl From<OutOfMemory> for KeyChangeError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::Memory
    }
}
