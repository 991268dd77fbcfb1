//! The proxy without its gate, which lets everything through: what the gate
//! adds to it is measured so, see `benches/e2e`.
//!
//! It is there with `--cfg bare` alone, which no feature of any crate sets, and
//! serves nobody but this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;

use super::answer::Problem;
use super::body::AnswerBody;
use super::door::{Door, has_bad_host, names_a_user};
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
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        watch: &Arc<Watch>,
    ) -> Response<AnswerBody> {
        let in_flight = watch.begin(request.version() == Version::HTTP_2);
        let method = request.method().clone();
        let answer = if method == Method::CONNECT {
            Problem::NO_CONNECT.answer(&method)
        } else if has_bad_host(&request) {
            Problem::BAD_HOST.answer(&method)
        } else if names_a_user(request.uri()) {
            Problem::BAD_TARGET.answer(&method)
        } else if let Some(proxy) = &self.proxy {
            let trusted = self.live.load().trusts(peer.ip());
            let outgoing = proxy.prepare(request, peer.ip(), trusted, |_| {});
            self.forward(outgoing, &method, watch).await
        } else {
            Problem::NO_SUCH_ENDPOINT.answer(&method)
        };
        answer.map(|body| body.holding(in_flight))
    }
}
