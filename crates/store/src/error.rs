//! Why the store could not be opened, read or changed.

use std::fmt;
use std::path::{Path, PathBuf};

use engine::{Cidr, KeyId, Name};
use rusqlite::ErrorCode;

use crate::record::SessionId;
use crate::token::MAX_TOKENS_IN_USE;

/// Why the store could not be opened, read or changed. Nothing was changed.
/// The text says what to do; it never holds a digest.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The library is older than what the store relies upon.
    OldLibrary(&'static str),
    /// There is no store at the path.
    Missing(PathBuf),
    /// The file is no SQLite database.
    NotADatabase(PathBuf),
    /// An SQLite database, but another program's.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The `application_id` that it bears.
        application_id: i32,
    },
    /// Written by a newer version of this program.
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its tables.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// Its tables have version 1, whose rows bear no seals.
    Unsealed(PathBuf),
    /// Its tables, indexes and triggers are not those that this program makes.
    Altered {
        /// The file.
        path: PathBuf,
        /// The first that is not.
        what: String,
    },
    /// Damaged: SQLite found its pages wrong, or a row holds what no writer
    /// writes.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file, its folder or the whole file system may not be written.
    ReadOnly(PathBuf),
    /// Another program has held the write lock for longer than we wait.
    Locked(PathBuf),
    /// The disk is full.
    Full(PathBuf),
    /// The disk did not do what was asked. It may be full as well: where SQLite
    /// grows a file beside the store, it does not say.
    Disk {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// The file that was opened was deleted, or another put in its place.
    Replaced(PathBuf),
    /// An older state was put back into the file that was opened.
    TakenBack(PathBuf),
    /// Filled under another server secret than the one given.
    OtherSecret(PathBuf),
    /// The file cannot be opened or made, for the reason given.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key of this id is there already.
    KeyExists(KeyId),
    /// Another key has the same digest.
    DigestExists(KeyId),
    /// No key of this id is there.
    NoKey(KeyId),
    /// The key was revoked, which is for ever.
    Revoked(KeyId),
    /// A key or project has another revision than the one expected: somebody
    /// else has changed it.
    Changed {
        /// Its id or name.
        object: String,
        /// The revision that it has.
        revision: i64,
    },
    /// A key cannot be replaced by another.
    Unusable {
        /// The key.
        id: KeyId,
        /// What it is: revoked, disabled or expired.
        why: &'static str,
    },
    /// A project of this name is there already.
    ProjectExists(Name),
    /// No project of this name is there.
    NoProject(Name),
    /// An admin token of this id or digest is there already.
    TokenExists(KeyId),
    /// As many admin tokens are in use, or were made within a day, as there may
    /// be.
    TooManyTokens,
    /// No admin token of this id is there.
    NoToken(KeyId),
    /// This block was not exempted.
    NoExempt(Cidr),
    /// A cursor of another list.
    OtherCursor,
    /// The system gave no random bytes.
    Random(getrandom::Error),
    /// A session of this id is there already.
    SessionExists(SessionId),
    /// No session of this id or token is there.
    NoSession,
}

