//! What an operator gave wrongly: one clear line, and exit code 2.

use std::fmt;
use std::io;

/// The exit code of a run that what the operator gave did not allow.
pub(crate) const EXIT_OPERATOR: u8 = 2;

/// Something that the operator gave, or the place that the program runs in,
/// does not work. The message is one line that names what is wrong and says
/// what to do; it never holds a secret.
#[derive(Debug)]
pub(crate) struct OperatorError(String);

impl OperatorError {
    /// An error with its whole message. Line breaks and other control characters
    /// become spaces, so that one error stays one line and tells a terminal
    /// nothing else; what could be a secret, given in a wrong place, is hidden.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        let parts: Vec<&str> = message
            .split(char::is_control)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        Self(without_whole_secrets(&parts.join(" ")))
    }

    /// An error with what lies behind it, for one whose text does not tell that.
    pub(crate) fn with_causes(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self::new(message)
    }

    /// An error that wraps its cause: `<what>: <cause>`.
    pub(crate) fn wrap(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(format_args!("{what}: {cause}"))
    }
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OperatorError {}

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the operator gave does not work.
    Operator(OperatorError),
    /// Standard output or standard error cannot be written.
    Output(io::Error),
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        Self::Operator(error)
    }
}

impl From<store::StoreError> for OperatorError {
    fn from(error: store::StoreError) -> Self {
        Self::new(error)
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Self::Operator(OperatorError::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A text in which whatever could be a part of a key, a token or a digest is
/// hidden: every run of 24 or more letters, digits and `_`. For what stands
/// where a secret may well stand.
pub(crate) fn without_secrets(text: &str) -> String {
    hide(text, 24, |c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text in which whatever could be a whole one is hidden: every run of as
/// many letters and digits as a token has, of which keys and digests have more.
/// For what should hold none, and may by mistake; file names it leaves alone.
pub(crate) fn without_whole_secrets(text: &str) -> String {
    hide(text, 43, |c| c.is_ascii_alphanumeric())
}

/// Hides runs of so many bytes and more.
fn hide(text: &str, shortest: usize, is_part: fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        shown.push_str(if run >= shortest {
            "[hidden]"
        } else {
            &rest[..run]
        });
        let other = rest[run..].find(is_part).unwrap_or(rest.len() - run);
        shown.push_str(&rest[run..run + other]);
        rest = &rest[run + other..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = OperatorError::wrap("a", "b\n\n  c\n");
        assert_eq!(error.to_string(), "a: b c");
        let error = OperatorError::new("--set x\r\0y\u{1b}[31m: wrong");
        assert_eq!(error.to_string(), "--set x y [31m: wrong");
    }

    #[test]
    fn an_error_hides_what_could_be_a_whole_secret() {
        let long = "a1".repeat(24);
        let error = OperatorError::new(format_args!(
            "\"tk_live_{long}\" in /tmp/{}/x",
            "b".repeat(42)
        ));
        assert_eq!(
            error.to_string(),
            format!("\"tk_live_[hidden]\" in /tmp/{}/x", "b".repeat(42))
        );
    }

    #[test]
    fn what_could_be_a_secret_is_hidden() {
        let key = "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";
        assert_eq!(
            without_secrets(&format!("é '{key}' found")),
            "é '[hidden]' found"
        );
        assert_eq!(without_secrets(&key[..40]), "[hidden]");
        let plain = "https://*.console.example.com is 10.0.0.0/8, p_1";
        assert_eq!(without_secrets(plain), plain);
        assert_eq!(without_secrets(""), "");
    }
}
