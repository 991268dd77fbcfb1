//! Loading all there is, then following what changes.

use std::path::{Path, PathBuf};

use engine::{CidrList, KeyRecord, ServerSecret, SessionRecord, TokenDigest};
use rusqlite::{Connection, Row};

use crate::error::{Result, StoreError};
use crate::exempt::{exempt_list, exempt_revision};
use crate::followed::Followed;
use crate::opened::Opened;
use crate::rows::{Decoded, KEY_COLUMNS, SESSION_COLUMNS, key_record, stored_session};
use crate::schema::{CACHE_KIB, connect};
use crate::token::tokens_revision;

/// The most keys or sessions in one [`Changes`]: enough to be put in at once,
/// few enough to lie in memory that is used again for the next.
pub const BATCH: usize = 8192;

/// What changed, as the engine takes it. Put it in whole and in order: to put
/// a thing twice does no harm.
#[derive(Debug, Default)]
pub struct Changes {
    /// Keys that are new or have changed, as they are now. Keys are never
    /// removed: at the end of its life a key is revoked.
    pub keys: Vec<KeyRecord>,
    /// Sessions that came or ended.
    pub sessions: Vec<(TokenDigest, SessionChange)>,
    /// All exempt address blocks, where any came or went.
    pub exempt: Option<CidrList>,
}

/// What became of a session.
#[derive(Clone, Copy, Debug)]
pub enum SessionChange {
    /// It is there.
    Put(SessionRecord),
    /// It was ended.
    End,
}

/// Reads what changed since it last looked; the first look brings everything.
///
/// It reads from its own connection and is never held up by a writer. It does
/// not wait by itself: who calls [`Follower::poll`] every 50 ms sees a change
/// 50 ms after its commit at the latest. A poll that finds nothing costs one
/// look at the file's name and one read of shared memory, about ten
/// microseconds.
///
/// It stays with the file that it opened. Once that is deleted, or another put
/// in its place, every poll is [`StoreError::Replaced`]: whatever is changed
/// from then on is changed elsewhere. Once an older state is put back into it,
/// as a backup is restored, every poll is [`StoreError::TakenBack`].
#[derive(Debug)]
pub struct Follower {
    connection: Connection,
    path: PathBuf,
    opened: Opened,
    seen: Seen,
    /// Whether the store was once seen to be older than before.
    taken_back: bool,
    /// Whether the next look brings every session, seen or not.
    every_session: bool,
}

/// How far the store was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The number of the last change.
    rev: i64,
    /// The same of the admin tokens alone.
    tokens_rev: i64,
    /// The same of the exempt blocks alone.
    exempt_rev: i64,
    /// `PRAGMA data_version` then; none before the first look.
    version: Option<i64>,
}

