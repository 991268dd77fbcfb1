//! The signals that end the server or have it read its settings again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::OperatorError;

/// The signals, caught.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches the signals from now on. Wants a runtime around it.
    ///
    /// # Errors
    ///
    /// The system does not let them be caught.
    pub(super) fn catch() -> Result<Self, OperatorError> {
        let catch =
            |kind| signal(kind).map_err(|error| OperatorError::wrap("cannot catch signals", error));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal: true for SIGHUP, false for SIGTERM or SIGINT.
    pub(super) async fn reload_or_end(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            _ = self.hangup.recv() => true,
        }
    }

    /// Waits for SIGTERM or SIGINT; other signals are passed over.
    pub(super) async fn ended(&mut self) {
        while self.reload_or_end().await {}
    }
}
