//! The proxy without its gate, which lets everything through: what the gate
//! adds to it is measured so, see `benches/e2e`.
//!
//! It is there with `--cfg bare` alone, which no feature of any crate sets, and
//! serves nobody but this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Version};
use hyper::body::Incoming;

use super::answer::Problem;
use super::answering::Answering;
use super::door::{Door, misdirected};
use super::proxy::Peer;
use super::watch::Watch;
use crate::error::OperatorError;

/// Refuses to serve others than this machine.
///
/// # Errors
///
/// The address is not one of loopback.
pub(super) fn check(listen: SocketAddr) -> Result<(), OperatorError> {
    if listen.ip().is_loopback() {
        tracing::warn!("this build checks no keys and lets everything through");
        return Ok(());
    }
    Err(OperatorError::new(format_args!(
        "server.listen: this build checks no keys and listens on loopback only, not on {listen}"
    )))
}

impl Door {
    /// Passes a request on, whoever sent it.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: &Peer,
        watch: &Arc<Watch>,
    ) -> Answering {
        let in_flight = watch.begin(request.version() == Version::HTTP_2);
        let live = self.live.load();
        let method = request.method().clone();
        let proxy = match (misdirected(&request), &self.proxy) {
            (None, Some(proxy)) => proxy,
            (problem, _) => {
                let answer = problem.unwrap_or(Problem::NO_SUCH_ENDPOINT).answer(&method);
                return Answering::now(self.finished(answer, None, in_flight));
            }
        };
        let sent = proxy.send(request, peer, live.trusts(peer.ip()), |_| {});
        let (door, watch) = (Arc::clone(self), Arc::clone(watch));
        let patience = live.upstream_timeout;
        Answering::later(async move {
            let answer = sent.answer(patience, watch).await;
            let answer = answer.unwrap_or_else(|error| door.failed(error, &method));
            door.finished(answer, None, in_flight)
        })
    }
}
