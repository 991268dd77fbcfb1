//! What an operator is told about the ledger's file.
//!
//! A file that somebody cuts short, or that the disk no longer gives, ends
//! nothing: limited keys whose counts are gone are refused. One that is deleted
//! or replaced goes on being counted in, apart from what is started later. Both
//! are logged as errors, again each minute, and show in the metric
//! `tokenkit_ledger_fault`. Whoever follows the store looks at the file each
//! second.

use engine::{BuildError, LedgerError};

use crate::error::OperatorError;

/// What an operator is told where no engine can be built.
pub(super) fn cannot_build(error: &BuildError) -> OperatorError {
    let said = OperatorError::with_causes(error);
    match error {
        BuildError::Ledger(LedgerError::Io { .. }) => OperatorError::new(format_args!(
            "{said}; name another file with store.ledger, or none to count in memory"
        )),
        _ => said,
    }
}
