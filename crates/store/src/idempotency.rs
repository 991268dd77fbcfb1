//! What a request that may be sent twice came to, so that its second sending
//! comes to the same.
//!
//! A row is written within the change that the request makes: either both are
//! there or neither. Of a secret that was handed out only a random number is
//! kept, from which whoever has the server secret makes the same again.

use engine::KeyId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::error::{Result, StoreError};
use crate::rows::{BadColumn, Decoded, bytes, id_column, number_column, sealed, value};
use crate::store::{Store, decoded};
use crate::writer::Writer;

/// How long a request is remembered, in seconds.
pub const IDEMPOTENCY_S: u64 = 86_400;

/// What is known of a request.
#[derive(Clone, PartialEq)]
pub enum Idempotent {
    /// Nothing: it is made now, and remembered once this change is committed.
    Fresh {
        /// A new random number.
        nonce: [u8; 32],
    },
    /// It was made before.
    Replay {
        /// The random number of then.
        nonce: [u8; 32],
        /// What it came to, where that was said.
        outcome: Option<Value>,
    },
    /// Another request was made under the same key.
    Mismatch,
}

/// The number is what a secret is made of.
impl std::fmt::Debug for Idempotent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fresh { .. } => f.write_str("Fresh"),
            Self::Replay { outcome, .. } => f.debug_tuple("Replay").field(outcome).finish(),
            Self::Mismatch => f.write_str("Mismatch"),
        }
    }
}

/// A row: the digest of its request, and what a replay gets.
type Found = ([u8; 32], [u8; 32], Option<Value>);

impl Store {
    /// Forgets the requests that at `now`, in unix seconds, have been remembered
    /// for [`IDEMPOTENCY_S`]; how many. Their random numbers are written over.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn forget_requests(&mut self, now: u64) -> Result<usize> {
        forget(self.checked()?, now).map_err(|cause| StoreError::of(&self.path, cause))
    }
}

fn forget(connection: &Connection, now: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM idempotency WHERE at <= ?1")?
        .execute([number_column(now).saturating_sub(IDEMPOTENCY_S as i64)])
}

impl Writer<'_> {
    /// Asks whether a request was made before: who makes it by their admin
    /// token, under which key (its digest), and what it says (the digest of its
    /// body). One that is fresh is remembered with this change, for
    /// [`IDEMPOTENCY_S`]; older ones are forgotten.
    ///
    /// # Errors
    ///
    /// The store cannot be written, or the system gives no random bytes.
    pub fn idempotent(
        &mut self,
        token: KeyId,
        key: &[u8; 32],
        request: &[u8; 32],
    ) -> Result<Idempotent> {
        forget(&self.transaction, self.now).map_err(|cause| self.sql(cause))?;
        let found: Option<Found> = self
            .transaction
            .query_row(
                "SELECT request, nonce, outcome, \
                 seal IS row_seal('idempotency', token, key, request, nonce, outcome, at) \
                 FROM idempotency WHERE token = ?1 AND key = ?2",
                params![id_column(token), key],
                |row| Ok(decoded(self.path, "idempotency", row, remembered)),
            )
            .optional()
            .map_err(|cause| self.sql(cause))?
            .transpose()?;
        if let Some((made, nonce, outcome)) = found {
            return Ok(match made == *request {
                true => Idempotent::Replay { nonce, outcome },
                false => Idempotent::Mismatch,
            });
        }
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(StoreError::Random)?;
        self.transaction
            .execute(
                "INSERT INTO idempotency (token, key, request, nonce, at, seal) VALUES \
                 (?1, ?2, ?3, ?4, ?5, row_seal('idempotency', ?1, ?2, ?3, ?4, NULL, ?5))",
                params![id_column(token), key, request, nonce, self.now_column()],
            )
            .map_err(|cause| self.sql(cause))?;
        Ok(Idempotent::Fresh { nonce })
    }

    /// Says what a fresh request came to, for its replays. No secret belongs
    /// there.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn set_outcome(&mut self, token: KeyId, key: &[u8; 32], outcome: &Value) -> Result<()> {
        self.transaction
            .execute(
                "UPDATE idempotency SET outcome = ?3, \
                 seal = row_seal('idempotency', token, key, request, nonce, ?3, at) \
                 WHERE token = ?1 AND key = ?2",
                params![id_column(token), key, outcome.to_string()],
            )
            .map(|_| ())
            .map_err(|cause| self.sql(cause))
    }
}

fn remembered(row: &Row<'_>) -> Decoded<Found> {
    let outcome = match value(row, 2, "outcome")?
        .as_str_or_null()
        .map_err(|_| BadColumn("outcome"))?
    {
        None => None,
        Some(json) => Some(serde_json::from_str(json).map_err(|_| BadColumn("outcome"))?),
    };
    let found = (bytes(row, 0, "request")?, bytes(row, 1, "nonce")?, outcome);
    sealed(row, 3)?;
    Ok(found)
}
