//! `tokenkit serve`.

use crate::error::OperatorError;
use crate::settings::Settings;

/// Serves until a signal ends it.
pub fn run(_settings: Settings) -> Result<(), OperatorError> {
    Err(OperatorError::new("serve is being written"))
}
