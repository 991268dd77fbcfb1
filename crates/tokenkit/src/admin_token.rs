//! Admin tokens: keys in form, with a prefix of their own.

use engine::{Prefix, PrefixError, SecretKey, ServerSecret};
use store::{Label, Scope, StoredToken};

use crate::error::OperatorError;
use crate::keystore::now;

/// What every admin token begins with.
pub(crate) const PREFIX: &str = "tk_admin";

/// The same, checked.
///
/// # Errors
///
/// None: it is a prefix.
pub(crate) fn prefix() -> Result<Prefix, PrefixError> {
    PREFIX.parse()
}

/// Mints a token: its secret form, and what is stored of it.
///
/// # Errors
///
/// The system gives no random bytes.
pub(crate) fn mint(
    secret: &ServerSecret,
    name: Label,
    scope: Scope,
    expires_at: Option<u64>,
) -> Result<(SecretKey, StoredToken), OperatorError> {
    let prefix = prefix().map_err(OperatorError::new)?;
    let token = SecretKey::generate(&prefix).map_err(|cause| {
        OperatorError::wrap("the system gave no random bytes for a token", cause)
    })?;
    let stored = StoredToken::of(&token, secret, name, scope, expires_at, now());
    Ok((token, stored))
}

/// What has become of a token at a time: `active`, `expired` or `revoked`.
pub(crate) fn state(token: &StoredToken, now: u64) -> &'static str {
    match token.revoked_at {
        Some(_) => "revoked",
        None if token.is_in_use(now) => "active",
        None => "expired",
    }
}
