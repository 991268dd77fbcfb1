//! What whoever started the server wants to know, and may hand over: systemd's
//! protocols for both, each of a few bytes (sd_notify(3), sd_listen_fds(3)).
//!
//! Where nobody asks, by the variables of the environment that these are about,
//! nothing is told or taken.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};

use super::accept;
use crate::error::OperatorError;

/// A state that is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Requests are served, for the first time or with settings read again.
    Ready,
    /// The settings are being read again.
    Reloading,
    /// What is under way is being finished.
    Stopping,
}

/// Tells the supervisor, if there is one. It is none of a request's business
/// whether that went well.
pub(super) fn notify(state: State) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let message = match state {
        State::Ready => "READY=1\nSTATUS=serving".to_owned(),
        State::Reloading => {
            let now = clock_gettime(ClockId::Monotonic);
            let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
            format!("RELOADING=1\nMONOTONIC_USEC={us}\nSTATUS=reading the settings again")
        }
        State::Stopping => "STOPPING=1\nSTATUS=finishing what is under way".to_owned(),
    };
    if let Err(error) = send(&socket, message.as_bytes()) {
        tracing::warn!(%error, "the supervisor that NOTIFY_SOCKET names cannot be told");
    }
}

fn send(socket: &std::ffi::OsStr, message: &[u8]) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let address = SocketAddr::from_abstract_name(name)?;
        return own.send_to_addr(message, &address).map(|_| ());
    }
    own.send_to(message, socket).map(|_| ())
}

/// Sockets that the supervisor has bound and hands over.
#[derive(Default)]
pub(super) struct Given {
    /// For requests.
    pub(super) data: Option<TcpListener>,
    /// For the admin address.
    pub(super) admin: Option<TcpListener>,
}

/// Takes the sockets that were handed over, if there are any: by their names
/// `data` and `admin`, or without names in that order.
///
/// # Errors
///
/// One that has another name, or is no listening TCP socket.
pub(super) fn sockets() -> Result<Given, OperatorError> {
    let mut handed = ListenFd::from_env();
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = Given::default();
    for number in 0..handed.len() {
        let name = match names.next() {
            // What a socket unit without a name of its own is called by.
            None | Some("" | "unknown") => ["data", "admin"].get(number).copied().unwrap_or(""),
            Some(name) => name,
        };
        let place = match name {
            "data" => &mut given.data,
            "admin" => &mut given.admin,
            other => {
                return Err(OperatorError::new(format_args!(
                    "a socket named {other:?} was handed over: call it data or admin \
                     (FileDescriptorName= of its unit)"
                )));
            }
        };
        let taken = handed.take_tcp_listener(number).and_then(|listener| {
            let listener = listener.ok_or(io::ErrorKind::NotFound)?;
            accept::prepare(&listener)?;
            Ok(listener)
        });
        let listener = taken.map_err(|error| {
            OperatorError::new(format_args!(
                "the socket {name} that was handed over is of no use ({error}): ListenStream= \
                 of its unit wants an IP address and a port"
            ))
        })?;
        if place.replace(listener).is_some() {
            return Err(OperatorError::new(format_args!(
                "two sockets named {name} were handed over: one is wanted"
            )));
        }
    }
    Ok(given)
}
