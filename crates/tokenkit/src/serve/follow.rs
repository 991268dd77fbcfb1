//! The engine kept in step with the store, and the log told how that goes.
//!
//! It shows in the metrics `tokenkit_store_errors_total` and
//! `tokenkit_store_lag_seconds` as well; an alert on the latter says that
//! revocations no longer arrive.

use std::sync::Arc;

use engine::Engine;
use store::{FollowError, FollowEvent, Follower, Following};

use super::metrics::Totals;
use crate::error::OperatorError;

/// Brings everything in the store into the engine.
///
/// # Errors
///
/// The store cannot be read, or holds more keys than the engine takes.
pub(super) fn load(follower: &mut Follower, engine: &Engine) -> Result<(), OperatorError> {
    follower.load(engine).map_err(|error| match error {
        FollowError::Engine(error) => {
            OperatorError::wrap("the store holds keys that do not fit", error)
        }
        error => OperatorError::new(error),
    })
}

/// Goes on from where [`load`] came to.
///
/// # Errors
///
/// The system gives no thread.
pub(super) fn start(
    follower: Follower,
    engine: Arc<Engine>,
    totals: Arc<Totals>,
) -> Result<Following, OperatorError> {
    let on_event = move |event: FollowEvent<'_>| {
        if let FollowEvent::Changed { took } = event {
            totals.published(took);
        }
        log(event);
    };
    Following::start(follower, engine, on_event).map_err(|error| {
        OperatorError::wrap("cannot start the thread that follows the store", error)
    })
}

fn log(event: FollowEvent<'_>) {
    match event {
        FollowEvent::Changed { took } => {
            tracing::debug!(?took, "took over changes from the store");
        }
        FollowEvent::Trouble(error) => tracing::error!(
            %error,
            "cannot take over changes from the store; what is known stays in force, and it is tried again"
        ),
        FollowEvent::Recovered => tracing::info!("the store can be read again"),
        FollowEvent::LedgerFault(fault) => tracing::error!(%fault, "the ledger is at fault"),
        FollowEvent::LedgerWhole => tracing::info!("the ledger is whole again"),
        FollowEvent::Failed => tracing::error!(
            "the thread that follows the store has failed: no change arrives any more, no \
             revocation either; restart the server"
        ),
        _ => {}
    }
}
