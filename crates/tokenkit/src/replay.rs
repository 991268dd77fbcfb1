//! `tokenkit replay`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::OperatorError;

/// Replays trace files.
pub fn run(_files: &[PathBuf], _out: &mut dyn Write) -> Result<ExitCode, OperatorError> {
    Err(OperatorError::new("replay is being written"))
}
