//! Connections to the admin address: few at a time, and none for long.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::front::Front;
use crate::error::OperatorError;

/// Connections open at a time.
const MAX_CONNECTIONS: usize = 64;
/// The life of a connection, whatever it does.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long a request's head may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a connection could not be taken.
const BACKOFF: Duration = Duration::from_millis(100);

/// The two ends of the connection that a request came by; among the extensions
/// of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Who sent it; a proxy, perhaps.
    pub(crate) peer: SocketAddr,
    /// Where it came in.
    pub(crate) local: SocketAddr,
}

/// Serves the admin address on the current runtime, as long as that runs.
///
/// # Errors
///
/// The runtime does not take the socket.
pub(crate) fn start(listener: TcpListener, front: Arc<Front>) -> Result<(), OperatorError> {
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|error| OperatorError::wrap("cannot serve the admin address", error))?;
    tokio::spawn(accept(listener, front));
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, front: Arc<Front>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let taken = match listener.accept().await {
            Ok((stream, peer)) => stream
                .local_addr()
                .map(|local| (stream, Ends { peer, local })),
            Err(error) => Err(error),
        };
        let Ok((stream, ends)) = taken else {
            sleep(BACKOFF).await;
            continue;
        };
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let front = Arc::clone(&front);
                async move { Ok::<_, Infallible>(front.answer(request, ends).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // However it ends, nobody needs to know.
            let _ = timeout(LIFETIME, connection).await;
            drop(place);
        });
    }
}
