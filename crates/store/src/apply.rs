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

/// Why what the store holds is not taken over.
pub(crate) enum Halt {
    /// It is to end: what is left of a long look is not waited for.
    Stopped,
    /// It is not known what was and what was not.
    Error(FollowError),
    /// All was but new keys for which there is no room, and damaged rows.
    AllBut(FollowError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Error(FollowError::Store(error))
    }
}

/// How a batch of keys is put in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Published at once: all of them or none.
    AtOnce,
    /// One by one: those that fit.
    Singly,
}

impl Follower {
    /// Brings everything in the store into an engine; later calls bring what
    /// changed since the last. Linear in what is brought.
    ///
    /// The engine must be built with the secret that the follower was opened
    /// with, which is not looked at: under another it knows no key, and counts
    /// each of its clients' as a guess.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or holds more keys than the engine takes. The
    /// engine may then hold a part; the next call starts from the same point
    /// again.
    pub fn load(&mut self, engine: &Engine) -> Result<(), FollowError> {
        self.poll(|changes| apply(engine, changes, Way::AtOnce).map_err(FollowError::Engine))
            .map(|_| ())
    }

    /// Takes over what changed since the last time that all could be, and
    /// returns whether there was any. Neither a key too many nor a damaged row
    /// holds back what is behind it, such as a revocation or the end of a
    /// session.
    ///
    /// # Errors
    ///
    /// [`Halt::Stopped`] as soon as `is_over` says so; the store cannot be read;
    /// else the first key that does not fit or row that is damaged, and then it
    /// is all looked at again.
    pub(crate) fn take_over(
        &mut self,
        engine: &Engine,
        way: Way,
        mut is_over: impl FnMut() -> bool,
    ) -> Result<bool, Halt> {
        let (mut damage, mut no_room, mut failed) = (None, None, None);
        let seen = self.look(|found| {
            if is_over() {
                return Err(Halt::Stopped);
            }
            match found.map(|changes| apply(engine, changes, way)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) if way == Way::Singly && wants_room(&error) => {
                    no_room.get_or_insert(error);
                }
                Ok(Err(error)) => _ = failed.get_or_insert(error),
                Err(error) => _ = damage.get_or_insert(error),
            }
            Ok(())
        })?;
        let Some(seen) = seen else {
            return Ok(false);
        };
        let failed = failed.map(|error| Halt::Error(FollowError::Engine(error)));
        let no_room = no_room.map(|error| Halt::AllBut(FollowError::Engine(error)));
        let damage = damage.map(|error| Halt::AllBut(FollowError::Store(error)));
        match failed.or(no_room).or(damage) {
            None => Ok(self.saw(seen)),
            Some(halt) => {
                self.saw_but(seen);
                Err(halt)
            }
        }
    }
}

/// Whether an error can only be that of a new key, and not of one that is known.
fn wants_room(error: &KeyChangeError) -> bool {
    matches!(
        error,
        KeyChangeError::Full { .. } | KeyChangeError::Ledger(_)
    )
}

/// Takes a batch over; says the first key that does not fit.
fn apply(engine: &Engine, changes: Changes, way: Way) -> Result<(), KeyChangeError> {
    let outcome = match way {
        Way::AtOnce if changes.keys.is_empty() => Ok(()),
        Way::AtOnce => engine.put_keys(changes.keys),
        Way::Singly => {
            let mut outcome = Ok(());
            for record in changes.keys {
                outcome = outcome.and(engine.put_keys(vec![record]));
            }
            outcome
        }
    };
    apply_sessions(engine, changes.sessions);
    apply_exempt(engine, changes.exempt);
    outcome
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
