//! Admin tokens: who shows one may look at the store or change it, over the
//! server. In form they are keys; kept are their digests.

use engine::{KeyDigest, KeyId, SecretKey, ServerSecret};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use crate::error::{Result, StoreError};
use crate::record::Label;
use crate::rows::{
    BadColumn, Decoded, bytes, id_column, number, number_column, optional, parsed, sealed,
};
use crate::store::{Store, decoded};
use crate::writer::{Writer, is_conflict};

/// What the holder of an admin token may do. Each may what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

/// An admin token as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Its public part.
    pub id: KeyId,
    /// The digest of the whole.
    pub digest: KeyDigest,
    /// What people call it.
    pub name: Label,
    /// What its holder may do.
    pub scope: Scope,
    /// When it came into the store, in unix seconds.
    pub created_at: u64,
    /// From when on it is refused, in unix seconds.
    pub expires_at: Option<u64>,
    /// When it was revoked, in unix seconds.
    pub revoked_at: Option<u64>,
}

/// The most admin tokens that are in use at a time, those included that were
/// made within a day, whatever became of them: so nobody makes more than whoever
/// checks them has room for.
pub const MAX_TOKENS_IN_USE: u32 = 4096;
/// A day, in seconds.
const DAY: u64 = 86_400;

const COLUMNS: &str = "id, digest, name, scope, created_at, expires_at, revoked_at, \
     seal IS row_seal('token', id, digest, name, scope, created_at, expires_at, revoked_at)";

impl StoredToken {
    /// Whether it opens anything at a time.
    #[must_use]
    pub fn is_in_use(&self, unix_s: u64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > unix_s)
    }
}

impl Scope {
    /// The scope as text: `read` or `write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    const fn column(self) -> i64 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> std::result::Result<Self, ScopeError> {
        [Self::Read, Self::Write]
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(ScopeError)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeError;

impl std::fmt::Display for ScopeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a scope is read or write")
    }
}

impl std::error::Error for ScopeError {}

impl Store {
    /// All admin tokens, revoked and expired ones included, newest first.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn tokens(&self) -> Result<Vec<StoredToken>> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let query = format!("SELECT {COLUMNS} FROM admin_tokens ORDER BY created_at DESC, id");
        let mut statement = self.checked()?.prepare_cached(&query).map_err(sql)?;
        let mut rows = statement.query([]).map_err(sql)?;
        let mut tokens = Vec::new();
        while let Some(row) = rows.next().map_err(sql)? {
            tokens.push(decoded(&self.path, "admin_tokens", row, token)?);
        }
        Ok(tokens)
    }

    /// The number of the last change of any admin token; 0 where there was
    /// none. Costs about a microsecond. Who follows the store is told instead,
    /// by [`FollowEvent::Tokens`](crate::FollowEvent::Tokens).
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn tokens_revision(&self) -> Result<i64> {
        tokens_revision(self.checked()?).map_err(|cause| StoreError::of(&self.path, cause))
    }
}

/// The same, on any connection.
pub(crate) fn tokens_revision(connection: &rusqlite::Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT COALESCE(MAX(rev), 0) FROM admin_tokens")?
        .query_row([], |row| row.get(0))
}

impl StoredToken {
    /// What is kept of a new token, made at a unix second.
    #[must_use]
    pub fn of(
        token: &SecretKey,
        secret: &ServerSecret,
        name: Label,
        scope: Scope,
        expires_at: Option<u64>,
        now: u64,
    ) -> Self {
        Self {
            id: token.id(),
            digest: secret.digest_key(token.expose().as_bytes()),
            name,
            scope,
            created_at: now,
            expires_at,
            revoked_at: None,
        }
    }
}

fn token(row: &Row<'_>) -> Decoded<StoredToken> {
    let token = StoredToken {
        id: parsed(row, 0, "id")?,
        digest: KeyDigest::from_bytes(bytes(row, 1, "digest")?),
        name: parsed(row, 2, "name")?,
        scope: match number(row, 3, "scope")? {
            0 => Scope::Read,
            1 => Scope::Write,
            _ => return Err(BadColumn("scope")),
        },
        created_at: number(row, 4, "created_at")?,
        expires_at: optional(row, 5, "expires_at")?,
        revoked_at: optional(row, 6, "revoked_at")?,
    };
    sealed(row, 7)?;
    Ok(token)
}

impl Writer<'_> {
    /// Adds an admin token. Linear in the tokens that there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::TokenExists`] where one has this id or digest,
    /// [`StoreError::TooManyTokens`] where [`MAX_TOKENS_IN_USE`] are neither
    /// revoked nor expired, or were made within a day.
    pub fn add_token(&mut self, token: &StoredToken) -> Result<()> {
        let in_use: u32 = self
            .transaction
            .query_row(
                "SELECT COUNT(*) FROM admin_tokens WHERE created_at > ?2 \
                 OR revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)",
                [token.created_at, token.created_at.saturating_sub(DAY)].map(number_column),
                |row| row.get(0),
            )
            .map_err(|cause| self.sql(cause))?;
        if in_use >= MAX_TOKENS_IN_USE {
            return Err(StoreError::TooManyTokens);
        }
        self.transaction
            .execute(
                "INSERT INTO admin_tokens (id, digest, name, scope, created_at, expires_at, \
                 revoked_at, rev, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
                 row_seal('token', ?1, ?2, ?3, ?4, ?5, ?6, ?7))",
                params![
                    id_column(token.id),
                    token.digest.as_bytes(),
                    token.name.as_str(),
                    token.scope.column(),
                    number_column(token.created_at),
                    token.expires_at.map(number_column),
                    token.revoked_at.map(number_column),
                    self.rev,
                ],
            )
            .map_err(|cause| match is_conflict(&cause) {
                true => StoreError::TokenExists(token.id),
                false => self.sql(cause),
            })?;
        let details = json!({
            "name": token.name.as_str(),
            "scope": token.scope.as_str(),
            "expires_at": token.expires_at,
        });
        self.note("token.create", &token.id.to_string(), &details)
    }

    /// Revokes an admin token for ever. One that was revoked before stays as it
    /// is. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoToken`].
    pub fn revoke_token(&mut self, id: KeyId) -> Result<StoredToken> {
        let query = format!("SELECT {COLUMNS} FROM admin_tokens WHERE id = ?1");
        let mut found = self
            .transaction
            .query_row(&query, [id_column(id)], |row| {
                Ok(decoded(self.path, "admin_tokens", row, token))
            })
            .optional()
            .map_err(|cause| self.sql(cause))?
            .ok_or(StoreError::NoToken(id))??;
        if found.revoked_at.is_some() {
            return Ok(found);
        }
        self.transaction
            .execute(
                "UPDATE admin_tokens SET revoked_at = ?2, rev = ?3, seal = row_seal('token', id, \
                 digest, name, scope, created_at, expires_at, ?2) WHERE id = ?1",
                params![id_column(id), self.now_column(), self.rev],
            )
            .map_err(|cause| self.sql(cause))?;
        self.note("token.revoke", &id.to_string(), &json!({}))?;
        found.revoked_at = Some(self.now);
        Ok(found)
    }
}
