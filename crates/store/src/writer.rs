//! One change of the store: everything in it, or nothing.

use std::path::Path;
use std::time::Duration;

use engine::{KeyId, KeyState, TokenDigest};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use crate::error::{Result, StoreError};
use crate::record::{SessionId, StoredKey, StoredSession};
use crate::rows::{id_column, insert_into, insert_key, list_column, number_column, state_column};
use crate::schema::BUSY;
use crate::store::key_by_id;

/// A wait that nobody needs to be told of.
const MOMENT: Duration = Duration::from_secs(1);

/// Ends sessions. Whatever else their rows say: what has ended stays so.
macro_rules! end_sessions {
    () => {
        "UPDATE sessions SET ended = 1, rev = ?2, \
         seal = row_seal('session', digest, id, project, user, expires_at, created_at, 1)"
    };
}

/// A change under way. Nobody sees anything of it until [`Writer::commit`]
/// returns, which is when it is on the disk; dropped before, it never was.
#[derive(Debug)]
pub struct Writer<'s> {
    pub(crate) transaction: Transaction<'s>,
    pub(crate) path: &'s Path,
    pub(crate) rev: i64,
    pub(crate) next_slot: i64,
}

impl<'s> Writer<'s> {
    /// Waits for another writer as long as `patience` allows; when that takes
    /// more than a moment, `notice` is called once.
    pub(crate) fn begin(
        connection: &'s mut Connection,
        path: &'s Path,
        patience: Duration,
        notice: impl FnOnce(),
    ) -> Result<Self> {
        let sql = |cause| StoreError::of(path, cause);
        let connection = &*connection;
        let begin = |wait| {
            connection.busy_timeout(wait)?;
            Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        };
        let moment = MOMENT.min(patience);
        let begun = match begin(moment) {
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                notice();
                begin(patience.saturating_sub(moment))
            }
            begun => begun,
        };
        connection.busy_timeout(BUSY).map_err(sql)?;
        let transaction = begun.map_err(sql)?;
        let rev = transaction
            .query_row("UPDATE meta SET rev = rev + 1 RETURNING rev", [], |row| {
                row.get(0)
            })
            .map_err(sql)?;
        let next_slot = next_slot(&transaction, path)?;
        Ok(Self {
            transaction,
            path,
            rev,
            next_slot,
        })
    }

    /// Whether this is the first change ever of this store.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rev == 1
    }

    /// How many keys the store holds with this change.
    #[must_use]
    pub fn keys(&self) -> u64 {
        u64::try_from(self.next_slot).unwrap_or(0)
    }

    /// Adds a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyExists`] and [`StoreError::DigestExists`]; the rest of
    /// the change stands, and may go on or be dropped.
    pub fn add_key(&mut self, key: &StoredKey) -> Result<()> {
        let insert = insert_into!("sealed", "keys", "slot", "rev");
        let id = key.record.id;
        match insert_key(&self.transaction, insert, [self.next_slot, self.rev], key) {
            Ok(()) => {
                self.next_slot += 1;
                Ok(())
            }
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                match key_by_id(&self.transaction, self.path, id) {
                    Ok(_) => Err(StoreError::KeyExists(id)),
                    Err(StoreError::NoKey(_)) => Err(StoreError::DigestExists(id)),
                    Err(error) => Err(error),
                }
            }
            Err(cause) => Err(self.sql(cause)),
        }
    }

    /// Changes what `change` sets of a key's policy and label; its id, digest,
    /// prefix and times stay. Returns the key as it is then. A key that becomes
    /// revoked gets `now` (unix seconds) as the time of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`], and [`StoreError::Revoked`] where a revoked key
    /// would become anything else.
    pub fn change_key(
        &mut self,
        id: KeyId,
        now: u64,
        change: impl FnOnce(&mut StoredKey),
    ) -> Result<StoredKey> {
        let before = key_by_id(&self.transaction, self.path, id)?;
        let mut key = before.clone();
        change(&mut key);
        let (old, new) = (before.record.policy.state, key.record.policy.state);
        if old.changed_to(new) != new {
            return Err(StoreError::Revoked(id));
        }
        key.record.id = id;
        key.record.digest = before.record.digest;
        key.prefix = before.prefix;
        key.created_at = before.created_at;
        key.revoked_at = match new {
            KeyState::Revoked => before.revoked_at.or(Some(now)),
            KeyState::Active | KeyState::Disabled => None,
        };
        let policy = &key.record.policy;
        self.transaction
            .prepare_cached(
                "UPDATE keys SET project = ?2, hourly_limit = ?3, expires_at = ?4, state = ?5, \
                 require_origin = ?6, origins = ?7, ips = ?8, name = ?9, revoked_at = ?10, rev = ?11, \
                 seal = row_seal('key', id, digest, prefix, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
                 created_at, ?10) WHERE id = ?1",
            )
            .and_then(|mut update| {
                update.execute(params![
                    id_column(id),
                    policy.project.as_str(),
                    policy.hourly_limit.map(|limit| number_column(limit.units())),
                    policy.expires_at.map(number_column),
                    state_column(policy.state),
                    policy.require_origin,
                    list_column(policy.origins.iter()),
                    list_column(policy.ips.iter()),
                    key.label.as_str(),
                    key.revoked_at.map(number_column),
                    self.rev,
                ])
            })
            .map_err(|cause| self.sql(cause))?;
        Ok(key)
    }

    /// Adds a session.
    ///
    /// # Errors
    ///
    /// [`StoreError::SessionExists`].
    pub fn add_session(&mut self, stored: &StoredSession) -> Result<()> {
        let session = &stored.session;
        self.transaction
            .prepare_cached(
                "INSERT INTO sessions \
                 (digest, id, project, user, expires_at, created_at, ended, rev, seal) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
                 row_seal('session', ?1, ?2, ?3, ?4, ?5, ?6, ?7))",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    stored.token.as_bytes(),
                    stored.id.as_str(),
                    session.project.as_str(),
                    session.user.as_str(),
                    session.expires_at.map(number_column),
                    number_column(stored.created_at),
                    stored.ended,
                    self.rev,
                ])
            })
            .map(|_| ())
            .map_err(|cause| match cause.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => {
                    StoreError::SessionExists(stored.id.clone())
                }
                _ => self.sql(cause),
            })
    }

    /// Ends the session of an id. One that was ended before stays so.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSession`].
    pub fn end_session(&mut self, id: &SessionId) -> Result<()> {
        self.end(concat!(end_sessions!(), " WHERE id = ?1"), &id.as_str())
    }

    /// Ends the session of a token. One that was ended before stays so.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSession`].
    pub fn end_session_of(&mut self, token: &TokenDigest) -> Result<()> {
        self.end(
            concat!(end_sessions!(), " WHERE digest = ?1"),
            token.as_bytes(),
        )
    }

    fn end(&mut self, update: &str, which: &dyn rusqlite::ToSql) -> Result<()> {
        let ended = self
            .transaction
            .execute(update, params![which, self.rev])
            .map_err(|cause| self.sql(cause))?;
        if ended == 0 {
            Err(StoreError::NoSession)
        } else {
            Ok(())
        }
    }

    /// Forgets the sessions that expired before a unix second; how many. Who
    /// follows is not told: an expired session is refused with or without it.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn forget_sessions(&mut self, expired_before: u64) -> Result<usize> {
        self.transaction
            .execute(
                "DELETE FROM sessions WHERE expires_at < ?1",
                [number_column(expired_before)],
            )
            .map_err(|cause| self.sql(cause))
    }

    /// Makes the change: when this returns it is on the disk, and whoever polls
    /// later sees it.
    ///
    /// # Errors
    ///
    /// The store cannot be written; then nothing was changed.
    pub fn commit(self) -> Result<()> {
        let path = self.path;
        self.transaction
            .commit()
            .map_err(|cause| StoreError::of(path, cause))
    }

    fn sql(&self, cause: rusqlite::Error) -> StoreError {
        StoreError::of(self.path, cause)
    }
}

/// The slot of the next key. Slots are dense, and no key is ever removed: so it
/// is how many there are as well.
pub(crate) fn next_slot(connection: &Connection, path: &Path) -> Result<i64> {
    connection
        .query_row("SELECT COALESCE(MAX(slot) + 1, 0) FROM keys", [], |row| {
            row.get(0)
        })
        .map_err(|cause| StoreError::of(path, cause))
}
