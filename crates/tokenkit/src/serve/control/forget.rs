//! Requests that may be sent twice are forgotten when their day is over, whether
//! or not another comes: of the secrets that they made nothing is left then from
//! which the server secret could make them again.

use std::time::Duration;

use super::Control;

/// How often it is looked for them, first at the start.
const TURN: Duration = Duration::from_secs(60);

/// Forgets them as long as the runtime runs.
pub(crate) async fn forget_requests(control: Control) {
    let mut turns = tokio::time::interval(TURN);
    loop {
        turns.tick().await;
        if let Err(error) = control.keeper().forget_requests(control.now()).await {
            tracing::warn!(%error, "requests of yesterday are not forgotten yet; it is tried again");
        }
    }
}
