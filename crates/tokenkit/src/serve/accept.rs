//! The listening sockets, and the loop that each thread takes connections by.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::{Semaphore, mpsc, watch as signal};
use tokio::time::sleep;

use super::calm::Calm;
use super::connection::{self, Http, Place};
use super::door::Door;
use super::keep_alive;
use super::per_address::PerAddress;
use crate::error::OperatorError;

/// Connections that wait to be taken, as when all clients come back at once; the
/// system may allow fewer (`net.core.somaxconn`).
const WAITING: i32 = 4096;

/// Binds the one socket that all threads take connections from.
///
/// # Errors
///
/// The address is taken, or not ours to take.
pub(super) fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, OperatorError> {
    listen(address).map_err(|error| {
        let what_to_do = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there: end it, or choose another address"
            }
            io::ErrorKind::PermissionDenied => "this user may not: choose a port from 1024 on",
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: choose one that it has"
            }
            _ => "choose another address",
        };
        OperatorError::new(format_args!(
            "{setting}: cannot listen on {address} ({error}): {what_to_do}"
        ))
    })
}

/// As [`TcpListener::bind`], and with room for more that wait.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Or a restart would have to wait for what is left of old connections.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    let listener = socket.into();
    prepare(&listener)?;
    Ok(listener)
}

/// Prepares a socket that is bound, by us or by whoever started us.
pub(super) fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    keep_alive::enable(listener)
}

/// What the accept loops of all threads share. It is touched once for each
/// connection, never for a request.
pub(super) struct Fleet {
    /// A place for each connection that may be open.
    places: Arc<Semaphore>,
    /// How many each thread has.
    open: Box<[AtomicUsize]>,
    calm: Arc<Calm>,
    per_address: Arc<PerAddress>,
}

impl Fleet {
    pub(super) fn new(threads: usize, max_connections: usize, per_address: PerAddress) -> Self {
        Self {
            places: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            open: std::iter::repeat_with(AtomicUsize::default)
                .take(threads)
                .collect(),
            calm: Arc::default(),
            per_address: Arc::new(per_address),
        }
    }

    /// Whether a thread has so many more connections than the others that they
    /// should have the next.
    ///
    /// Relaxed here and below: the numbers guide and guard nothing.
    fn is_ahead(&self, thread: usize) -> bool {
        let own = self.open[thread].load(Ordering::Relaxed);
        let least = self
            .open
            .iter()
            .map(|open| open.load(Ordering::Relaxed))
            .min();
        own > least.unwrap_or(0) + SLACK
    }
}

/// How far ahead of the others a thread may be without waiting for them.
const SLACK: usize = 4;
/// How long a thread that is ahead leaves what else has come to the others,
/// which have been woken by it as well. So connections that come all at once
/// don't all end up with whoever was first.
const DEFERENCE: Duration = Duration::from_micros(500);

/// Takes connections until it is dropped.
pub(super) async fn run(
    listener: tokio::net::TcpListener,
    thread: usize,
    fleet: Arc<Fleet>,
    http: Arc<Http>,
    door: Arc<Door>,
    open: mpsc::Sender<()>,
    stop: signal::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    loop {
        // The place first: without one a client waits in the system's queue.
        let Ok(permit) = Arc::clone(&fleet.places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                backoff = Backoff::default();
                let trusted = door.trusts(peer.ip());
                let Some(one_of) = fleet.per_address.one_more(peer.ip(), thread, trusted) else {
                    door.counters.turned_away();
                    tracing::debug!(
                        %peer,
                        "a connection was ended at once: its address has as many as \
                         server.max_connections_per_address allows"
                    );
                    continue;
                };
                let counters = Arc::clone(&door.counters);
                let place = Place::new(permit, one_of, open.clone(), counters);
                let serving = connection::serve(
                    Arc::clone(&http),
                    Arc::clone(&door),
                    Arc::clone(&fleet.calm),
                    stream,
                    peer,
                    place,
                    stop.clone(),
                );
                let fleet = Arc::clone(&fleet);
                fleet.open[thread].fetch_add(1, Ordering::Relaxed);
                let ahead = fleet.is_ahead(thread);
                tokio::spawn(async move {
                    serving.await;
                    fleet.open[thread].fetch_sub(1, Ordering::Relaxed);
                });
                if ahead {
                    sleep(DEFERENCE).await;
                }
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => backoff.wait(&error).await,
        }
    }
}

/// Whether an error is about the connection that would have come.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Patience with a system that gives no sockets, such as for want of file
/// descriptors: they come back as connections end.
#[derive(Default)]
struct Backoff {
    last: Duration,
}

impl Backoff {
    const LEAST: Duration = Duration::from_millis(5);
    const MOST: Duration = Duration::from_secs(1);

    async fn wait(&mut self, error: &io::Error) {
        if self.last.is_zero() {
            tracing::error!(
                %error,
                "cannot take connections; if files are too many, raise the limit (ulimit -n) \
                 or lower server.max_connections"
            );
        }
        self.last = (self.last * 2).clamp(Self::LEAST, Self::MOST);
        sleep(self.last).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_named_with_what_to_do() {
        let taken = bind("server.listen", ([127, 0, 0, 1], 0).into()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind("server.listen", address).unwrap_err().to_string();
        assert!(
            error.contains("server.listen") && error.contains(&address.to_string()),
            "{error}"
        );
        assert!(error.contains("another program"), "{error}");
    }

    #[test]
    fn a_thread_that_has_much_more_is_ahead() {
        let fleet = Fleet::new(2, 10, PerAddress::new(0, 10, 10));
        assert!(!fleet.is_ahead(0));
        fleet.open[0].store(SLACK + 1, Ordering::Relaxed);
        assert!(fleet.is_ahead(0));
        assert!(!fleet.is_ahead(1));
        fleet.open[1].store(1, Ordering::Relaxed);
        assert!(!fleet.is_ahead(0));
        // Alone, it never waits.
        let alone = Fleet::new(1, 10, PerAddress::new(0, 10, 10));
        alone.open[0].store(1000, Ordering::Relaxed);
        assert!(!alone.is_ahead(0));
    }
}
