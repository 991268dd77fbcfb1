//! One client connection, from its opening to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch as signal};
use tokio::time::sleep;

use super::calm::{self, Calm};
use super::door::Door;
use super::lane::Pause;
use super::metrics::Counters;
use super::per_address::OneOf;
use super::proxy::{Peer, Share};
use super::socket::Socket;
use super::watch::Watch;

/// How HTTP is spoken on every connection of a thread: HTTP/1.1, or HTTP/2 by
/// prior knowledge.
pub(super) type Http = auto::Builder<TokioExecutor>;

/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;
/// Streams that a client may have reset before they were looked at.
const MAX_PENDING_RESETS: usize = 32;
/// What may wait to be sent on one HTTP/2 stream.
const SEND_BUFFER: usize = 64 * 1024;
/// The least that hyper takes for a buffer.
const LEAST_BUFFER: usize = 8192;

/// Sets up HTTP for requests with heads of at most `max_header_bytes`.
pub(super) fn http(max_header_bytes: usize) -> Http {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // A `Watch` has this, and tells idle connections from slow heads.
        .header_read_timeout(None)
        .max_buf_size(max_header_bytes.max(LEAST_BUFFER));
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buf_size(SEND_BUFFER);
    http
}

/// The place of a connection among those that are open.
#[derive(Debug)]
pub(super) struct Place {
    /// Before the permit, with which the next connection may be taken at once:
    /// of the same address, it would be turned away otherwise.
    one_of: OneOf,
    _permit: OwnedSemaphorePermit,
    /// Whoever stops the thread waits until all of these are gone.
    _open: mpsc::Sender<()>,
    /// Last: who reads that it has ended finds the places free.
    _counted: Counted,
}

/// A connection that the counters know as open, until it is dropped.
#[derive(Debug)]
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: Arc<Counters>) -> Self {
        counters.accepted();
        Self(counters)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl Place {
    pub(super) fn new(
        permit: OwnedSemaphorePermit,
        one_of: OneOf,
        open: mpsc::Sender<()>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            one_of,
            _permit: permit,
            _open: open,
            _counted: Counted::new(counters),
        }
    }

    /// Of the connections to the service behind that its thread may have.
    pub(super) fn share(&self) -> Share {
        self.one_of.share().clone()
    }

    /// For its turns, of those that its address has on this thread.
    fn pause(&self) -> Pause {
        Pause::none(Arc::clone(self.one_of.lane()))
    }
}

/// Serves a connection until its end: the client's, that of its time, or, once
/// `stop` says so, that of what is under way.
pub(super) async fn serve(
    http: Arc<Http>,
    door: Arc<Door>,
    calm: Arc<Calm>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    mut stop: signal::Receiver<bool>,
) {
    if calm.waits(peer.ip()) && !door.trusts(peer.ip()) {
        tracing::debug!(%peer, "a connection has to wait: its address flooded the one before");
        tokio::select! {
            () = sleep(calm::WAIT) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
    // Refused only by a socket that is gone already.
    let _ = stream.set_nodelay(true);
    let limits = door.live.load().limits;
    let pause = place.pause();
    let watch = Arc::new(Watch::new(place));
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&watch), pause));
    let from = Peer::new(peer.ip());
    let service = service_fn(|request| door.answer(request, &from, &watch));
    let mut connection = std::pin::pin!(http.serve_connection_with_upgrades(io, service));
    let mut expired = std::pin::pin!(watch.expired(limits));
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    if (watch.has_flooded() || calm::is_flood(&*error)) && !door.trusts(peer.ip()) {
                        calm.flooded(peer.ip());
                    }
                    tracing::debug!(%peer, %error, "a connection broke");
                }
                return;
            }
            () = expired.as_mut() => {
                tracing::debug!(%peer, "a connection had its time");
                return;
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;
    use std::task::{Context, Wake, Waker};

    use tokio::sync::Semaphore;

    use super::super::per_address::PerAddress;
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Whoever waits for a permit, and notes when it is woken whether the address
    /// may have the connection that it would take.
    struct Next {
        all: Arc<PerAddress>,
        taken: Mutex<Vec<bool>>,
    }

    impl Wake for Next {
        fn wake(self: Arc<Self>) {
            let one_of = self.all.one_more(CLIENT, 0, false);
            self.taken.lock().unwrap().push(one_of.is_some());
        }
    }

    #[test]
    fn who_waited_for_a_place_finds_one_of_its_address_free() {
        let places = Arc::new(Semaphore::new(1));
        let all = Arc::new(PerAddress::new(1, 1, 1));
        let permit = Arc::clone(&places).try_acquire_owned().unwrap();
        let one_of = all.one_more(CLIENT, 0, false).unwrap();
        let place = Place::new(permit, one_of, mpsc::channel(1).0, Arc::default());
        let next = Arc::new(Next {
            all,
            taken: Mutex::default(),
        });
        let waker = Waker::from(Arc::clone(&next));
        let mut waiting = std::pin::pin!(places.acquire());
        let waits = Future::poll(waiting.as_mut(), &mut Context::from_waker(&waker));
        assert!(waits.is_pending());
        drop(place);
        assert_eq!(*next.taken.lock().unwrap(), [true]);
    }
}
