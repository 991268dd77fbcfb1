//! What an operator gave wrongly: one clear line, and exit code 2.

use std::fmt;

/// The exit code of a run that what the operator gave did not allow.
pub const EXIT_OPERATOR: u8 = 2;

/// Something that the operator gave, or the place that the program runs in,
/// does not work. The message is one line that names what is wrong and says
/// what to do; it never holds a secret.
#[derive(Debug)]
pub struct OperatorError(String);

impl OperatorError {
    /// An error with its whole message. Line breaks become spaces, so that one
    /// error stays one line.
    pub fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        let parts: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Self(parts.join(" "))
    }

    /// An error that wraps its cause: `<what>: <cause>`.
    pub fn wrap(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(format_args!("{what}: {cause}"))
    }
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OperatorError {}
