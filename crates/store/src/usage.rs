//! What was used: units by key and hour, as they are billed.
//!
//! The truth is the counts of an engine, of which each source (a ledger's file,
//! or one run of a server without one) tells what it has of an hour. A count
//! only grows, and is kept as the greatest that was told: told twice it is
//! there once. What a key used in an hour is the sum over the sources.

use engine::{KeyId, Name};
use rusqlite::types::Value;
use rusqlite::{
    OptionalExtension, Row, Transaction, TransactionBehavior, params, params_from_iter,
};

use crate::cursor::{Cursor, Part};
use crate::error::{Result, StoreError};
use crate::rows::{BadColumn, Decoded, id_column, number, number_column, parsed, sealed, text};
use crate::store::{Store, decoded};

/// Seconds in an hour.
const HOUR_S: u64 = 3600;
/// How long after its end an hour may still be charged: by a request that was
/// stamped before.
pub const LATE_S: u64 = 10;
/// A source that was not heard of for so long holds no hour open any more, in
/// seconds.
const SOURCE_GONE_S: u64 = 86_400;
/// Whether all rows of a sum are as they were written.
const SEALED: &str = "MIN(seal IS row_seal('usage', hour, key, source, project, used))";
/// The kind of cursors.
const KIND: char = 'u';

/// Who counted: sixteen random bytes of a ledger, or of a run without one.
pub type UsageSource = [u8; 16];

/// What a source has counted of a key in an hour until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The key.
    pub key: KeyId,
    /// The hour: unix seconds divided by 3600.
    pub hour: u32,
    /// Units.
    pub used: u64,
}

/// What became of what a source has counted.
#[derive(Debug, Default)]
pub struct RecordedUsage {
    /// How many rows are new or have grown.
    pub grown: usize,
    /// Those that are damaged in the store, and stay as they are there; each with
    /// what is wrong.
    pub damaged: Vec<(UsageRow, StoreError)>,
}

/// What a key used in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The key.
    pub key: KeyId,
    /// Its project when this was first recorded; none where the store did not
    /// know the key.
    pub project: Option<Name>,
    /// The hour: unix seconds divided by 3600.
    pub hour: u32,
    /// Units, of all sources.
    pub used: u64,
}

impl Usage {
    /// The name of the row, the same for ever: the key's id, `-`, and the hour.
    #[must_use]
    pub fn id(&self) -> String {
        row_id(self.key, self.hour)
    }
}

fn row_id(key: KeyId, hour: u32) -> String {
    format!("{key}-{hour}")
}

/// Which usage to look at: what fits all that is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageQuery<'q> {
    /// Only of a key.
    pub key: Option<KeyId>,
    /// Only of a project.
    pub project: Option<Name>,
    /// The first hour.
    pub from_hour: u32,
    /// The hour behind the last.
    pub to_hour: u32,
    /// Where to begin, as the page before said.
    pub after: Option<&'q Cursor>,
    /// The most rows to hand out; of a page 0 is taken for 1.
    pub limit: usize,
}

/// Usage by hour and key, oldest first.
#[derive(Clone, Debug, Default)]
pub struct UsagePage {
    /// The rows.
    pub rows: Vec<Usage>,
    /// Where the next page begins, where there may be one.
    pub next: Option<Cursor>,
}

