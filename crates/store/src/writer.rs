//! One change of the store: everything in it, or nothing.
//!
//! What can be changed stands beside what it changes: keys in
//! [`crate::change_keys`], sessions in [`crate::change_sessions`], and so on.

use std::path::Path;
use std::time::Duration;

use engine::{KeyId, Name};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::actor::Actor;
use crate::error::{Result, StoreError};
use crate::opened::Opened;
use crate::record::StoredKey;
use crate::rows::number_column;
use crate::schema::BUSY;
use crate::store::key_by_id;

/// A wait that nobody needs to be told of.
const MOMENT: Duration = Duration::from_secs(1);
/// The longest wait that SQLite can be told of: 24 days.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// A change under way. Nobody sees anything of it until [`Writer::commit`]
/// returns, which is when it is on the disk; dropped before, it never was.
///
/// It is made by an [`Actor`] at a time, and each of its methods that changes
/// something says so in the audit log, see [`Store::audit`](crate::Store::audit).
#[derive(Debug)]
pub struct Writer<'s> {
    pub(crate) transaction: Transaction<'s>,
    pub(crate) path: &'s Path,
    pub(crate) opened: &'s Opened,
    pub(crate) rev: i64,
    pub(crate) next_slot: i64,
    pub(crate) actor: Actor,
    /// Unix seconds.
    pub(crate) now: u64,
    pub(crate) next_seq: i64,
    /// A project that is there, so that many keys of one ask once.
    pub(crate) known_project: Option<Name>,
    /// The connection's changes of rows until this one's first.
    changes_before: u64,
}

/// Who makes a change, and when it is made, in unix seconds.
pub(crate) struct By<'a>(pub(crate) &'a Actor, pub(crate) u64);

impl<'s> Writer<'s> {
    /// Waits for another writer as long as `patience` allows; when that takes
    /// more than a moment, `notice` is called once.
    pub(crate) fn begin(
        connection: &'s mut Connection,
        path: &'s Path,
        opened: &'s Opened,
        By(actor, now): By<'_>,
        patience: Duration,
        notice: impl FnOnce(),
    ) -> Result<Self> {
        let sql = |cause| StoreError::of(path, cause);
        let connection = &*connection;
        let begin = |wait: Duration| {
            connection.busy_timeout(wait.min(LONGEST))?;
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
        opened.check(&transaction, path)?;
        let rev = transaction
            .query_row("UPDATE meta SET rev = rev + 1 RETURNING rev", [], |row| {
                row.get(0)
            })
            .map_err(sql)?;
        let next_seq = transaction
            .query_row("SELECT COALESCE(MAX(seq), 0) + 1 FROM audit", [], |row| {
                row.get(0)
            })
            .map_err(sql)?;
        let next_slot = next_slot(&transaction, path)?;
        let changes_before = transaction.total_changes();
        Ok(Self {
            transaction,
            path,
            opened,
            rev,
            next_slot,
            actor: actor.clone(),
            now,
            next_seq,
            known_project: None,
            changes_before,
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

    /// A key as it is with this change.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`], or the store cannot be read.
    pub fn key(&self, id: KeyId) -> Result<StoredKey> {
        key_by_id(&self.transaction, self.path, id)
    }

    /// Makes the change: when this returns it is on the disk, and whoever polls
    /// later sees it. Where it changes nothing the store stays as it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`], or the store cannot be written; then nothing was
    /// changed.
    pub fn commit(self) -> Result<()> {
        let path = self.path;
        self.opened.check_file(path)?;
        let done = match self.transaction.total_changes() == self.changes_before {
            true => self.transaction.rollback(),
            false => self.transaction.commit(),
        };
        done.map_err(|cause| StoreError::of(path, cause))
    }

    pub(crate) fn sql(&self, cause: rusqlite::Error) -> StoreError {
        StoreError::of(self.path, cause)
    }

    /// The time of the change as a column holds it.
    pub(crate) fn now_column(&self) -> i64 {
        number_column(self.now)
    }
}

/// Whether a row could not be put in because another has what it alone may have.
pub(crate) fn is_conflict(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
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
