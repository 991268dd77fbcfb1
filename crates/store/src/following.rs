//! An engine kept in step with a store, by a thread of its own.
//!
//! A change that another process commits is in force a few dozen milliseconds
//! later. While the store cannot be read, or its file was deleted, replaced or
//! taken back to an older state, what is known stays in force: a mishap with one
//! file must not turn every client away. It is told as an event, again each
//! minute, and shows in [`Health`]; an alert on its [`lag`](Health::lag) says
//! that revocations no longer arrive. A file put in the place of the old one, or
//! an older state of it, is taken by a new start, since keys that it does not
//! have would have to go.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::{Engine, LedgerFault};

use crate::apply::{FollowError, Halt, Way};
use crate::catch_up::{Ask, Asks, CatchUpError, ask};
use crate::follow::Follower;
use crate::health::Health;
use crate::tidy::Tidy;

/// How often the store is looked at.
const POLL: Duration = Duration::from_millis(20);
/// The same, while that fails.
const RETRY: Duration = Duration::from_millis(50);
/// How often an error that stays the same is told again.
const REPEAT: Duration = Duration::from_secs(60);

/// What a [`Following`] tells, on its own thread, as it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowEvent<'a> {
    /// Changes came and are in force.
    Changed {
        /// How long that took, from the look that found them on.
        took: Duration,
    },
    /// Admin tokens were made or revoked since the last look, or since
    /// [`Follower::load`] where this is the first: read them after that, and
    /// again now.
    Tokens,
    /// Changes cannot be taken over; what is known stays in force, and it is
    /// tried again. Told when it is new, and each minute while it lasts.
    Trouble(&'a FollowError),
    /// The trouble is over.
    Recovered,
    /// The ledger's file is at fault; told as [`Trouble`](Self::Trouble) is.
    LedgerFault(LedgerFault),
    /// The ledger's file is whole again.
    LedgerWhole,
    /// The thread has failed: no change arrives any more, no revocation either.
    /// The last event.
    Failed,
}

/// A thread that takes every change of a store into an engine, at work. It ends
/// when this is dropped, which waits for it: some milliseconds.
///
/// Once a second it throws away what ran out in the engine a minute ago or more
/// ([`Engine::purge_sessions`], [`Engine::reclaim`]), and looks after its
/// ledger ([`Engine::ledger_fault`]). Where the clock steps back behind what was
/// thrown away, the sessions are read from the store once more.
///
/// Neither it nor the [`Follower`] lives through a `fork`: open and start both
/// in the process that decides. The thread has the signal mask of whoever
/// starts it: where signals are for other threads, block them meanwhile.
#[derive(Debug)]
pub struct Following {
    /// Both are there until the end.
    thread: Option<JoinHandle<()>>,
    /// Dropped, it ends the thread.
    asks: Option<Sender<Ask>>,
    health: Arc<Health>,
}

impl Following {
    /// Goes on from where [`Follower::load`] came to. `on_event` is called on
    /// the new thread, between two looks at the store: it should not wait. In
    /// it, do not drop this.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(
        follower: Follower,
        engine: Arc<Engine>,
        mut on_event: impl FnMut(FollowEvent<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        let (asks, asked) = mpsc::channel();
        let health = Arc::new(Health::new());
        let told = Arc::clone(&health);
        let thread = thread::Builder::new()
            .name("follow".into())
            .spawn(move || {
                // After a panic nothing of what it broke off in is used again, but
                // the engine, whose readers see whole states only, and the events'
                // receiver, which is told of the end.
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    follow(follower, &engine, Asks::new(asked), &told, &mut on_event);
                }));
                told.ended();
                if ran.is_err() {
                    on_event(FollowEvent::Failed);
                }
            })?;
        Ok(Self {
            thread: Some(thread),
            asks: Some(asks),
            health,
        })
    }

    /// Waits until all that was committed before this call is in force, and the
    /// events of it were handled. The store is looked at at once; where it is
    /// well that takes a millisecond or two, beside what the changes themselves
    /// take. Any thread may call it at any time, but not from within an event.
    ///
    /// # Errors
    ///
    /// What was committed is in the store in any case, but not known to be in
    /// force: the time ran out, the look failed, or nobody follows any more.
    pub fn catch_up(&self, deadline: Duration) -> Result<(), CatchUpError> {
        let asks = self.asks.as_ref().ok_or(CatchUpError::Ended)?;
        ask(asks, deadline)
    }

    /// How it goes; to be asked also after the end.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Ends the thread and waits for that, as dropping this does.
    pub fn stop(self) {}
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.asks.take());
        if let Some(thread) = self.thread.take() {
            // Of a panic was told when it came.
            let _ = thread.join();
        }
    }
}

