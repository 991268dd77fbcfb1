//! The texts of flags and of an import's cells as checked values.

use std::fmt::Display;

use engine::{KeyId, KeyState, Limit};

use crate::error::OperatorError;
use crate::when::parse_when;

/// A word that stands for "no such thing".
const NONE: &str = "none";
/// How a key without an expiry is shown.
pub(crate) const NEVER: &str = "never";
/// How a key without a limit is shown.
pub(crate) const UNLIMITED: &str = "unlimited";

/// A flag's text as a checked value; the error names the flag.
pub(crate) fn flag<T, E: Display>(
    name: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, OperatorError> {
    parse(text).map_err(|error| OperatorError::wrap(name, error))
}

/// Units an hour, or `none`, or `unlimited` as a list shows it.
pub(crate) fn limit(text: &str) -> Result<Option<Limit>, String> {
    if text == NONE || text == UNLIMITED {
        return Ok(None);
    }
    let units: u64 = text.parse().map_err(|_| {
        format!(
            "{text:?} is no limit: a whole number of units an hour is wanted, or none for unlimited"
        )
    })?;
    Limit::try_from(units)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// A time, or `none`, or `never` as a list shows it.
pub(crate) fn expiry(text: &str, now: u64) -> Result<Option<u64>, String> {
    if text == NONE || text == NEVER {
        return Ok(None);
    }
    parse_when(text, now)
        .map(Some)
        .map_err(|why| format!("{why}, or never"))
}

/// `--expires` for what is made: a time to come, if there is to be one.
pub(super) fn expiry_to_come(text: Option<&str>, now: u64) -> Result<Option<u64>, OperatorError> {
    let Some(text) = text else { return Ok(None) };
    let expires_at = flag("--expires", text, |text| expiry(text, now))?;
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(OperatorError::new(format_args!(
            "--expires {text} lies in the past"
        )));
    }
    Ok(expires_at)
}

/// The texts of a list, where `none` alone is an empty one.
pub(crate) fn entries(texts: &[String]) -> &[String] {
    if texts == [NONE] { &[] } else { texts }
}

/// A state by its word.
pub(crate) fn state(text: &str) -> Result<KeyState, String> {
    [KeyState::Active, KeyState::Disabled, KeyState::Revoked]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| format!("{text:?} is no state: active, disabled or revoked is wanted"))
}

/// A key's id. The error does not repeat the text, which could be a whole key.
pub(crate) fn key_id(text: &str) -> Result<KeyId, OperatorError> {
    text.parse().map_err(|error| {
        OperatorError::new(format_args!(
            "{error}: they stand behind the prefix and `_`; never give the whole key"
        ))
    })
}