impl Store {
    /// Records what a source has counted, in one transaction: of a key and hour
    /// that is there the greater count. A key that grew was used at `seen_at`
    /// (unix seconds), or at the end of the hour where that came before. A row
    /// that is damaged in the store keeps no other from being recorded. Not told
    /// to who follows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`], or the store cannot be written; then nothing was.
    pub fn record_usage(
        &mut self,
        source: &UsageSource,
        rows: &[UsageRow],
        seen_at: u64,
    ) -> Result<RecordedUsage> {
        let path = &self.path;
        let sql = |cause| StoreError::of(path, cause);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql)?;
        self.opened.check(&transaction, path)?;
        let mut recorded = RecordedUsage::default();
        for row in rows.iter().filter(|row| row.used > 0) {
            let found = transaction
                .prepare_cached(
                    "SELECT used, seal IS row_seal('usage', hour, key, source, project, used) \
                     FROM usage WHERE hour = ?1 AND key = ?2 AND source = ?3",
                )
                .map_err(sql)?
                .query_row(params![row.hour, id_column(row.key), source], |found| {
                    Ok(decoded(path, "usage", found, |found| {
                        let used = number(found, 0, "used")?;
                        sealed(found, 1)?;
                        Ok(used)
                    }))
                })
                .optional()
                .map_err(sql)?
                .transpose();
            let found = match found {
                Err(error) => {
                    let error = error.of_usage(row.key, row.hour);
                    recorded.damaged.push((*row, error));
                    continue;
                }
                Ok(found) => found,
            };
            match found {
                Some(used) if used >= row.used => continue,
                Some(_) => update(&transaction, source, row).map_err(sql)?,
                None => insert(&transaction, source, row).map_err(sql)?,
            }
            use_key(&transaction, row, seen_at).map_err(sql)?;
            recorded.grown += 1;
        }
        transaction.commit().map_err(sql)?;
        Ok(recorded)
    }

    /// Notes that all that a source had counted at a unix second is recorded: the
    /// last that was noted, for a clock may have been ahead; unless it has ended.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn usage_seen(&mut self, source: &UsageSource, at: u64) -> Result<()> {
        self.checked()?
            .execute(
                "INSERT INTO usage_sources (source, seen_at) VALUES (?1, ?2) \
                 ON CONFLICT (source) DO UPDATE SET seen_at = excluded.seen_at WHERE seen_at < ?3",
                params![source, number_column(at), number_column(u64::MAX)],
            )
            .map(|_| ())
            .map_err(|cause| StoreError::of(&self.path, cause))
    }

    /// Notes that a source will count no more, and all that it had counted is
    /// recorded: it holds no hour open.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn usage_ended(&mut self, source: &UsageSource) -> Result<()> {
        self.usage_seen(source, u64::MAX)
    }

    /// When all that a source had counted was last recorded, in unix seconds.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn usage_seen_at(&self, source: &UsageSource) -> Result<Option<u64>> {
        self.checked()?
            .query_row(
                "SELECT seen_at FROM usage_sources WHERE source = ?1",
                [source],
                |row| units(row, 0),
            )
            .optional()
            .map_err(|cause| StoreError::of(&self.path, cause))
    }

    /// The hour up to which, without it, nothing more is to come: it has ended,
    /// and every source that was heard of within a day has told of it since.
    /// `None` where no source was ever heard of.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn usage_final_before(&self, now: u64) -> Result<Option<u32>> {
        let oldest: Option<i64> = self
            .checked()?
            .query_row(
                "SELECT MIN(seen_at) FROM usage_sources WHERE seen_at >= \
                 MIN(?1, (SELECT MAX(seen_at) FROM usage_sources))",
                [number_column(now.saturating_sub(SOURCE_GONE_S))],
                |row| row.get(0),
            )
            .map_err(|cause| StoreError::of(&self.path, cause))?;
        let oldest = oldest.and_then(|oldest| u64::try_from(oldest).ok());
        Ok(oldest.map(|oldest| {
            let hour = oldest.min(now).saturating_sub(LATE_S) / HOUR_S;
            u32::try_from(hour).unwrap_or(u32::MAX)
        }))
    }

    /// A page of usage.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherCursor`], or the store cannot be read.
    pub fn usage(&self, query: &UsageQuery<'_>) -> Result<UsagePage> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let (text, values) = statement(query)?;
        let mut statement = self.checked()?.prepare_cached(&text).map_err(sql)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(sql)?;
        let mut page = UsagePage::default();
        while let Some(row) = rows.next().map_err(sql)? {
            if page.rows.len() == query.limit.max(1) {
                page.next = page.rows.last().map(|last| {
                    let key = last.key.to_string();
                    Cursor::of(KIND, &[Part::Number(last.hour.into()), Part::Text(&key)])
                });
                break;
            }
            let shown = decoded(&self.path, "usage", row, usage);
            page.rows.push(shown.map_err(|error| match which(row) {
                Ok((key, hour)) => error.of_usage(key, hour),
                Err(_) => error,
            })?);
        }
        Ok(page)
    }

    /// Units by hour, oldest first, hours without any left out. Of the query
    /// the cursor and the limit do not count. Linear in its rows.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn usage_by_hour(&self, query: &UsageQuery<'_>) -> Result<Vec<(u32, u64)>> {
        let mut values = Vec::new();
        let text = format!(
            "SELECT hour, SUM(used), {SEALED} FROM usage WHERE {} GROUP BY hour ORDER BY hour",
            range(query, &mut values)
        );
        self.sums(&text, values, |row| {
            let hour = number(row, 0, "hour")?;
            u32::try_from(hour).map_err(|_| BadColumn("hour"))
        })
    }

    /// The keys that used most, at most [`UsageQuery::limit`]. The cursor does
    /// not count. Linear in the rows of the query.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn usage_by_key(&self, query: &UsageQuery<'_>) -> Result<Vec<(KeyId, u64)>> {
        let mut values = Vec::new();
        let range = range(query, &mut values);
        values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
        // What is not as it was written comes first: it is among those that are
        // left out as well.
        let text = format!(
            "SELECT key, SUM(used) AS units, {SEALED} AS sealed FROM usage WHERE {range} \
             GROUP BY key ORDER BY sealed, units DESC, key LIMIT ?{}",
            values.len()
        );
        self.sums(&text, values, |row| parsed(row, 0, "key"))
    }

    /// Sums, each with what it is of, and behind it whether its rows are as they
    /// were written.
    fn sums<T>(
        &self,
        text: &str,
        values: Vec<Value>,
        of: impl Fn(&Row<'_>) -> Decoded<T>,
    ) -> Result<Vec<(T, u64)>> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let mut statement = self.checked()?.prepare_cached(text).map_err(sql)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(sql)?;
        let mut sums = Vec::new();
        while let Some(row) = rows.next().map_err(sql)? {
            let sum = |row: &Row<'_>| {
                let sum = (of(row)?, number(row, 1, "used")?);
                sealed(row, 2).map(|()| sum)
            };
            sums.push(decoded(&self.path, "usage", row, sum)?);
        }
        Ok(sums)
    }

    /// When a key was last seen to have been used, in unix seconds: at most one
    /// reading of the counts after it was. `None` where it never was.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn last_used(&self, key: KeyId) -> Result<Option<u64>> {
        self.checked()?
            .prepare_cached("SELECT at FROM last_used WHERE key = ?1")
            .and_then(|mut ask| {
                ask.query_row([id_column(key)], |row| units(row, 0))
                    .optional()
            })
            .map_err(|cause| StoreError::of(&self.path, cause))
    }
}

