//! Address blocks whose guesses are neither counted nor block them, added while
//! the server runs.

use engine::{Cidr, CidrList};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::error::{Result, StoreError};
use crate::record::Label;
use crate::rows::{Decoded, number, parsed, sealed};
use crate::store::{Store, decoded};
use crate::writer::Writer;

/// An exempt block as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// The addresses.
    pub addresses: Cidr,
    /// Why, for people.
    pub note: Label,
    /// When it came into the store, in unix seconds.
    pub created_at: u64,
}

const COLUMNS: &str = "addresses, note, created_at, \
     seal IS row_seal('exempt', addresses, note, created_at, removed)";

impl Store {
    /// The exempt blocks, oldest first.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn exempt(&self) -> Result<Vec<Exempt>> {
        all(self.checked()?, &self.path)
    }
}

/// The same, on any connection.
fn all(connection: &Connection, path: &std::path::Path) -> Result<Vec<Exempt>> {
    let sql = |cause| StoreError::of(path, cause);
    let query =
        format!("SELECT {COLUMNS} FROM exempt WHERE removed = 0 ORDER BY created_at, addresses");
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        found.push(decoded(path, "exempt", row, exempt)?);
    }
    Ok(found)
}

/// The number of the last change of any exempt block; 0 where there was none.
pub(crate) fn exempt_revision(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT COALESCE(MAX(rev), 0) FROM exempt")?
        .query_row([], |row| row.get(0))
}

/// The exempt blocks as the engine takes them.
pub(crate) fn exempt_list(connection: &Connection, path: &std::path::Path) -> Result<CidrList> {
    let all = all(connection, path)?;
    Ok(all.into_iter().map(|exempt| exempt.addresses).collect())
}

fn exempt(row: &Row<'_>) -> Decoded<Exempt> {
    let exempt = Exempt {
        addresses: parsed(row, 0, "addresses")?,
        note: parsed(row, 1, "note")?,
        created_at: number(row, 2, "created_at")?,
    };
    sealed(row, 3)?;
    Ok(exempt)
}

impl Writer<'_> {
    /// How many blocks are exempt with this change.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn count_exempt(&self) -> Result<usize> {
        all(&self.transaction, self.path).map(|all| all.len())
    }

    /// Exempts a block. One that is exempt stays as it is.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn add_exempt(&mut self, addresses: Cidr, note: &Label) -> Result<Exempt> {
        let name = addresses.to_string();
        let query = format!("SELECT {COLUMNS} FROM exempt WHERE addresses = ?1 AND removed = 0");
        let found = self
            .transaction
            .query_row(&query, [&name], |row| {
                Ok(decoded(self.path, "exempt", row, exempt))
            })
            .optional()
            .map_err(|cause| self.sql(cause))?;
        if let Some(found) = found {
            return found;
        }
        self.transaction
            .execute(
                "INSERT OR REPLACE INTO exempt (addresses, note, created_at, removed, rev, seal) \
                 VALUES (?1, ?2, ?3, 0, ?4, row_seal('exempt', ?1, ?2, ?3, 0))",
                params![name, note.as_str(), self.now_column(), self.rev],
            )
            .map_err(|cause| self.sql(cause))?;
        self.note("exempt.add", &name, &json!({ "note": note.as_str() }))?;
        Ok(Exempt {
            addresses,
            note: note.clone(),
            created_at: self.now,
        })
    }

    /// Ends an exemption.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoExempt`].
    pub fn remove_exempt(&mut self, addresses: &Cidr) -> Result<()> {
        let name = addresses.to_string();
        // The row stays, so that who follows notices.
        let removed = self
            .transaction
            .execute(
                "UPDATE exempt SET removed = 1, rev = ?2, \
                 seal = row_seal('exempt', addresses, note, created_at, 1) \
                 WHERE addresses = ?1 AND removed = 0",
                params![name, self.rev],
            )
            .map_err(|cause| self.sql(cause))?;
        if removed == 0 {
            return Err(StoreError::NoExempt(*addresses));
        }
        self.note("exempt.remove", &name, &json!({}))
    }
}
