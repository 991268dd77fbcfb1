//! Waiting for a following to have come as far as the store.

use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::time::Duration;

/// Why it is not known that all that was committed is in force. It is in the
/// store, and will be in force once the trouble is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatchUpError {
    /// The time ran out.
    TimedOut(Duration),
    /// The look at the store failed.
    Trouble(String),
    /// All is in force but what cannot be taken over: a row that is damaged, or a
    /// key that there is no room for.
    AllBut(String),
    /// Nobody follows any more: the thread has failed or was stopped.
    Ended,
}

impl fmt::Display for CatchUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllBut(_) => "all is in force here but what cannot be taken over: ",
            _ => "the change is in the store, but not known to be in force here: ",
        })?;
        match self {
            Self::TimedOut(waited) => write!(
                f,
                "that took longer than {} ms; look at the log and at tokenkit_store_lag_seconds \
                 before relying upon it",
                waited.as_millis()
            ),
            Self::Trouble(text) | Self::AllBut(text) => f.write_str(text),
            Self::Ended => f.write_str("the server no longer follows its store: restart it"),
        }
    }
}

impl std::error::Error for CatchUpError {}

/// An answer's way to who asked.
pub(crate) type Ask = SyncSender<Result<(), CatchUpError>>;

/// Asks the thread that follows, and waits for its answer.
pub(crate) fn ask(asks: &Sender<Ask>, deadline: Duration) -> Result<(), CatchUpError> {
    // There is room for the answer, so that the thread never waits.
    let (answer, answered) = mpsc::sync_channel(1);
    asks.send(answer).map_err(|_| CatchUpError::Ended)?;
    match answered.recv_timeout(deadline) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(CatchUpError::TimedOut(deadline)),
        Err(RecvTimeoutError::Disconnected) => Err(CatchUpError::Ended),
    }
}

/// The other end: who waits.
pub(crate) struct Asks {
    asked: Receiver<Ask>,
    /// To be answered by the look that comes.
    waiting: Vec<Ask>,
    /// Came during a look, which may have been too early for them.
    later: Vec<Ask>,
}

impl Asks {
    pub(crate) fn new(asked: Receiver<Ask>) -> Self {
        Self {
            asked,
            waiting: Vec::new(),
            later: Vec::new(),
        }
    }

    /// Waits for the next look: until somebody asks, and so long at the most.
    /// Whether there is to be one.
    pub(crate) fn wait(&mut self, pause: Duration) -> bool {
        self.waiting.append(&mut self.later);
        if self.waiting.is_empty() {
            match self.asked.recv_timeout(pause) {
                Ok(ask) => self.waiting.push(ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match self.asked.try_recv() {
                Ok(ask) => self.waiting.push(ask),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Whether it is all to end, asked during a look.
    pub(crate) fn is_over(&mut self) -> bool {
        loop {
            match self.asked.try_recv() {
                Ok(ask) => self.later.push(ask),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Tells who waited for the look what came of it.
    pub(crate) fn answer(&mut self, outcome: &Result<(), CatchUpError>) {
        for ask in self.waiting.drain(..) {
            // Who no longer waits needs no answer.
            let _ = ask.try_send(outcome.clone());
        }
    }
}
