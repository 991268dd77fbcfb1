//! Opening the database: is it ours, is it sound, may we write it, and was it
//! filled under our secret?

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::ServerSecret;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior};

use crate::error::{Result, StoreError};
use crate::seal::{self, key_seal, key_seal_of_2, session_seal};
use crate::secret::private;

/// `tkit`: by this number in its header a file says that it is a key store.
const APPLICATION_ID: i32 = 0x746B_6974;
/// The version of the tables below.
const VERSION: i32 = 3;
/// Before this one, WAL could lose what was acknowledged after a reset that
/// met a checkpoint (SQLite's release notes, 3.51.3).
const LEAST_SQLITE: i32 = 3_051_003;
/// How long we wait for another writer where nothing else is said.
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// The page cache of a connection.
pub(crate) const CACHE_KIB: u32 = 65_536;
/// Held while a file is made, see [`check_file`].
static MAKING: Mutex<()> = Mutex::new(());

/// Slots are dense and a key keeps its own for life. Empty lists are NULL, so
/// that loading parses JSON only where there is some. `rev` is the number of
/// the last transaction that changed the row: who knows `meta.rev` asks for
/// what came later. `seal` is of the row's other columns, see [`crate::seal`].
/// These are the tables of version 2, to which [`MORE`] adds the rest: so that
/// a store made anew and one brought up from there are the same.
const TABLES: &str = "
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
const MORE: &str = "
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

/// What makes the rows of version 2 those of version 3, behind [`MORE`]. A row
/// that is not as it was written keeps a seal that does not fit, and makes no
/// project: nothing is sealed that was not sealed before.
const MORE_ROWS: &str = concat!(
    "UPDATE keys SET seal = ",
    key_seal!(),
    " WHERE seal IS ",
    key_seal_of_2!(),
    ";
INSERT INTO keys_search (rowid, name) SELECT slot, name FROM keys WHERE name <> '';
INSERT INTO projects (name, label, created_at, rev, seal)
    SELECT project, '', MIN(created_at), 0, row_seal('project', project, '', MIN(created_at))
    FROM (SELECT project, created_at FROM keys WHERE seal IS ",
    key_seal!(),
    " UNION ALL SELECT project, created_at FROM sessions WHERE seal IS ",
    session_seal!(),
    ") GROUP BY project;",
);

/// What is at a path.
#[derive(PartialEq, Eq)]
enum Found {
    /// A database without any table or mark: nobody's yet.
    Blank,
    /// A key store of our version.
    Store,
    /// One of version 2.
    Older,
}

/// Opens the store at a path; with `create` makes it where there is none.
pub(crate) fn connect(path: &Path, secret: &ServerSecret, create: bool) -> Result<Connection> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(StoreError::OldLibrary(rusqlite::version()));
    }
    check_file(path, create)?;
    let sql = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        // The file is there: what cannot be opened is it or, for the files that
        // SQLite keeps beside it, the folder.
        Some(ErrorCode::CannotOpen) => StoreError::ReadOnly(path.into()),
        _ => StoreError::of(path, cause),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection.busy_timeout(BUSY).map_err(sql)?;
    let found = {
        let snapshot = connection.transaction().map_err(sql)?;
        look(&snapshot, path, sql)?
    };
    if found == Found::Blank && !create {
        return Err(StoreError::Missing(path.into()));
    }
    if connection.is_readonly(MAIN_DB).map_err(sql)? {
        return Err(StoreError::ReadOnly(path.into()));
    }
    set_up(&connection, path, sql)?;
    if found == Found::Blank {
        fill(&mut connection, path, secret, sql)?;
    }
    let fingerprint: Vec<u8> = connection
        .query_row("SELECT secret_fingerprint FROM meta", [], |row| row.get(0))
        .map_err(sql)?;
    if fingerprint != secret.fingerprint() {
        return Err(StoreError::OtherSecret(path.into()));
    }
    seal::install(&connection, secret).map_err(sql)?;
    if found == Found::Older {
        upgrade(&mut connection, path, sql)?;
    }
    Ok(connection)
}

