//! Changes of sessions.

use engine::{Name, TokenDigest};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use crate::error::{Result, StoreError};
use crate::record::{SessionId, StoredSession};
use crate::rows::number_column;
use crate::seal::session_seal;
use crate::writer::{Writer, is_conflict};

/// How often expired sessions are looked for, in seconds.
const TIDY_EVERY_S: u64 = 3600;

/// Ends sessions. Whatever else their rows say: what has ended stays so.
macro_rules! end_sessions {
    () => {
        "UPDATE sessions SET ended = 1, rev = ?1, \
         seal = row_seal('session', digest, id, project, user, expires_at, created_at, 1)"
    };
}

/// Those that have not ended. A damaged row is among them, whatever it says: it
/// may be in force still as it was known.
macro_rules! not_ended {
    () => {
        concat!(" AND (ended = 0 OR seal IS NOT ", session_seal!(), ")")
    };
}

impl Writer<'_> {
    /// Adds a session, and its project where that is not there yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::SessionExists`].
    pub fn add_session(&mut self, stored: &StoredSession) -> Result<()> {
        let session = &stored.session;
        self.transaction
            .prepare_cached(
                "INSERT INTO sessions \
                 (digest, id, project, user, expires_at, created_at, ended, rev, seal) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
                 row_seal('session', ?1, ?2, ?3, ?4, ?5, ?6, ?7))",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    stored.token.as_bytes(),
                    stored.id.as_str(),
                    session.project.as_str(),
                    session.user.as_str(),
                    session.expires_at.map(number_column),
                    number_column(stored.created_at),
                    stored.ended,
                    self.rev,
                ])
            })
            .map_err(|cause| match is_conflict(&cause) {
                true => StoreError::SessionExists(stored.id.clone()),
                false => self.sql(cause),
            })?;
        self.need_project(session.project)?;
        let details = json!({
            "project": session.project.as_str(),
            "user": session.user.as_str(),
            "expires_at": session.expires_at,
        });
        self.note("session.create", stored.id.as_str(), &details)
    }

    /// Ends the session of an id. One that was ended before stays as it is, and
    /// nothing is noted.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSession`].
    pub fn end_session(&mut self, id: &SessionId) -> Result<()> {
        let update = concat!(
            end_sessions!(),
            " WHERE id = ?2",
            not_ended!(),
            " RETURNING id"
        );
        let known = "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)";
        self.end(update, known, &id.as_str())
    }

    /// Ends the session of a token, as [`end_session`](Self::end_session) does.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSession`].
    pub fn end_session_of(&mut self, token: &TokenDigest) -> Result<()> {
        let update = concat!(
            end_sessions!(),
            " WHERE digest = ?2",
            not_ended!(),
            " RETURNING id"
        );
        let known = "SELECT EXISTS (SELECT 1 FROM sessions WHERE digest = ?1)";
        self.end(update, known, token.as_bytes())
    }

    /// Ends all sessions of a user; how many were not ended before.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn end_sessions_of(&mut self, project: &Name, user: &Name) -> Result<u64> {
        let update = concat!(
            end_sessions!(),
            " WHERE user = ?2 AND +project = ?3",
            not_ended!()
        );
        let ended = self
            .transaction
            .execute(update, params![self.rev, user.as_str(), project.as_str()])
            .map_err(|cause| self.sql(cause))?;
        if ended > 0 {
            let details = json!({ "project": project.as_str(), "ended": ended });
            self.note("sessions.end", user.as_str(), &details)?;
        }
        Ok(ended as u64)
    }

    fn end(&mut self, update: &str, known: &str, which: &dyn rusqlite::ToSql) -> Result<()> {
        let id: Option<String> = self
            .transaction
            .query_row(update, params![self.rev, which], |row| row.get(0))
            .optional()
            .map_err(|cause| self.sql(cause))?;
        if let Some(id) = id {
            return self.note("session.end", &id, &json!({}));
        }
        let is_known = self
            .transaction
            .query_row(known, [which], |row| row.get(0))
            .map_err(|cause| self.sql(cause))?;
        match is_known {
            true => Ok(()),
            false => Err(StoreError::NoSession),
        }
    }

    /// [`forget_sessions`](Self::forget_sessions), unless this connection did so
    /// within the hour: others wait while it looks at every session.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn tidy_sessions(&mut self, expired_before: u64) -> Result<usize> {
        let tidied = &self.opened.sessions_tidied;
        // Either way: a clock may have stepped back.
        let is_due = tidied
            .get()
            .is_none_or(|at| at.abs_diff(self.now) >= TIDY_EVERY_S);
        if !is_due {
            return Ok(0);
        }
        tidied.set(Some(self.now));
        self.forget_sessions(expired_before)
    }

    /// Forgets the sessions that expired before a unix second; how many. Linear in
    /// the sessions there are. Who follows is not told: an expired session is
    /// refused with or without it.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn forget_sessions(&mut self, expired_before: u64) -> Result<usize> {
        let forgotten = self
            .transaction
            .execute(
                "DELETE FROM sessions WHERE expires_at < ?1",
                [number_column(expired_before)],
            )
            .map_err(|cause| self.sql(cause))?;
        if forgotten > 0 {
            let details = json!({ "forgotten": forgotten, "expired_before": expired_before });
            self.note("sessions.forget", "", &details)?;
        }
        Ok(forgotten)
    }
}
