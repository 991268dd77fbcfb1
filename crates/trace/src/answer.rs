//! The members by which a decision is compared.

use engine::{KeyId, Reason};

/// What a step expects, or what a subject was seen to answer.
///
/// A member that is `None` is not named: in an expectation it is not compared,
/// in an observation it could not be seen. An inner `None` is JSON's `null`:
/// the decision carries no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: Option<u16>,
    /// Why.
    pub reason: Option<Reason>,
    /// The key, once one is known.
    pub key: Option<Option<KeyId>>,
    /// The user, where the request was admitted with a valid token.
    pub user: Option<Option<String>>,
    /// The key's hourly limit, in units.
    pub limit: Option<Option<u64>>,
    /// Units left in the hour, after the request.
    pub remaining: Option<Option<u64>>,
    /// Seconds until the next hour.
    pub reset: Option<Option<u64>>,
    /// Seconds to wait, on a 429.
    pub retry_after: Option<Option<u64>>,
    /// Whether the origin is echoed.
    pub allow_origin: Option<bool>,
}

impl Answer {
    /// Every member by its name in a trace file, as JSON text where it is
    /// named at all. `key_name` says what a key is called.
    pub(crate) fn members(
        &self,
        key_name: impl Fn(KeyId) -> Option<String>,
    ) -> [(&'static str, Option<String>); 9] {
        let word = |text: &str| serde_json::Value::from(text).to_string();
        let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".into());
        let number = |member: Option<Option<u64>>| {
            member.map(|value| or_null(value.map(|number| number.to_string())))
        };
        [
            ("status", self.status.map(|status| status.to_string())),
            ("reason", self.reason.map(|reason| word(reason.as_str()))),
            (
                "key",
                self.key
                    .map(|key| or_null(key.and_then(&key_name).map(|name| word(&name)))),
            ),
            (
                "user",
                self.user
                    .as_ref()
                    .map(|user| or_null(user.as_deref().map(word))),
            ),
            ("limit", number(self.limit)),
            ("remaining", number(self.remaining)),
            ("reset", number(self.reset)),
            ("retry_after", number(self.retry_after)),
            (
                "allow_origin",
                self.allow_origin.map(|echoed| echoed.to_string()),
            ),
        ]
    }
}
