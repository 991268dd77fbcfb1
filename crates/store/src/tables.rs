//! The tables: what makes them, and whether those of a store are these.
//!
//! A seal tells whether a row is as it was written, not what reads it: a view in
//! the place of a table may say one thing to the seal and another to who asks,
//! and a trigger undoes what was acknowledged. So a store has the tables,
//! indexes and triggers that are made here, word for word, and nothing else.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;

use crate::error::{Result, StoreError};

/// Slots are dense and a key keeps its own for life. Empty lists are NULL, so
/// that loading parses JSON only where there is some. `rev` is the number of
/// the last transaction that changed the row: who knows `meta.rev` asks for
/// what came later. `seal` is of the row's other columns, see [`crate::seal`].
/// These are the tables of version 2, to which [`SINCE_2`] adds the rest: so that
/// a store made anew and one brought up from there are the same.
pub(crate) const OF_2: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    rev INTEGER NOT NULL,
    secret_fingerprint BLOB NOT NULL
) STRICT;
CREATE TABLE keys (
    slot INTEGER PRIMARY KEY,
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
    revoked_at INTEGER,
    rev INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT;
CREATE INDEX keys_rev ON keys (rev);
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_rev ON sessions (rev);
";

/// What version 3 adds: the tables of the control plane, and the indexes of its
/// lists.
///
/// Every list ends its index with what it is ordered by; an index of `keys` has
/// the slot behind its columns. Expiry is looked for among active keys only.
/// Names are searched by their trigrams: a key without a name costs nothing.
pub(crate) const SINCE_2: &str = "
ALTER TABLE keys ADD COLUMN revoked_reason TEXT;
ALTER TABLE keys ADD COLUMN replaces TEXT;
CREATE INDEX keys_project ON keys (project);
CREATE INDEX keys_state ON keys (state);
CREATE INDEX keys_project_state ON keys (project, state);
CREATE INDEX keys_expiry ON keys (expires_at) WHERE expires_at IS NOT NULL AND state = 0;
CREATE INDEX keys_project_expiry ON keys (project, expires_at)
    WHERE expires_at IS NOT NULL AND state = 0;
CREATE INDEX keys_replaces ON keys (replaces) WHERE replaces IS NOT NULL;
CREATE VIRTUAL TABLE keys_search USING fts5 (
    name, content = 'keys', content_rowid = 'slot', columnsize = 0, tokenize = 'trigram'
);
CREATE TRIGGER keys_named AFTER INSERT ON keys WHEN new.name <> '' BEGIN
    INSERT INTO keys_search (rowid, name) VALUES (new.slot, new.name);
END;
CREATE TRIGGER keys_renamed AFTER UPDATE OF name ON keys WHEN new.name <> old.name BEGIN
    INSERT INTO keys_search (keys_search, rowid, name)
        SELECT 'delete', old.slot, old.name WHERE old.name <> '';
    INSERT INTO keys_search (rowid, name) SELECT new.slot, new.name WHERE new.name <> '';
END;
CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_project ON sessions (project, created_at, id);
CREATE INDEX sessions_user ON sessions (user, created_at, id);
CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE admin_tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scope INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    rev INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_tokens_rev ON admin_tokens (rev);
CREATE TABLE exempt (
    addresses TEXT PRIMARY KEY,
    note TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    details TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;
CREATE INDEX audit_actor ON audit (actor);
CREATE INDEX audit_action ON audit (action);
CREATE INDEX audit_object ON audit (object);
CREATE TABLE idempotency (
    token TEXT NOT NULL,
    key BLOB NOT NULL,
    request BLOB NOT NULL,
    nonce BLOB NOT NULL,
    outcome TEXT,
    at INTEGER NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (token, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
CREATE TABLE usage (
    hour INTEGER NOT NULL,
    key TEXT NOT NULL,
    source BLOB NOT NULL,
    project TEXT NOT NULL,
    used INTEGER NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (hour, key, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_key ON usage (key, hour, used);
CREATE INDEX usage_project ON usage (project, hour, key, used);
CREATE TABLE usage_sources (
    source BLOB PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE last_used (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What SQLite makes for itself where somebody has it look over the indexes
/// (`ANALYZE`): it changes how a row is found, not what is in it.
const STATISTICS: [&str; 2] = [
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
];

/// What a schema holds: of everything its type, its name, its table and the
/// text that makes it, which an index of a constraint has not.
type Schema = BTreeSet<(String, String, String, Option<String>)>;

/// The last schema of a connection that was found to be ours.
#[derive(Debug, Default)]
pub(crate) struct KnownSchema(Cell<Option<i64>>);

impl KnownSchema {
    /// Whether the tables are ours still. Where nobody has changed the schema
    /// that costs a microsecond or two. What is read or written in the
    /// transaction in which this is asked is so of these tables.
    ///
    /// # Errors
    ///
    /// [`StoreError::Altered`], or the store cannot be read.
    pub(crate) fn check(&self, connection: &Connection, path: &Path) -> Result<()> {
        let number = connection
            .prepare_cached("PRAGMA schema_version")
            .and_then(|mut ask| ask.query_row([], |row| row.get(0)))
            .map_err(|cause| StoreError::of(path, cause))?;
        if self.0.get() == Some(number) {
            return Ok(());
        }
        // The number can be set to what it was: what differs once is looked at
        // until it is found good.
        self.0.set(None);
        check(connection, path)?;
        self.0.set(Some(number));
        Ok(())
    }
}

/// Whether a store has our tables, and no others.
///
/// # Errors
///
/// [`StoreError::Altered`], or the store cannot be read.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<()> {
    // Made once: it takes a millisecond.
    static OURS: OnceLock<Schema> = OnceLock::new();
    let ours = match OURS.get() {
        Some(ours) => ours,
        None => {
            let made = made_by(&[OF_2, SINCE_2]).map_err(|cause| StoreError::of(path, cause))?;
            OURS.get_or_init(|| made)
        }
    };
    compare(connection, path, ours)
}

/// The same of a store of version 2.
///
/// # Errors
///
/// As [`check`].
pub(crate) fn check_of_2(connection: &Connection, path: &Path) -> Result<()> {
    let made = made_by(&[OF_2]).map_err(|cause| StoreError::of(path, cause))?;
    compare(connection, path, &made)
}

fn compare(connection: &Connection, path: &Path, ours: &Schema) -> Result<()> {
    let sql = |cause| StoreError::of(path, cause);
    // What SQLite knows of the schema may be of an earlier moment.
    connection
        .execute_batch("PRAGMA writable_schema = RESET")
        .map_err(sql)?;
    let found = schema(connection).map_err(sql)?;
    let is_statistics = |text: &str| STATISTICS.contains(&text);
    let foreign = found
        .difference(ours)
        .find(|(.., text)| !text.as_deref().is_some_and(is_statistics));
    let what = match (foreign, ours.difference(&found).next()) {
        (None, None) => return Ok(()),
        (Some((kind, name, ..)), _) => format!("its {kind} {name:?} is not of tokenkit's making"),
        (None, Some((kind, name, ..))) => format!("its {kind} {name:?} is gone"),
    };
    Err(StoreError::Altered {
        path: path.to_path_buf(),
        what,
    })
}

/// The schema that statements make.
fn made_by(statements: &[&str]) -> rusqlite::Result<Schema> {
    let empty = Connection::open_in_memory()?;
    for statement in statements {
        empty.execute_batch(statement)?;
    }
    schema(&empty)
}

fn schema(connection: &Connection) -> rusqlite::Result<Schema> {
    let mut all = connection.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_schema")?;
    let rows = all.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.collect()
}
