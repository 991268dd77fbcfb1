//! What the store holds, taken into an engine.

use std::fmt;

use engine::{CidrList, Engine, KeyChangeError, TokenDigest};

use crate::error::StoreError;
use crate::follow::{Changes, Follower, SessionChange};

/// What the store holds that could not be taken over. All that the engine knew
/// stays in force.
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowError {
    /// The store cannot be read.
    Store(StoreError),
    /// The engine does not take a key: there is no room for it.
    Engine(KeyChangeError),
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

/// The text is the cause's own, so that the source is what lies behind that.
impl std::error::Error for FollowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Engine(error) => error.source(),
        }
    }
}

impl Follower {
    /// Brings everything in the store into an engine; later calls bring what
    /// changed since the last. Linear in what is brought.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or holds more keys than the engine takes. The
    /// engine may then hold a part; the next call starts from the same point
    /// again.
    pub fn load(&mut self, engine: &Engine) -> Result<(), FollowError> {
        self.poll(|changes| apply(engine, changes)).map(|_| ())
    }
}

/// Takes a batch over, published at once: all of its keys or none.
pub(crate) fn apply(engine: &Engine, changes: Changes) -> Result<(), FollowError> {
    if !changes.keys.is_empty() {
        engine.put_keys(changes.keys).map_err(FollowError::Engine)?;
    }
    apply_sessions(engine, changes.sessions);
    apply_exempt(engine, changes.exempt);
    Ok(())
}

/// Takes over what can be, so that a key too many never keeps a revocation
/// behind it from being in force; says the first that could not.
pub(crate) fn apply_singly(engine: &Engine, changes: Changes) -> Result<(), FollowError> {
    let mut outcome = Ok(());
    for record in changes.keys {
        outcome = outcome.and(engine.put_keys(vec![record]));
    }
    apply_sessions(engine, changes.sessions);
    apply_exempt(engine, changes.exempt);
    outcome.map_err(FollowError::Engine)
}

fn apply_exempt(engine: &Engine, exempt: Option<CidrList>) {
    if let Some(exempt) = exempt {
        engine.set_exempt(exempt);
    }
}

fn apply_sessions(engine: &Engine, sessions: Vec<(TokenDigest, SessionChange)>) {
    for (token, change) in sessions {
        match change {
            SessionChange::Put(session) => engine.put_session(token, session),
            SessionChange::End => {
                engine.end_session(&token);
            }
        }
    }
}