fn update(
    transaction: &Transaction<'_>,
    source: &UsageSource,
    row: &UsageRow,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE usage SET used = ?4, \
             seal = row_seal('usage', hour, key, source, project, ?4) \
             WHERE hour = ?1 AND key = ?2 AND source = ?3",
        )?
        .execute(params![
            row.hour,
            id_column(row.key),
            source,
            number_column(row.used)
        ])
        .map(|_| ())
}

/// A row's project is that of the other sources' rows, so that a key and hour
/// has one; else that of the key.
fn insert(
    transaction: &Transaction<'_>,
    source: &UsageSource,
    row: &UsageRow,
) -> rusqlite::Result<()> {
    let key = id_column(row.key);
    let project: String = transaction
        .prepare_cached(
            "SELECT COALESCE((SELECT project FROM usage WHERE hour = ?1 AND key = ?2 LIMIT 1), \
             (SELECT project FROM keys WHERE id = ?2), '')",
        )?
        .query_row(params![row.hour, key], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT INTO usage (hour, key, source, project, used, seal) VALUES (?1, ?2, ?3, ?4, \
             ?5, row_seal('usage', ?1, ?2, ?3, ?4, ?5))",
        )?
        .execute(params![
            row.hour,
            key,
            source,
            project,
            number_column(row.used)
        ])
        .map(|_| ())
}