/// The outcome of an operation on the store.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// What an error of SQLite means for the store at `path`.
    pub(crate) fn of(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match cause.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(path),
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                what: cause.to_string(),
            },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(path),
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::SystemIoFailure) => Self::Disk {
                path,
                what: cause.to_string(),
            },
            _ => match cause {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Damaged {
                    path,
                    what: cause.to_string(),
                },
                cause => Self::Io {
                    path,
                    cause: cause.into(),
                },
            },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldLibrary(version) => write!(
                f,
                "SQLite {version} is too old for the key store: build with the bundled one, 3.51.3 or later"
            ),
            Self::Missing(path) => write!(
                f,
                "there is no key store at {}: `tokenkit serve` or `tokenkit key create` makes one, \
                 or name another folder with --data-dir",
                path.display()
            ),
            Self::NotADatabase(path) => write!(
                f,
                "{} is no SQLite database: name the key store with store.file, or move the file away",
                path.display()
            ),
            Self::Foreign {
                path,
                application_id,
            } => write!(
                f,
                "{} is a database of another program (application id {application_id}): \
                 name the key store with store.file, or move the file away",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer tokenkit (its tables have version {found}, this program \
                 knows {known}): use that newer tokenkit",
                path.display()
            ),
            Self::Unsealed(path) => write!(
                f,
                "{} has tables of version 1, whose rows bear no seals: if an older tokenkit wrote \
                 it, export its keys with that one (`tokenkit key export --with-digests`) and import \
                 them into a new store; if not, somebody has changed it: restore it from a backup",
                path.display()
            ),
            Self::Altered { path, what } => write!(
                f,
                "{} was changed by another program ({what}): restore it from a backup, or undo that \
                 change and find out whose it was",
                path.display()
            ),
            Self::Damaged { path, what } => write!(
                f,
                "{} is damaged ({what}): restore it from a backup; first remove the -wal and -shm files \
                 beside it, unless they were backed up with it",
                path.display()
            ),
            Self::ReadOnly(path) => write!(
                f,
                "{} cannot be written: give this user write access to the file and to its folder",
                path.display()
            ),
            Self::Locked(path) => write!(
                f,
                "{} is locked by another program: wait for it or end it, then try again",
                path.display()
            ),
            Self::Full(path) => write!(
                f,
                "the disk that holds {} is full: make room",
                path.display()
            ),
            Self::Disk { path, what } => write!(
                f,
                "the disk that holds {} fails or is full ({what}): make room, or see what the \
                 system logs of it",
                path.display()
            ),
            Self::Replaced(path) => write!(
                f,
                "{} was deleted or replaced while it was in use: put it back, or restart to use \
                 what is there now; before a backup is put there, stop, and remove the -wal and -shm \
                 files beside it, unless they were backed up with it",
                path.display()
            ),
            Self::TakenBack(path) => write!(
                f,
                "{} was taken back to an older state while it was in use: restart to use what is \
                 there now; before a backup is put there, stop, and remove the -wal and -shm files \
                 beside it, unless they were backed up with it",
                path.display()
            ),
            Self::OtherSecret(path) => write!(
                f,
                "{} was filled under another server secret: put back the secret file that belongs to it",
                path.display()
            ),
            Self::Io { path, cause } => {
                write!(
                    f,
                    "{} cannot be used as the key store: {cause}",
                    path.display()
                )
            }
            Self::KeyExists(id) => write!(f, "a key with the id {id} is in the store already"),
            Self::DigestExists(id) => write!(f, "another key has the digest given for key {id}"),
            Self::NoKey(id) => {
                write!(
                    f,
                    "there is no key {id}: `tokenkit key list` shows those there are"
                )
            }
            Self::Revoked(id) => write!(
                f,
                "key {id} was revoked, which is for ever: make another with `tokenkit key create`"
            ),
            Self::Changed { object, .. } => write!(
                f,
                "{object} was changed by somebody else meanwhile: look at it again, then decide"
            ),
            Self::Unusable { id, why } => write!(
                f,
                "key {id} is {why}: only a key that works can be replaced; make a new one instead"
            ),
            Self::ProjectExists(name) => write!(f, "the project {name} is there already"),
            Self::NoProject(name) => write!(f, "there is no project {name}"),
            Self::TokenExists(id) => {
                write!(f, "an admin token with the id {id} is in the store already")
            }
            Self::TooManyTokens => write!(
                f,
                "{MAX_TOKENS_IN_USE} admin tokens are in use or were made within a day, as many as there \
                 may be: revoke those that nobody needs, or wait"
            ),
            Self::NoToken(id) => write!(f, "there is no admin token {id}"),
            Self::NoExempt(addresses) => write!(f, "{addresses} is not exempt"),
            Self::OtherCursor => f.write_str(
                "the cursor belongs to another list: give the one that came with the page before, \
                 with the same filters, or none",
            ),
            Self::Random(_) => f.write_str("the system gave no random bytes: try again"),
            Self::SessionExists(id) => {
                write!(f, "a session with the id {id} is in the store already")
            }
            Self::NoSession => f.write_str(
                "there is no such session: `tokenkit session list` shows those there are",
            ),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(&**cause),
            Self::Random(cause) => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that is left beside a backup is written over it.
    #[test]
    fn who_is_to_restore_is_told_of_the_log() {
        let path = PathBuf::from("tokenkit.db");
        let what = String::from("a row");
        for error in [
            StoreError::Replaced(path.clone()),
            StoreError::TakenBack(path.clone()),
            StoreError::Damaged { path, what },
        ] {
            let text = error.to_string();
            assert!(text.contains("remove the -wal and -shm files"), "{text}");
        }
    }
}
