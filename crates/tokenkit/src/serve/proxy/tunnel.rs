//! What follows a change of protocol, such as to WebSocket: bytes, both ways.

use std::io;
use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::slots::Slot;
use crate::serve::watch::InFlight;

/// Joins two connections as soon as both have changed their protocol, until
/// both sides have ended or one breaks. Both connections keep their `places`
/// among those that are open for as long, the client's as one with a request under
/// way: what comes is no head of another.
pub(super) fn open(client: OnUpgrade, upstream: OnUpgrade, places: (InFlight, Arc<Slot>)) {
    tokio::spawn(async move {
        let ended = join(client, upstream).await;
        tracing::debug!(?ended, "a tunnel ended");
        drop(places);
    });
}

/// The bytes that went up and down.
async fn join(client: OnUpgrade, upstream: OnUpgrade) -> io::Result<(u64, u64)> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await
}
