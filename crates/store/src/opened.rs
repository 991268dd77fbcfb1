//! What a connection was opened on, and whether the path still leads there.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Result, StoreError};
use crate::file_identity::FileIdentity;
use crate::tables::KnownSchema;

/// The file that a connection has open, and what is known of its tables.
#[derive(Debug)]
pub(crate) struct Opened {
    file: FileIdentity,
    /// Where it was, also once the process is in another folder.
    at: PathBuf,
    schema: KnownSchema,
    /// When sessions were last looked over by this connection, in unix seconds.
    pub(crate) sessions_tidied: Cell<Option<u64>>,
}

impl Opened {
    pub(crate) fn new(file: FileIdentity, at: PathBuf) -> Self {
        Self {
            file,
            at,
            schema: KnownSchema::default(),
            sessions_tidied: Cell::new(None),
        }
    }

    /// Which file it is.
    pub(crate) fn file(&self) -> FileIdentity {
        self.file
    }

    /// Whether the path leads to this file still: a connection stays with what
    /// it has open, and who writes there writes what nobody opens again. Costs
    /// a microsecond or two.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`] where another is there, or none.
    pub(crate) fn check_file(&self, path: &Path) -> Result<()> {
        match self.file.is_at(&self.at) {
            true => Ok(()),
            false => Err(StoreError::Replaced(path.to_path_buf())),
        }
    }

    /// Whether the path leads to this file still, and its tables are ours, see
    /// [`KnownSchema::check`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`], [`StoreError::Altered`], or the store cannot be
    /// read.
    pub(crate) fn check(&self, connection: &Connection, path: &Path) -> Result<()> {
        self.check_file(path)?;
        self.schema.check(connection, path)
    }
}
