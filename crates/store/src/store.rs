//! The store, opened: looking at keys and sessions, and where changes start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{KeyId, KeyState, Name, ServerSecret};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::actor::Actor;
use crate::error::{Result, StoreError};
use crate::file_identity::FileIdentity;
use crate::opened::Opened;
use crate::record::{StoredKey, StoredSession};
use crate::rows::{
    BadColumn, KEY_COLUMNS, SESSION_COLUMNS, id_column, state_column, stored_key, stored_session,
};
use crate::schema::{BUSY, connect};
use crate::staging::Staging;
use crate::writer::{By, Writer, next_slot};

/// One connection to the store. Send it to another thread, but do not share
/// it: each thread opens its own.
///
/// It stays with the file that it opened. While another lies at the path, or
/// none, it reads and writes nothing: all is [`StoreError::Replaced`].
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) opened: Opened,
}

/// Which keys to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFilter {
    /// Only those of a project.
    pub project: Option<Name>,
    /// Only those in a state.
    pub state: Option<KeyState>,
}

impl Store {
    /// Makes the store where there is none (or an empty file), else opens it.
    /// Of several processes that do so at once one makes it.
    ///
    /// # Errors
    ///
    /// Whatever is at the path and no key store of ours under this secret; or
    /// it cannot be made.
    pub fn create(path: &Path, secret: &ServerSecret) -> Result<Self> {
        Self::connected(path, secret, true)
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] where there is none; else as [`Store::create`].
    pub fn open(path: &Path, secret: &ServerSecret) -> Result<Self> {
        Self::connected(path, secret, false)
    }

    fn connected(path: &Path, secret: &ServerSecret, create: bool) -> Result<Self> {
        let (connection, opened) = connect(path, secret, create)?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            opened,
        })
    }

    /// Where the store lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file that was when it was opened.
    #[must_use]
    pub fn file(&self) -> FileIdentity {
        self.opened.file()
    }

    /// Whether nothing was ever put into it.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn is_new(&self) -> Result<bool> {
        self.checked()?
            .query_row("SELECT rev = 0 FROM meta", [], |row| row.get(0))
            .map_err(|cause| StoreError::of(&self.path, cause))
    }

    /// Starts a change, which `actor` makes at `now`, in unix seconds: so says
    /// the audit log. Waits for another writer, up to five seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] after that wait; [`StoreError::Replaced`].
    pub fn write(&mut self, actor: &Actor, now: u64) -> Result<Writer<'_>> {
        self.write_within(actor, now, BUSY, || {})
    }

    /// As [`write`](Self::write), but waits for another writer as long as
    /// `patience` allows, 24 days at the most; where that takes more than a
    /// second, `notice` is called once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] after that wait; [`StoreError::Replaced`].
    pub fn write_within(
        &mut self,
        actor: &Actor,
        now: u64,
        patience: Duration,
        notice: impl FnOnce(),
    ) -> Result<Writer<'_>> {
        let by = By(actor, now);
        Writer::begin(
            &mut self.connection,
            &self.path,
            &self.opened,
            by,
            patience,
            notice,
        )
    }

    /// Starts to gather many keys for one change, during which others may
    /// write.
    ///
    /// # Errors
    ///
    /// There is no room to gather them.
    pub fn stage(&mut self) -> Result<Staging<'_>> {
        Staging::begin(&mut self.connection, &self.path, &self.opened)
    }

    /// How many keys the store holds, whatever their state.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn keys(&self) -> Result<u64> {
        next_slot(self.checked()?, &self.path).map(|keys| u64::try_from(keys).unwrap_or(0))
    }

    /// A key by its id.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoKey`], or the store cannot be read.
    pub fn key(&self, id: KeyId) -> Result<StoredKey> {
        key_by_id(self.checked()?, &self.path, id)
    }

    /// Calls `each` for every key that passes the filter, in the order in
    /// which they came into the store. Takes the memory of one key; sees the
    /// store as it was at the call.
    ///
    /// # Errors
    ///
    /// The first that `each` returns, or the store cannot be read.
    pub fn each_key<E: From<StoreError>>(
        &self,
        filter: &KeyFilter,
        mut each: impl FnMut(StoredKey) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let query = format!(
            "SELECT {KEY_COLUMNS} FROM keys NOT INDEXED \
             WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR state = ?2) ORDER BY slot"
        );
        let project = filter.project.as_ref().map(Name::as_str);
        let state = filter.state.map(state_column);
        let sql = |cause| StoreError::of(&self.path, cause);
        let mut statement = self.checked()?.prepare(&query).map_err(sql)?;
        let mut rows = statement.query((project, state)).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            each(decoded(&self.path, "keys", row, stored_key)?)?;
        }
        Ok(())
    }

    /// Calls `each` for every session, ended and expired ones included, oldest
    /// first.
    ///
    /// # Errors
    ///
    /// The first that `each` returns, or the store cannot be read.
    pub fn each_session<E: From<StoreError>>(
        &self,
        mut each: impl FnMut(StoredSession) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let query = format!("SELECT {SESSION_COLUMNS} FROM sessions ORDER BY created_at, id");
        let sql = |cause| StoreError::of(&self.path, cause);
        let mut statement = self.checked()?.prepare(&query).map_err(sql)?;
        let mut rows = statement.query([]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            each(decoded(&self.path, "sessions", row, stored_session)?)?;
        }
        Ok(())
    }

    /// The connection, to look by: its file is at the path, and its tables are
    /// ours.
    pub(crate) fn checked(&self) -> Result<&Connection> {
        self.opened.check(&self.connection, &self.path)?;
        Ok(&self.connection)
    }
}

/// A key by its id, inside or outside of a transaction.
pub(crate) fn key_by_id(connection: &Connection, path: &Path, id: KeyId) -> Result<StoredKey> {
    let query = format!("SELECT {KEY_COLUMNS} FROM keys WHERE id = ?1");
    let sql = |cause| StoreError::of(path, cause);
    let key = connection
        .prepare_cached(&query)
        .map_err(sql)?
        .query_row([id_column(id)], |row| {
            Ok(decoded(path, "keys", row, stored_key))
        })
        .optional()
        .map_err(sql)?
        .ok_or(StoreError::NoKey(id))??;
    // Its index leads to it, which no seal covers.
    if key.record.id == id {
        Ok(key)
    } else {
        Err(StoreError::Damaged {
            path: path.to_path_buf(),
            what: format!("the index leads from {id} to another key"),
        })
    }
}

/// Decodes a row; what cannot be decoded is damage.
pub(crate) fn decoded<T>(
    path: &Path,
    table: &str,
    row: &Row<'_>,
    decode: impl FnOnce(&Row<'_>) -> std::result::Result<T, BadColumn>,
) -> Result<T> {
    decode(row).map_err(|BadColumn(column)| StoreError::Damaged {
        path: path.to_path_buf(),
        what: format!("a row of {table} holds no good {column}"),
    })
}
