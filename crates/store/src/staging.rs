//! Many keys gathered beside the store, then moved into it at once.
//!
//! To read, check and digest a large file takes long, and its end may not even
//! be written yet. Nobody else is held up for that time: the keys wait in a
//! table that is this connection's own (SQLite keeps it in memory and, where it
//! grows large, in a temporary file without a name), and the write lock is held
//! only to move them.

use std::path::Path;
use std::time::Duration;

use engine::KeyId;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Result, StoreError};
use crate::record::StoredKey;
use crate::rows::{insert_into, insert_key};
use crate::writer::Writer;

/// As `keys`, with a mark of the caller's in place of the slot.
const TABLE: &str = "
DROP TABLE IF EXISTS temp.staged;
CREATE TEMP TABLE staged (
    number INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    project TEXT NOT NULL,
    hourly_limit INTEGER,
    expires_at INTEGER,
    state INTEGER NOT NULL,
    require_origin INTEGER NOT NULL,
    origins TEXT,
    ips TEXT,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
";

/// What is staged and in the store as well.
const CONFLICTS: &str = "FROM temp.staged AS s \
    WHERE EXISTS (SELECT 1 FROM main.keys AS k WHERE k.id = s.id) \
    OR EXISTS (SELECT 1 FROM main.keys AS k WHERE k.digest = s.digest)";

/// Keys on their way into the store. Nobody sees them before the change into
/// which they are moved is committed; dropped before, they never were.
#[derive(Debug)]
pub struct Staging<'s> {
    connection: &'s mut Connection,
    path: &'s Path,
    staged: i64,
}

impl<'s> Staging<'s> {
    pub(crate) fn begin(connection: &'s mut Connection, path: &'s Path) -> Result<Self> {
        connection
            .execute_batch(TABLE)
            .map_err(|cause| StoreError::of(path, cause))?;
        Ok(Self {
            connection,
            path,
            staged: 0,
        })
    }

    /// Adds a key, with a mark by which the caller knows it again.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyExists`] and [`StoreError::DigestExists`] where a key
    /// staged before has its id or digest, and that one stays. Those that the
    /// store has already are found when all are moved.
    pub fn add(&mut self, mark: u32, key: &StoredKey) -> Result<()> {
        let insert = insert_into!("temp.staged", "number", "mark");
        let number = self.staged + 1;
        match insert_key(self.connection, insert, [number, mark.into()], key) {
            Ok(()) => {
                self.staged = number;
                Ok(())
            }
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let same_id = "SELECT EXISTS (SELECT 1 FROM temp.staged WHERE id = ?1)";
                let id = key.record.id;
                self.connection
                    .query_row(same_id, [id.to_string()], |row| row.get(0))
                    .map_err(|cause| self.sql(cause))
                    .and_then(|same_id| Err(exists(id, same_id)))
            }
            Err(cause) => Err(self.sql(cause)),
        }
    }

    /// Starts a change, as [`Store::write_within`](crate::Store::write_within)
    /// does, and moves all keys into it. Those that cannot be, since the store
    /// has their id or digest, are handed to `refused` with their mark, in the
    /// order in which they were added.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], or the store cannot be written.
    pub fn change(
        self,
        patience: Duration,
        notice: impl FnOnce(),
        mut refused: impl FnMut(u32, StoreError),
    ) -> Result<Writer<'s>> {
        let path = self.path;
        let sql = |cause| StoreError::of(path, cause);
        let mut writer = Writer::begin(self.connection, path, patience, notice)?;
        let mut conflicts = 0;
        {
            let query = format!(
                "SELECT mark, id, EXISTS (SELECT 1 FROM main.keys AS k WHERE k.id = s.id) \
                 {CONFLICTS} ORDER BY number"
            );
            let mut statement = writer.transaction.prepare(&query).map_err(sql)?;
            let mut rows = statement.query([]).map_err(sql)?;
            while let Some(row) = rows.next().map_err(sql)? {
                let mark = row.get(0).map_err(sql)?;
                let id: String = row.get(1).map_err(sql)?;
                let same_id = row.get(2).map_err(sql)?;
                let id = id.parse().map_err(|_| StoreError::Damaged {
                    path: path.into(),
                    what: "a staged key has lost its id".into(),
                })?;
                refused(mark, exists(id, same_id));
                conflicts += 1;
            }
        }
        if conflicts > 0 {
            let numbers = format!("SELECT number {CONFLICTS}");
            let delete = format!("DELETE FROM temp.staged WHERE number IN ({numbers})");
            writer.transaction.execute(&delete, []).map_err(sql)?;
        }
        writer.take_staged()?;
        Ok(writer)
    }

    fn sql(&self, cause: rusqlite::Error) -> StoreError {
        StoreError::of(self.path, cause)
    }
}

fn exists(id: KeyId, same_id: bool) -> StoreError {
    if same_id {
        StoreError::KeyExists(id)
    } else {
        StoreError::DigestExists(id)
    }
}
