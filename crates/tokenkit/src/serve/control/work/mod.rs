//! What can be done at the admin address, by the API and the pages alike: each
//! is checked here once, written down with who did it, and in force when it is
//! done.

mod blocks;
mod keys;
mod overview;
mod projects;
mod sessions;
mod tokens;

use std::time::Duration;

use engine::{KeyId, Prefix, SecretKey, ServerSecret, SessionToken};
use store::{Actor, CatchUpError, Store, Writer};

pub(crate) use self::blocks::{BlockedAddress, ExemptBlock};
pub(crate) use self::keys::{KeyChange, MAX_OVERLAP_S, NewKey, Rotation};
pub(crate) use self::projects::NewProject;
pub(crate) use self::sessions::NewSession;
pub(crate) use self::tokens::NewToken;
use super::{Control, Problem};

/// How long an answer waits for a change to be in force; usually a millisecond
/// or two.
const IN_FORCE: Duration = Duration::from_secs(5);

/// Where the secrets come from that a request hands out.
#[derive(Clone)]
pub(crate) enum Maker {
    /// The system's random source.
    Random,
    /// A seed that is kept, so that the same can be handed out again.
    Seed(Box<[u8]>),
}

impl Maker {
    pub(crate) fn key(&self, prefix: &Prefix, secret: &ServerSecret) -> Result<SecretKey, Problem> {
        match self {
            Self::Random => SecretKey::generate(prefix).map_err(Problem::internal),
            Self::Seed(seed) => Ok(SecretKey::derived(prefix, secret, seed)),
        }
    }

    pub(crate) fn token(&self, secret: &ServerSecret) -> Result<SessionToken, Problem> {
        match self {
            Self::Random => SessionToken::generate().map_err(Problem::internal),
            Self::Seed(seed) => Ok(SessionToken::derived(secret, seed)),
        }
    }
}

/// Something that was made.
pub(crate) struct Fresh<T> {
    pub(crate) made: T,
    /// Whether it is in force, which it will be in any case.
    pub(crate) in_force: bool,
}

/// What a change goes by: the revision that somebody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// None: whatever is there now is changed.
    None,
    /// One of these; none of them, and nothing matches.
    OneOf(Vec<i64>),
}

impl Precondition {
    /// Lets through what was not changed since it was seen.
    ///
    /// # Errors
    ///
    /// 412.
    pub(crate) fn check(&self, revision: i64) -> Result<(), Problem> {
        match self {
            Self::None => Ok(()),
            Self::OneOf(seen) if seen.contains(&revision) => Ok(()),
            Self::OneOf(_) => Err(Problem::changed()),
        }
    }
}

impl Control {
    /// Looks into the store.
    ///
    /// # Errors
    ///
    /// That of `look`; or the store cannot be opened.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.keeper().read(look).await
    }

    /// Changes the store, all of it or nothing, and waits until that is in
    /// force.
    ///
    /// # Errors
    ///
    /// That of `change`, after which nothing was changed; or the store cannot
    /// be written; or 503 `not_in_force`: the change was made and will be in
    /// force once the server can read its store again.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        actor: Actor,
        change: impl FnOnce(&mut Writer<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (control, now) = (self.clone(), self.now());
        let done = self.keeper().write(actor, now, change, move |done| {
            control.bring_into_force(None)?;
            Ok(done)
        });
        done.await
    }

    /// As [`change`](Self::change), but for what makes something whose secret is
    /// shown this once: it is handed out whether or not it is in force. `make`
    /// tells the key's id, if it is a key.
    ///
    /// # Errors
    ///
    /// That of `make`, after which nothing was made; or the store cannot be
    /// written.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        actor: Actor,
        make: impl FnOnce(&mut Writer<'_>) -> Result<(Option<KeyId>, T), Problem> + Send + 'static,
    ) -> Result<Fresh<T>, Problem> {
        let (control, now) = (self.clone(), self.now());
        let done = self.keeper().write(actor, now, make, move |(key, made)| {
            let in_force = control.bring_into_force(key).is_ok();
            Ok(Fresh { made, in_force })
        });
        done.await
    }

    /// Waits until all that was committed before is in force here, admin tokens
    /// and this new key included.
    fn bring_into_force(&self, key: Option<KeyId>) -> Result<(), Problem> {
        let caught_up = match self.following().catch_up(IN_FORCE) {
            // Damaged rows, and keys for which there is no room: a change is
            // about none of the former, and at most about one of the latter.
            Err(CatchUpError::AllBut(_))
                if key.is_none_or(|id| self.engine().key_policy(id).is_some()) =>
            {
                Ok(())
            }
            caught_up => caught_up,
        };
        let not_yet = |cause: &dyn std::fmt::Display| {
            tracing::error!(%cause, "a change made at the admin address is not in force yet");
            Problem::unavailable(
                "not_in_force",
                "The change is stored, but the server could not take it over yet: it will be in \
                 force once the server can read its store again, which the log and \
                 tokenkit_store_lag_seconds at /metrics tell. Look before you make it again.",
            )
        };
        caught_up.map_err(|error| not_yet(&error))?;
        self.renew_door().map_err(|error| not_yet(&error))
    }

    /// Has the door take over the admin tokens, where any has changed.
    ///
    /// # Errors
    ///
    /// The store cannot be read; those known before stay in force.
    pub(crate) fn renew_door(&self) -> Result<(), crate::error::OperatorError> {
        self.keeper().read_here(|store| self.door().renew(store))
    }

    /// The server secret.
    fn secret(&self) -> &ServerSecret {
        self.engine().secret()
    }
}
