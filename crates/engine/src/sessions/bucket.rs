//! A few sessions whose hashes fall together, never changed once published.

use smallvec::SmallVec;

use super::Session;
use crate::key::TokenDigest;

/// Two stay inline: a look-up that finds its session in one of the usual
/// buckets follows one pointer.
#[derive(Clone, Default)]
pub(super) struct Bucket(SmallVec<[Session; 2]>);

impl Bucket {
    pub(super) fn find(&self, digest: &TokenDigest) -> Option<&Session> {
        self.0.iter().find(|session| session.digest == *digest)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bucket with a session more, or in place of that of the same token.
    pub(super) fn with(&self, session: Session) -> Self {
        let mut sessions = self.without(|s| s.digest == session.digest).0;
        sessions.push(session);
        Self(sessions)
    }

    /// The bucket less some sessions.
    pub(super) fn without(&self, gone: impl Fn(&Session) -> bool) -> Self {
        Self(self.0.iter().filter(|s| !gone(s)).copied().collect())
    }
}
