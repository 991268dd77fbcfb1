//! Which rows of a table are read, all or those that changed, and whether they
//! are all.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Result, StoreError};

/// Rows of a table that were handed out, from a change on.
pub(crate) struct Sent<'c> {
    connection: &'c Connection,
    path: &'c Path,
    table: &'static str,
    /// Whether it is to be all of them.
    pub(crate) all: bool,
    /// How many there were.
    pub(crate) rows: i64,
}

impl<'c> Sent<'c> {
    /// The rows of a table that changed after a revision; with 0, all.
    pub(crate) fn of(
        connection: &'c Connection,
        path: &'c Path,
        table: &'static str,
        seen_rev: i64,
    ) -> Self {
        Self {
            connection,
            path,
            table,
            all: seen_rev == 0,
            rows: 0,
        }
    }

    /// What is asked: all rows are read from one end of the table to the other,
    /// whatever stands in them; those that changed are found by the index.
    pub(crate) fn query(&self, columns: &str, order: &str) -> String {
        let Self { table, .. } = self;
        // Either takes the revision.
        if self.all {
            format!("SELECT {columns} FROM {table} NOT INDEXED WHERE ?1 = 0 {order}")
        } else {
            format!(
                "SELECT {columns} FROM {table} INDEXED BY {table}_rev WHERE rev > ?1 ORDER BY rev"
            )
        }
    }

    /// Whether none is missing: as many were read as the index has. A page that
    /// was lost, or overwritten by another, is noticed by nothing else.
    pub(crate) fn is_whole(&self) -> Result<()> {
        if !self.all {
            return Ok(());
        }
        let Self { table, rows, .. } = self;
        let count =
            format!("SELECT count(*) FROM {table} INDEXED BY {table}_rev WHERE rev NOTNULL");
        let indexed: i64 = self
            .connection
            .query_row(&count, [], |row| row.get(0))
            .map_err(|cause| StoreError::of(self.path, cause))?;
        if indexed == *rows {
            return Ok(());
        }
        Err(StoreError::Damaged {
            path: self.path.to_path_buf(),
            what: format!("{table} has {rows} rows, and {indexed} by its index"),
        })
    }
}