impl Follower {
    /// Opens a connection that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// As [`Store::open`](crate::Store::open).
    pub fn open(path: &Path, secret: &ServerSecret) -> Result<Self> {
        let (connection, opened) = connect(path, secret, false)?;
        connection
            .execute_batch("PRAGMA query_only = ON")
            .map_err(|cause| StoreError::of(path, cause))?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            opened,
            seen: Seen::default(),
            taken_back: false,
            every_session: false,
        })
    }

    /// Hands everything that changed since the last poll to `apply`, in batches
    /// of at most [`BATCH`] keys or sessions. Returns whether there was any.
    ///
    /// # Errors
    ///
    /// The first that `apply` returns, or the store cannot be read or is no
    /// longer there; the next poll then starts from the same point again.
    pub fn poll<E: From<StoreError>>(
        &mut self,
        mut apply: impl FnMut(Changes) -> std::result::Result<(), E>,
    ) -> std::result::Result<bool, E> {
        let seen = self.look(|found| apply(found?))?;
        Ok(seen.is_some_and(|seen| self.saw(seen)))
    }

    /// [`Store::tokens_revision`](crate::Store::tokens_revision) at the last
    /// poll that succeeded.
    #[must_use]
    pub fn tokens_revision(&self) -> i64 {
        self.seen.tokens_rev
    }

    /// Hands out what a poll does, and in its place each row that is damaged;
    /// says how far the store was seen, where it changed: the next look starts
    /// from the same point again until [`saw`](Self::saw) is told.
    pub(crate) fn look<E: From<StoreError>>(
        &mut self,
        mut apply: impl FnMut(Result<Changes>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Seen>, E> {
        let sql = |cause| StoreError::of(&self.path, cause);
        self.opened.check_file(&self.path)?;
        // For good: its changes are counted from the older state on, and say
        // no longer which of them were seen.
        if self.taken_back {
            return Err(StoreError::TakenBack(self.path.clone()).into());
        }
        // Kept prepared: this is asked many times a second.
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut ask| ask.query_row([], |row| row.get(0)))
            .map_err(sql)?;
        if self.seen.version == Some(version) && !self.every_session {
            return Ok(None);
        }
        // One read transaction, so that the revision belongs to the rows.
        let snapshot = self.connection.unchecked_transaction().map_err(sql)?;
        self.opened.check(&snapshot, &self.path)?;
        let rev: i64 = snapshot
            .query_row("SELECT rev FROM meta", [], |row| row.get(0))
            .map_err(sql)?;
        if rev < self.seen.rev {
            self.taken_back = true;
            return Err(StoreError::TakenBack(self.path.clone()).into());
        }
        let sessions_from = if self.every_session { 0 } else { self.seen.rev };
        // Of the keys there are never all without the sessions.
        let small = (sessions_from == 0).then(|| SmallCache::begin(&snapshot));
        if rev > self.seen.rev {
            KEYS.send(&snapshot, &self.path, self.seen.rev, &mut apply)?;
        }
        if rev > sessions_from {
            SESSIONS.send(&snapshot, &self.path, sessions_from, &mut apply)?;
        }
        drop(small);
        let tokens_rev = tokens_revision(&snapshot).map_err(sql)?;
        let exempt_rev = exempt_revision(&snapshot).map_err(sql)?;
        if exempt_rev > self.seen.exempt_rev {
            apply(exempt_list(&snapshot, &self.path).map(|exempt| Changes {
                exempt: Some(exempt),
                ..Changes::default()
            }))?;
        }
        snapshot.commit().map_err(sql)?;
        Ok(Some(Seen {
            rev,
            tokens_rev,
            exempt_rev,
            version: Some(version),
        }))
    }

    /// Has the next look bring every session once more.
    pub(crate) fn wants_every_session(&mut self) {
        self.every_session = true;
    }

    /// All that a look brought was taken over. Returns whether there was any.
    pub(crate) fn saw(&mut self, seen: Seen) -> bool {
        let changed = seen.rev > self.seen.rev;
        self.seen = seen;
        self.every_session = false;
        changed
    }

    /// Something of what a look brought could not be taken over: of the admin
    /// tokens, which are read elsewhere, nothing is missing.
    pub(crate) fn saw_but(&mut self, seen: Seen) {
        self.seen.tokens_rev = seen.tokens_rev;
        // Of the sessions those are there that can be.
        self.every_session = false;
    }
}

/// A small page cache for as long as everything is read once from end to end,
/// which would fill a large one with pages that nobody asks for again.
struct SmallCache<'c>(&'c Connection);

impl<'c> SmallCache<'c> {
    fn begin(connection: &'c Connection) -> Self {
        Self::set(connection, SCAN_CACHE_KIB);
        Self(connection)
    }

    /// A cache of another size holds the same pages: nothing hangs on it.
    fn set(connection: &Connection, kib: u32) {
        let _ = connection.execute_batch(&format!("PRAGMA cache_size = -{kib}"));
    }
}

impl Drop for SmallCache<'_> {
    fn drop(&mut self) {
        Self::set(self.0, CACHE_KIB);
    }
}

/// The page cache while everything is read.
const SCAN_CACHE_KIB: u32 = 1024;

const KEYS: Followed<KeyRecord> = Followed {
    table: "keys",
    columns: KEY_COLUMNS,
    order: "ORDER BY slot",
    decode: key_record,
    changes: |keys| Changes {
        keys,
        sessions: Vec::new(),
        exempt: None,
    },
};

const SESSIONS: Followed<(TokenDigest, SessionChange)> = Followed {
    table: "sessions",
    columns: SESSION_COLUMNS,
    order: "",
    decode: session_change,
    changes: |sessions| Changes {
        keys: Vec::new(),
        sessions,
        exempt: None,
    },
};

fn session_change(row: &Row<'_>) -> Decoded<(TokenDigest, SessionChange)> {
    let stored = stored_session(row)?;
    let change = if stored.ended {
        SessionChange::End
    } else {
        SessionChange::Put(stored.session)
    };
    Ok((stored.token, change))
}
