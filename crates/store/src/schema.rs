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
use crate::file_identity::FileIdentity;
use crate::opened::Opened;
use crate::seal::{self, key_seal, key_seal_of_2, session_seal};
use crate::secret::private;
use crate::tables::{self, OF_2, SINCE_2};

/// `tkit`: by this number in its header a file says that it is a key store.
const APPLICATION_ID: i32 = 0x746B_6974;
/// The version of the tables.
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

/// What makes the rows of version 2 those of version 3, behind [`SINCE_2`]. A row
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

/// Opens the store at a path; with `create` makes it where there is none. Says
/// which file that is.
pub(crate) fn connect(
    path: &Path,
    secret: &ServerSecret,
    create: bool,
) -> Result<(Connection, Opened)> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(StoreError::OldLibrary(rusqlite::version()));
    }
    check_file(path, create)?;
    // Before it is opened: of one that is replaced in between every use tells.
    let at = std::path::absolute(path).map_err(|cause| StoreError::Io {
        path: path.into(),
        cause: cause.into(),
    })?;
    let file = FileIdentity::of(&at).map_err(|_| StoreError::Replaced(path.into()))?;
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
    Ok((connection, Opened::new(file, at)))
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
        (APPLICATION_ID, VERSION) => tables::check(connection, &path).map(|()| Found::Store),
        (APPLICATION_ID, 2) => tables::check_of_2(connection, &path).map(|()| Found::Older),
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

/// How this connection works: a writer beside readers, on the disk before it is
/// acknowledged, and what is deleted written over.
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
             PRAGMA secure_delete = ON;
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
        transaction.execute_batch(OF_2).map_err(sql)?;
        transaction.execute_batch(SINCE_2).map_err(sql)?;
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
        transaction.execute_batch(SINCE_2).map_err(sql)?;
        transaction.execute_batch(MORE_ROWS).map_err(sql)?;
        transaction
            .pragma_update(None, "user_version", VERSION)
            .map_err(sql)?;
    }
    transaction.commit().map_err(sql)
}
