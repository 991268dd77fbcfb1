//! Keys and sessions as the store keeps them: what the engine needs, and what
//! people want to know besides.

use std::fmt;
use std::str::FromStr;

use engine::{
    KeyId, KeyPolicy, KeyRecord, Prefix, SecretKey, ServerSecret, SessionRecord, SessionToken,
    TokenDigest,
};

/// The longest label, in bytes.
pub const MAX_LABEL_LEN: usize = 200;

/// Characters of a token that make its session's id.
const SESSION_ID_LEN: usize = 10;

/// What people call a key: up to [`MAX_LABEL_LEN`] bytes without control
/// characters; empty is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label(Box<str>);

/// A text that is no [`Label`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError(String);

/// The public part of a session: the first ten characters of its token. The
/// other 33 stay secret, and no digest can be guessed from these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionId([u8; SESSION_ID_LEN]);

/// A text that is no [`SessionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionIdError;

/// A key as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// What the engine decides by.
    pub record: KeyRecord,
    /// What people call it.
    pub label: Label,
    /// The prefix under which it was made.
    pub prefix: Prefix,
    /// When it came into the store, in unix seconds.
    pub created_at: u64,
    /// When it was revoked, in unix seconds.
    pub revoked_at: Option<u64>,
    /// Why it was revoked, where somebody said so.
    pub revoked_reason: Option<Label>,
    /// The key in whose place it was made.
    pub replaces: Option<KeyId>,
    /// The number of the change that made it what it is: another, and the key
    /// has changed. The store counts it; what is added has none yet, and 0 does.
    pub revision: i64,
}

/// What has become of a session at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It speaks for its user.
    Active,
    /// It was ended before its time.
    Ended,
    /// Its time is over.
    Expired,
}

/// A session as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// The digest of its token.
    pub token: TokenDigest,
    /// Its public part.
    pub id: SessionId,
    /// What the engine decides by.
    pub session: SessionRecord,
    /// When it came into the store, in unix seconds.
    pub created_at: u64,
    /// Whether it was ended before its time.
    pub ended: bool,
}

impl StoredKey {
    /// What is kept of a new key, made at a unix second: its digest, and nothing
    /// that it could be told from.
    #[must_use]
    pub fn of(
        key: &SecretKey,
        secret: &ServerSecret,
        prefix: Prefix,
        policy: KeyPolicy,
        label: Label,
        now: u64,
    ) -> Self {
        Self {
            record: KeyRecord {
                id: key.id(),
                digest: secret.digest_key(key.expose().as_bytes()),
                policy,
            },
            label,
            prefix,
            created_at: now,
            revoked_at: None,
            revoked_reason: None,
            replaces: None,
            revision: 0,
        }
    }
}

impl StoredSession {
    /// What is kept of a new session, made at a unix second.
    #[must_use]
    pub fn of(
        token: &SessionToken,
        secret: &ServerSecret,
        session: SessionRecord,
        now: u64,
    ) -> Self {
        Self {
            token: secret.digest_token(token.expose().as_bytes()),
            id: SessionId::of(token),
            session,
            created_at: now,
            ended: false,
        }
    }

    /// What has become of it at a unix second.
    #[must_use]
    pub fn state(&self, now: u64) -> SessionState {
        match self.session.expires_at {
            _ if self.ended => SessionState::Ended,
            Some(expires_at) if expires_at <= now => SessionState::Expired,
            _ => SessionState::Active,
        }
    }
}

impl SessionState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Expired => "expired",
        }
    }
}

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        if text.len() > MAX_LABEL_LEN || text.chars().any(char::is_control) {
            return Err(LabelError(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no name for a key: at most {MAX_LABEL_LEN} bytes without control characters are wanted",
            self.0
        )
    }
}

impl std::error::Error for LabelError {}

impl SessionId {
    /// The id of the session that a token opens.
    #[must_use]
    pub fn of(token: &SessionToken) -> Self {
        let mut id = [b'0'; SESSION_ID_LEN];
        for (place, byte) in id.iter_mut().zip(token.expose().bytes()) {
            *place = byte;
        }
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `of` and `from_str` make one, and both from base62 digits.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let id: [u8; SESSION_ID_LEN] = text.as_bytes().try_into().map_err(|_| SessionIdError)?;
        if id.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(id))
        } else {
            Err(SessionIdError)
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SessionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a session id is the first {SESSION_ID_LEN} characters of its token: 0-9, A-Z and a-z"
        )
    }
}

impl std::error::Error for SessionIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_printable() {
        for good in ["", "billing, Zürich", &"x".repeat(MAX_LABEL_LEN)] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        for bad in ["a\nb", "\u{1b}[31m", &"x".repeat(MAX_LABEL_LEN + 1)] {
            assert_eq!(bad.parse::<Label>(), Err(LabelError(bad.into())));
        }
    }

    #[test]
    fn a_session_id_is_the_head_of_its_token() {
        let token = SessionToken::generate().unwrap();
        let id = SessionId::of(&token);
        assert_eq!(id.as_str(), &token.expose()[..10]);
        assert_eq!(id.as_str().parse(), Ok(id));
        for bad in ["", "123456789", "12345678901", "123456789-", token.expose()] {
            assert_eq!(bad.parse::<SessionId>(), Err(SessionIdError));
        }
    }
}
