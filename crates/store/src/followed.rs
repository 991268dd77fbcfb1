//! A table that is followed: its rows, all or those that changed, handed out in
//! batches.

use std::path::Path;

use rusqlite::{Connection, Row};

use crate::error::{Result, StoreError};
use crate::follow::{BATCH, Changes};
use crate::rows::Decoded;
use crate::store::decoded;

/// A table that has an index of its changes, and what its rows become.
pub(crate) struct Followed<T> {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    /// In which order all of them are read.
    pub(crate) order: &'static str,
    pub(crate) decode: fn(&Row<'_>) -> Decoded<T>,
    pub(crate) changes: fn(Vec<T>) -> Changes,
}

impl<T> Followed<T> {
    /// Hands out the rows that changed after a revision, or with 0 all, and in its
    /// place each that is damaged.
    ///
    /// # Errors
    ///
    /// The first that `apply` returns, or the store cannot be read.
    pub(crate) fn send<E: From<StoreError>>(
        &self,
        connection: &Connection,
        path: &Path,
        seen_rev: i64,
        apply: &mut impl FnMut(Result<Changes>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let sql = |cause| StoreError::of(path, cause);
        let is_all = seen_rev == 0;
        let mut statement = connection
            .prepare_cached(&self.query(is_all))
            .map_err(sql)?;
        let mut rows = statement.query([seen_rev]).map_err(sql)?;
        let room = if is_all { BATCH } else { 0 };
        let mut batch = Vec::with_capacity(room);
        let mut read = 0;
        while let Some(row) = rows.next().map_err(sql)? {
            read += 1;
            match decoded(path, self.table, row, self.decode) {
                Ok(row) => batch.push(row),
                Err(damaged) => apply(Err(damaged))?,
            }
            if batch.len() == BATCH {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(room));
                apply(Ok((self.changes)(full)))?;
            }
        }
        if !batch.is_empty() {
            apply(Ok((self.changes)(batch)))?;
        }
        if is_all {
            let whole = self.is_whole(connection, path, read);
            whole.or_else(|damaged| apply(Err(damaged)))?;
        }
        Ok(())
    }

    /// What is asked: all rows are read from one end of the table to the other,
    /// whatever stands in them; those that changed are found by the index.
    fn query(&self, is_all: bool) -> String {
        let Self {
            table,
            columns,
            order,
            ..
        } = self;
        // Either takes the revision.
        if is_all {
            format!("SELECT {columns} FROM {table} NOT INDEXED WHERE ?1 = 0 {order}")
        } else {
            format!(
                "SELECT {columns} FROM {table} INDEXED BY {table}_rev WHERE rev > ?1 ORDER BY rev"
            )
        }
    }

    /// Whether none is missing: as many were read as the index has. A page that
    /// was lost, or overwritten by another, is noticed by nothing else.
    fn is_whole(&self, connection: &Connection, path: &Path, rows: i64) -> Result<()> {
        let table = self.table;
        let count =
            format!("SELECT count(*) FROM {table} INDEXED BY {table}_rev WHERE rev NOTNULL");
        let indexed: i64 = connection
            .query_row(&count, [], |row| row.get(0))
            .map_err(|cause| StoreError::of(path, cause))?;
        if indexed == rows {
            return Ok(());
        }
        Err(StoreError::Damaged {
            path: path.to_path_buf(),
            what: format!("{table} has {rows} rows, and {indexed} by its index"),
        })
    }
}
