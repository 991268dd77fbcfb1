//! Many keys gathered beside the store, then moved into it at once.
//!
//! To read, check and digest a large file takes long, and its end may not even
//! be written yet. Nobody else is held up for that time: the keys wait in a
//! table that is this connection's own (SQLite keeps it in memory and, where it
//! grows large, in a temporary file without a name), and the write lock is held
//! only to move them.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::actor::Actor;
use crate::error::{Result, StoreError};
use crate::opened::Opened;
use crate::record::StoredKey;
use crate::rows::{insert_into, insert_key};
use crate::seal::key_seal;
use crate::writer::{By, Writer, is_conflict, next_slot};

/// As `keys`, with a mark of the caller's in place of the revision. Without an
/// index, so that rows are only ever put behind each other: that a key is there
/// twice is found when all are moved.
const TABLE: &str = "
DROP TABLE IF EXISTS temp.staged;
CREATE TEMP TABLE staged (
    number INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,
    id TEXT NOT NULL,
    digest BLOB NOT NULL,
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
    revoked_at INTEGER,
    revoked_reason TEXT,
    replaces TEXT
) STRICT;
";

/// Moves what is behind a number, up to the first that cannot be.
const MOVE: &str = concat!(
    "INSERT OR FAIL INTO main.keys (slot, rev, id, digest, prefix, project, hourly_limit, expires_at,
    state, require_origin, origins, ips, name, created_at, revoked_at, revoked_reason, replaces, seal)
SELECT ?1 + number - ?2 - 1, ?3, id, digest, prefix, project, hourly_limit, expires_at,
    state, require_origin, origins, ips, name, created_at, revoked_at, revoked_reason, replaces, ",
    key_seal!(),
    "
FROM temp.staged WHERE number > ?2 ORDER BY number"
);

/// Keys on their way into the store. Nobody sees them before the change into
/// which they are moved is committed; dropped before, they never were.
#[derive(Debug)]
pub struct Staging<'s> {
    connection: &'s mut Connection,
    path: &'s Path,
    opened: &'s Opened,
    staged: i64,
}

impl<'s> Staging<'s> {
    pub(crate) fn begin(
        connection: &'s mut Connection,
        path: &'s Path,
        opened: &'s Opened,
    ) -> Result<Self> {
        connection
            .execute_batch(TABLE)
            .map_err(|cause| StoreError::of(path, cause))?;
        Ok(Self {
            connection,
            path,
            opened,
            staged: 0,
        })
    }

    /// Adds a key, with a mark by which the caller knows it again.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn add(&mut self, mark: u32, key: &StoredKey) -> Result<()> {
        let insert = insert_into!("temp.staged", "number", "mark");
        self.staged += 1;
        insert_key(self.connection, insert, [self.staged, mark.into()], key)
            .map_err(|cause| StoreError::of(self.path, cause))
    }

    /// Starts a change, as [`Store::write_within`](crate::Store::write_within)
    /// does, and moves all keys into it. One whose id or digest the store has,
    /// or a key moved before it, stays behind; its mark is handed to `refused`
    /// with [`StoreError::KeyExists`] or [`StoreError::DigestExists`]. The audit
    /// log has one entry for all of them, where there is any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], or the store cannot be written.
    pub fn change(
        self,
        actor: &Actor,
        now: u64,
        patience: Duration,
        notice: impl FnOnce(),
        mut refused: impl FnMut(u32, StoreError),
    ) -> Result<Writer<'s>> {
        let by = By(actor, now);
        let mut writer = Writer::begin(
            self.connection,
            self.path,
            self.opened,
            by,
            patience,
            notice,
        )?;
        let first = writer.next_slot;
        let mut done = 0;
        while done < self.staged {
            let (moved, is_all) = writer.take_staged(done)?;
            done += moved;
            if is_all {
                break;
            }
            done += 1;
            let (mark, why) = writer.why_not(done)?;
            refused(mark, why);
        }
        writer.need_projects_from(first)?;
        let moved = writer.next_slot - first;
        if moved > 0 {
            writer.note("keys.import", "", &json!({ "keys": moved }))?;
        }
        Ok(writer)
    }
}

impl Writer<'_> {
    /// Moves staged keys behind a number, up to the first that cannot be.
    /// Returns how many were, and whether those are all.
    fn take_staged(&mut self, behind: i64) -> Result<(i64, bool)> {
        let moved = self
            .transaction
            .prepare_cached(MOVE)
            .and_then(|mut statement| statement.execute([self.next_slot, behind, self.rev]));
        let is_all = match moved {
            Ok(_) => true,
            Err(cause) if is_conflict(&cause) => false,
            Err(cause) => return Err(StoreError::of(self.path, cause)),
        };
        let next_slot = next_slot(&self.transaction, self.path)?;
        let moved = next_slot - self.next_slot;
        self.next_slot = next_slot;
        Ok((moved, is_all))
    }

    /// Why a staged key cannot be moved, and its mark.
    fn why_not(&self, number: i64) -> Result<(u32, StoreError)> {
        let query = "SELECT mark, id, EXISTS (SELECT 1 FROM main.keys AS k WHERE k.id = s.id) \
                     FROM temp.staged AS s WHERE number = ?1";
        let sql = |cause| StoreError::of(self.path, cause);
        let (mark, id, same_id): (_, String, bool) = self
            .transaction
            .prepare_cached(query)
            .map_err(sql)?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(sql)?;
        let id = id.parse().map_err(|_| StoreError::Damaged {
            path: self.path.into(),
            what: "a staged key has lost its id".into(),
        })?;
        let why = if same_id {
            StoreError::KeyExists(id)
        } else {
            StoreError::DigestExists(id)
        };
        Ok((mark, why))
    }
}
