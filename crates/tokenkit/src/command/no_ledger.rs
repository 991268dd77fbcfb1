//! `tokenkit ledger`, where ledgers cannot lie in a file.

use std::io::Write;
use std::process::ExitCode;

use engine::LedgerError;

use crate::cli::Ledger;
use crate::error::{Failure, OperatorError};
use crate::settings::Settings;

/// Refuses.
///
/// # Errors
///
/// Always.
pub(super) fn run(_: &Settings, _: &Ledger, _: &mut dyn Write) -> Result<ExitCode, Failure> {
    Err(OperatorError::new(LedgerError::Unsupported).into())
}
