//! Probes of silent TCP connections. A peer that vanished without a word, such
//! as a laptop that was shut, is noticed by these alone: a WebSocket or a slow
//! answer has no time limit of ours.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The silence before the first probe.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// The time between two probes.
pub(super) const INTERVAL: Duration = Duration::from_secs(15);
/// The probes without an answer that end a connection.
pub(super) const RETRIES: u32 = 4;

/// Has all connections that come to a listener probed: they inherit it.
pub(super) fn enable(listener: &TcpListener) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(IDLE)
        .with_interval(INTERVAL)
        .with_retries(RETRIES);
    SockRef::from(listener).set_tcp_keepalive(&probes)
}
