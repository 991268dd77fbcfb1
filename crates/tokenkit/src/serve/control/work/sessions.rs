//! Users' sessions: making and ending them.

use engine::{Name, SessionRecord, SessionToken};
use store::{Actor, SessionId, StoredSession, Writer};

use super::Maker;
use super::keys::refuse_past;
use crate::keystore;
use crate::serve::control::{Control, Problem};

/// A session to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) project: Name,
    pub(crate) user: Name,
    pub(crate) expires_at: Option<u64>,
}

impl Control {
    /// Makes a session, within a change.
    ///
    /// # Errors
    ///
    /// 422 for an expiry that is over.
    pub(crate) fn create_session_in(
        &self,
        writer: &mut Writer<'_>,
        maker: &Maker,
        new: NewSession,
    ) -> Result<(SessionToken, StoredSession), Problem> {
        let now = self.now();
        refuse_past(new.expires_at, now)?;
        let token = maker.token(self.secret())?;
        let session = SessionRecord {
            project: new.project,
            user: new.user,
            expires_at: new.expires_at,
        };
        let stored = StoredSession::of(&token, self.secret(), session, now);
        keystore::add_session(writer, &stored)?;
        Ok((token, stored))
    }

    /// Ends a session. One that was ended stays so.
    ///
    /// # Errors
    ///
    /// 404; those of [`change`](Self::change).
    pub(crate) async fn end_session(&self, actor: Actor, id: SessionId) -> Result<(), Problem> {
        self.change(actor, move |writer| Ok(writer.end_session(&id)?))
            .await
    }

    /// Ends all sessions of a user; how many there were.
    ///
    /// # Errors
    ///
    /// Those of [`change`](Self::change).
    pub(crate) async fn end_sessions_of(
        &self,
        actor: Actor,
        project: Name,
        user: Name,
    ) -> Result<u64, Problem> {
        self.change(actor, move |writer| {
            Ok(writer.end_sessions_of(&project, &user)?)
        })
        .await
    }
}
