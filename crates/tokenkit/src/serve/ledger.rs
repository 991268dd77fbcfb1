//! The ledger's file, watched while the server runs.
//!
//! A file that somebody cuts short, or that the disk no longer gives, ends
//! nothing: limited keys whose counts are gone are refused. One that is deleted
//! or replaced goes on being counted in, apart from what is started later. Both
//! are logged as errors, again each minute, and show in the metric
//! `tokenkit_ledger_fault`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{BuildError, Engine, LedgerError};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::OperatorError;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a fault that stays is logged again.
const REPEAT: Duration = Duration::from_secs(60);

/// What an operator is told where no engine can be built.
pub(super) fn cannot_build(error: &BuildError) -> OperatorError {
    let said = OperatorError::with_causes(error);
    match error {
        BuildError::Ledger(LedgerError::Io { .. }) => OperatorError::new(format_args!(
            "{said}; name another file with store.ledger, or none to count in memory"
        )),
        _ => said,
    }
}

/// Logs the faults of an engine's ledger, as long as the runtime runs.
pub(super) async fn watch(engine: Arc<Engine>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<Instant> = None;
    loop {
        ticks.tick().await;
        match engine.ledger_fault() {
            None if told.take().is_some() => tracing::info!("the ledger is whole again"),
            Some(fault) if told.is_none_or(|at| at.elapsed() >= REPEAT) => {
                tracing::error!(%fault, "the ledger is at fault");
                told = Some(Instant::now());
            }
            _ => {}
        }
    }
}