fn use_key(transaction: &Transaction<'_>, row: &UsageRow, seen_at: u64) -> rusqlite::Result<()> {
    let end = (u64::from(row.hour) + 1) * HOUR_S - 1;
    transaction
        .prepare_cached(
            "INSERT INTO last_used (key, at) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET at = MAX(at, excluded.at)",
        )?
        .execute(params![id_column(row.key), number_column(seen_at.min(end))])
        .map(|_| ())
}

/// A number that is not negative where no damage was done, and then counts as
/// none.
fn units(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}

/// The condition that a query makes but for its cursor.
fn range(query: &UsageQuery<'_>, values: &mut Vec<Value>) -> String {
    values.push(query.from_hour.into());
    values.push(query.to_hour.into());
    let mut text = String::from("hour >= ?1 AND hour < ?2");
    let mut by_index = "";
    if let Some(key) = query.key {
        values.push(id_column(key).into());
        text.push_str(&format!(" AND key = ?{}", values.len()));
        by_index = "+";
    }
    if let Some(project) = query.project {
        values.push(project.to_string().into());
        text.push_str(&format!(" AND {by_index}project = ?{}", values.len()));
    }
    text
}

fn statement(query: &UsageQuery<'_>) -> Result<(String, Vec<Value>)> {
    let mut values = Vec::new();
    let mut condition = range(query, &mut values);
    if let Some(after) = query.after {
        let (hour, key) = after.number_and_text(KIND)?;
        values.push(hour.into());
        values.push(key.into());
        condition.push_str(&format!(
            " AND (hour, key) > (?{}, ?{})",
            values.len() - 1,
            values.len()
        ));
    }
    let text = format!(
        "SELECT hour, key, MAX(project), SUM(used), \
         {SEALED} FROM usage WHERE {condition} GROUP BY hour, key ORDER BY hour, key"
    );
    Ok((text, values))
}

/// The key and hour of a row that is listed.
fn which(row: &Row<'_>) -> Decoded<(KeyId, u32)> {
    let hour = u32::try_from(number(row, 0, "hour")?).map_err(|_| BadColumn("hour"))?;
    Ok((parsed(row, 1, "key")?, hour))
}

fn usage(row: &Row<'_>) -> Decoded<Usage> {
    let (key, hour) = which(row)?;
    let usage = Usage {
        hour,
        key,
        project: match text(row, 2, "project")? {
            "" => None,
            _ => Some(parsed(row, 2, "project")?),
        },
        used: number(row, 3, "used")?,
    };
    sealed(row, 4)?;
    Ok(usage)
}

impl StoreError {
    /// The same with the row that is damaged: its key and hour.
    fn of_usage(self, key: KeyId, hour: u32) -> Self {
        match self {
            Self::Damaged { path, what } => Self::Damaged {
                path,
                what: format!(
                    "{what}: {}, of key {key} in the hour from unix second {}",
                    row_id(key, hour),
                    u64::from(hour) * HOUR_S
                ),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{assert_bounded, store};

    #[test]
    fn every_list_goes_along_an_index() {
        let (_folder, store) = store();
        let key = Some("0123456789".parse().unwrap());
        let project = Some("p1".parse().unwrap());
        let after = "u7.t61".parse().unwrap();
        for (key, project) in [(None, None), (key, None), (None, project), (key, project)] {
            for after in [None, Some(&after)] {
                let query = UsageQuery {
                    key,
                    project,
                    after,
                    ..UsageQuery::default()
                };
                let (text, values) = statement(&query).unwrap();
                assert_bounded(&store.connection, &text, values);
            }
        }
    }
}