fn follow(
    mut follower: Follower,
    engine: &Engine,
    mut asks: Asks,
    health: &Health,
    on_event: &mut impl FnMut(FollowEvent<'_>),
) {
    let mut tidy = Tidy::new();
    let mut trouble: Option<Trouble> = None;
    let mut fault: Option<Fault> = None;
    loop {
        let pause = if trouble.is_some() { RETRY } else { POLL };
        if !asks.wait(pause) {
            return;
        }
        let tokens = follower.tokens_revision();
        let begun = Instant::now();
        let outcome = match look(&mut follower, engine, trouble.is_some(), &mut asks) {
            Ok(changed) => {
                health.looked(trouble.is_some());
                if trouble.take().is_some() {
                    on_event(FollowEvent::Recovered);
                }
                if changed {
                    on_event(FollowEvent::Changed {
                        took: begun.elapsed(),
                    });
                }
                Ok(())
            }
            Err(Halt::Stopped) => return,
            Err(Halt::Error(error)) => Err((error, CatchUpError::Trouble as fn(_) -> _)),
            Err(Halt::AllBut(error)) => {
                health.arrived();
                Err((error, CatchUpError::AllBut as fn(_) -> _))
            }
        };
        let outcome = outcome.map_err(|(error, why)| {
            let text = error.to_string();
            health.failed(&text);
            if !trouble.as_ref().is_some_and(|known| known.covers(&text)) {
                on_event(FollowEvent::Trouble(&error));
                trouble = Some(Trouble {
                    text: text.clone(),
                    told: Instant::now(),
                });
            }
            why(text)
        });
        if tokens != follower.tokens_revision() {
            on_event(FollowEvent::Tokens);
        }
        asks.answer(&outcome);
        if tidy.is_due() {
            if tidy.up(engine) {
                follower.wants_every_session();
            }
            match engine.ledger_fault() {
                None if fault.take().is_some() => on_event(FollowEvent::LedgerWhole),
                Some(found) if !fault.as_ref().is_some_and(|known| known.covers(found)) => {
                    on_event(FollowEvent::LedgerFault(found));
                    fault = Some(Fault {
                        fault: found,
                        told: Instant::now(),
                    });
                }
                _ => {}
            }
        }
    }
}

/// Takes over what changed. Most changes fit and are one batch; where one does
/// not, they are taken key by key at once, so that who waits for another finds
/// it in force.
fn look(
    follower: &mut Follower,
    engine: &Engine,
    in_trouble: bool,
    asks: &mut Asks,
) -> Result<bool, Halt> {
    let mut take_over = |way| follower.take_over(engine, way, || asks.is_over());
    if !in_trouble {
        match take_over(Way::AtOnce) {
            Err(Halt::Error(FollowError::Engine(_))) => {}
            done => return done,
        }
    }
    take_over(Way::Singly)
}

/// An error that was told.
struct Trouble {
    text: String,
    told: Instant,
}

impl Trouble {
    /// Whether an error is this one, told not long ago.
    fn covers(&self, text: &str) -> bool {
        self.text == text && self.told.elapsed() < REPEAT
    }
}

/// A fault of the ledger that was told.
struct Fault {
    fault: LedgerFault,
    told: Instant,
}

impl Fault {
    /// Whether a fault is this one, told not long ago.
    fn covers(&self, fault: LedgerFault) -> bool {
        self.fault == fault && self.told.elapsed() < REPEAT
    }
}
