//! The engine kept in step with the store, by a thread of its own.
//!
//! A change that another process commits is in force a few dozen milliseconds
//! later. While the store cannot be read, or its file was deleted or replaced,
//! what is known stays in force: a mishap with one file must not turn every
//! client away. It is logged as an error, again each minute, and shows in the
//! metrics `tokenkit_store_errors_total` and `tokenkit_store_lag_seconds`; an
//! alert on the latter says that revocations no longer arrive. A file put in the
//! place of the old one is taken by a restart, since keys that it does not have
//! would have to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::{Engine, KeyChangeError, TokenDigest};
use store::{Changes, Follower, SessionChange, StoreError};

use crate::error::OperatorError;

/// How often the store is looked at.
const POLL: Duration = Duration::from_millis(20);
/// The same, while that fails.
const RETRY: Duration = Duration::from_millis(50);
/// How often what has run out is thrown away.
const TIDY: Duration = Duration::from_secs(1);
/// How often an error that stays the same is logged again.
const REPEAT: Duration = Duration::from_secs(60);

/// How the following goes, for metrics.
#[derive(Debug)]
pub(super) struct Health {
    begun: Instant,
    /// Milliseconds from `begun` to the last look that succeeded.
    last_ms: AtomicU64,
    errors: AtomicU64,
    /// Whether nobody follows any more.
    ended: AtomicBool,
}

impl Health {
    /// Whether changes still arrive, if only late.
    pub(super) fn follows(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Time since the store was last looked at with success.
    pub(super) fn lag(&self) -> Duration {
        // Relaxed here and below: numbers for people, which guard nothing.
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }

    /// Looks that failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn looked(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }
}

/// A change that could not be taken over.
#[derive(Debug)]
enum FollowError {
    Store(StoreError),
    Engine(KeyChangeError),
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for FollowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

/// Brings everything in the store into the engine.
///
/// # Errors
///
/// The store cannot be read, or holds more keys than the engine takes.
pub(super) fn load(follower: &mut Follower, engine: &Engine) -> Result<(), OperatorError> {
    follower
        .poll(|changes| apply(engine, changes))
        .map(|_| ())
        .map_err(|error| match error {
            FollowError::Store(error) => OperatorError::new(error),
            FollowError::Engine(error) => {
                OperatorError::wrap("the store holds keys that do not fit", error)
            }
        })
}

fn apply(engine: &Engine, changes: Changes) -> Result<(), FollowError> {
    if !changes.keys.is_empty() {
        engine.put_keys(changes.keys).map_err(FollowError::Engine)?;
    }
    apply_sessions(engine, changes.sessions);
    Ok(())
}

/// Takes over what can be, so that a key too many never keeps a revocation
/// behind it from being in force; says the first that could not.
fn apply_singly(engine: &Engine, changes: Changes) -> Result<(), FollowError> {
    let mut outcome = Ok(());
    for record in changes.keys {
        outcome = outcome.and(engine.put_keys(vec![record]));
    }
    apply_sessions(engine, changes.sessions);
    outcome.map_err(FollowError::Engine)
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

/// The thread, at work.
pub(super) struct Following {
    thread: JoinHandle<()>,
    /// Dropped, it ends the thread.
    stop: SyncSender<()>,
    pub(super) health: Arc<Health>,
}

impl Following {
    /// Goes on from where [`load`] came to.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(super) fn start(follower: Follower, engine: Arc<Engine>) -> Result<Self, OperatorError> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let health = Arc::new(Health {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let told = Arc::clone(&health);
        let thread = thread::Builder::new()
            .name("follow".into())
            .spawn(move || {
                let _told = Ended(&told);
                follow(follower, &engine, &stopped, &told);
            })
            .map_err(|error| {
                OperatorError::wrap("cannot start the thread that follows the store", error)
            })?;
        Ok(Self {
            thread,
            stop,
            health,
        })
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.stop);
        // Of a panic was told when it came.
        let _ = self.thread.join();
    }
}

/// Tells of the thread's end, however it comes.
struct Ended<'a>(&'a Health);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        if thread::panicking() {
            tracing::error!(
                "the thread that follows the store has failed: no change arrives any more, no \
                 revocation either; restart the server"
            );
        }
    }
}

fn follow(mut follower: Follower, engine: &Engine, stop: &Receiver<()>, health: &Health) {
    let mut tidied = Instant::now();
    let mut trouble: Option<(String, Instant)> = None;
    loop {
        let pause = if trouble.is_some() { RETRY } else { POLL };
        if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        // Most changes fit and are one batch, published at once.
        let singly = trouble.is_some();
        let polled = follower.poll(|changes| match singly {
            true => apply_singly(engine, changes),
            false => apply(engine, changes),
        });
        match polled {
            Ok(changed) => {
                health.looked();
                if trouble.take().is_some() {
                    tracing::info!("the store can be read again");
                }
                if changed {
                    tracing::debug!("took over changes from the store");
                }
            }
            Err(error) => {
                health.errors.fetch_add(1, Ordering::Relaxed);
                complain(&error, &mut trouble);
            }
        }
        if tidied.elapsed() >= TIDY {
            tidied = Instant::now();
            engine.purge_sessions(engine.clock().now());
            engine.reclaim();
        }
    }
}

/// Logs an error when it is new, and now and then while it lasts.
fn complain(error: &FollowError, trouble: &mut Option<(String, Instant)>) {
    let text = error.to_string();
    let known = trouble
        .as_ref()
        .is_some_and(|(last, at)| *last == text && at.elapsed() < REPEAT);
    if !known {
        tracing::error!(
            error = %text,
            "cannot take over changes from the store; what is known stays in force, and it is tried again"
        );
        *trouble = Some((text, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_a_panic_is_told_as_well() {
        let health = Health {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        };
        assert!(health.follows());
        let panicked = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _told = Ended(&health);
                    panic!("as a test");
                })
                .join()
                .is_err()
        });
        assert!(panicked);
        assert!(!health.follows());
    }
}
