//! What a connection was opened to: the file, and the tables in it.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Result, StoreError};
use crate::file_identity::FileIdentity;
use crate::tables::KnownSchema;

/// What every look and every change makes sure of first.
#[derive(Debug)]
pub(crate) struct Known {
    file: FileIdentity,
    schema: KnownSchema,
}

impl Known {
    /// Opens a connection to a store by `connect`. What is put in the place of its
    /// file from then on is another.
    ///
    /// # Errors
    ///
    /// As `connect`; or the file is gone.
    pub(crate) fn open(
        path: &Path,
        connect: impl FnOnce() -> Result<Connection>,
    ) -> Result<(Connection, Self)> {
        // Before as well: of a file replaced in between each check tells.
        let before = FileIdentity::of(path);
        let connection = connect()?;
        let file = before.or_else(|_| FileIdentity::of(path));
        let known = Self {
            // Without one there was no file, and `connect` has said so or made it.
            file: file.map_err(|_| StoreError::Replaced(path.into()))?,
            schema: KnownSchema::default(),
        };
        Ok((connection, known))
    }

    /// Whether the path leads to that file still: some microsecond.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`]: what is written to the old one is written where
    /// nobody looks, and what is read there is what was.
    pub(crate) fn is_in_place(&self, path: &Path) -> Result<()> {
        if FileIdentity::of(path).is_ok_and(|file| file == self.file) {
            return Ok(());
        }
        Err(StoreError::Replaced(path.into()))
    }

    /// Whether it does, and the tables are ours: see [`KnownSchema::check`].
    ///
    /// # Errors
    ///
    /// As there, and [`StoreError::Replaced`].
    pub(crate) fn check(&self, connection: &Connection, path: &Path) -> Result<()> {
        self.is_in_place(path)?;
        self.schema.check(connection, path)
    }
}