/// Looks at the file without opening it: a process that opens and closes a
/// database of its own behind SQLite's back drops SQLite's locks (POSIX locks
/// belong to the process, not to the handle). Where the file has to be made, no
/// other thread gets past here before it is closed again, for the same reason.
fn check_file(path: &Path, create: bool) -> Result<()> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let io = |cause: io::Error| match cause.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly(path.into())
        }
        io::ErrorKind::StorageFull => StoreError::Full(path.into()),
        _ => StoreError::Io {
            path: path.into(),
            cause: cause.into(),
        },
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io(io::ErrorKind::IsADirectory.into())),
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && create => {
            match private(OpenOptions::new().write(true).create_new(true)).open(path) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(io(cause)),
                _ => Ok(()),
            }
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::Missing(path.into()))
        }
        Err(cause) => Err(io(cause)),
    }
}

/// Whose database it is. To be called within a transaction: another process may
/// be making the store, and the marks and the tables must be of one moment.
fn look(
    connection: &Connection,
    path: &Path,
    sql: impl Fn(rusqlite::Error) -> StoreError + Copy,
) -> Result<Found> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(sql)
    };
    let (application_id, version) = (pragma("application_id")?, pragma("user_version")?);
    let path = path.to_path_buf();
    match (application_id, version) {
        (APPLICATION_ID, VERSION) => Ok(Found::Store),
        (APPLICATION_ID, 2) => Ok(Found::Older),
        // Without seals there is nothing to hold its rows to: were they sealed
        // as they are, whoever writes to the file could have any row sealed.
        (APPLICATION_ID, 1) => Err(StoreError::Unsealed(path)),
        (APPLICATION_ID, found) if found > VERSION => Err(StoreError::Newer {
            path,
            found,
            known: VERSION,
        }),
        (APPLICATION_ID, found) => Err(StoreError::Damaged {
            path,
            what: format!("its tables have the unknown version {found}"),
        }),
        (0, 0) => {
            let empty = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)";
            if connection
                .query_row(empty, [], |row| row.get(0))
                .map_err(sql)?
            {
                Ok(Found::Blank)
            } else {
                Err(StoreError::Foreign {
                    path,
                    application_id,
                })
            }
        }
        _ => Err(StoreError::Foreign {
            path,
            application_id,
        }),
    }
}

/// How this connection works: a writer beside readers, and on the disk before
/// it is acknowledged.
fn set_up(
    connection: &Connection,
    path: &Path,
    sql: impl Fn(rusqlite::Error) -> StoreError + Copy,
) -> Result<()> {
    let mode = write_ahead(connection).map_err(sql)?;
    if mode != "wal" {
        return Err(StoreError::Io {
            path: path.into(),
            cause: "its file system does not allow SQLite's WAL mode; put it on a local disk"
                .into(),
        });
    }
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;
             PRAGMA cache_size = -{CACHE_KIB}; PRAGMA journal_size_limit = 67108864;",
        ))
        .map_err(sql)
}

/// Sets WAL mode, and returns the mode that there is then.
///
/// SQLite turns a read lock into a write lock for it, and then never waits: two
/// that do so at once would wait for each other. So what is waited for is that
/// nobody else has a lock.
fn write_ahead(connection: &Connection) -> rusqlite::Result<String> {
    let give_up = Instant::now() + BUSY;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            Err(cause)
                if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < give_up =>
            {
                connection.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")?;
            }
            mode => return mode,
        }
    }
}

/// Makes the tables in one transaction: whoever starts at the same time finds
/// none or all.
fn fill(
    connection: &mut Connection,
    path: &Path,
    secret: &ServerSecret,
    sql: impl Fn(rusqlite::Error) -> StoreError + Copy,
) -> Result<()> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sql)?;
    if look(&transaction, path, sql)? == Found::Blank {
        transaction.execute_batch(TABLES).map_err(sql)?;
        transaction.execute_batch(MORE).map_err(sql)?;
        transaction
            .execute("INSERT INTO meta VALUES (1, 0, ?1)", [secret.fingerprint()])
            .map_err(sql)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(sql)?;
        transaction
            .pragma_update(None, "user_version", VERSION)
            .map_err(sql)?;
    }
    transaction.commit().map_err(sql)
}

/// Brings a store of version 2 to ours, in one transaction. Linear in its rows.
fn upgrade(
    connection: &mut Connection,
    path: &Path,
    sql: impl Fn(rusqlite::Error) -> StoreError + Copy,
) -> Result<()> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sql)?;
    // Another process may have been first.
    if look(&transaction, path, sql)? == Found::Older {
        transaction.execute_batch(MORE).map_err(sql)?;
        transaction.execute_batch(MORE_ROWS).map_err(sql)?;
        transaction
            .pragma_update(None, "user_version", VERSION)
            .map_err(sql)?;
    }
    transaction.commit().map_err(sql)
}
