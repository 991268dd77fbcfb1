//! Connections to the admin address: few at a time, and none for long.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::front::Front;
use crate::error::OperatorError;
use crate::serve::per_address::PerAddress;

/// Connections open at a time, half of them of one address.
const MAX_CONNECTIONS: usize = 64;
/// The life of a connection, whatever it does.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long an answer that is under way then may still take: longer than one is
/// waited for, so that nobody loses what was made and is shown but once.
const LAST_ANSWER: Duration = Duration::from_secs(40);
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
    // Whoever holds on to its half keeps nobody else from asking for health.
    let per_address = Arc::new(PerAddress::new(0, MAX_CONNECTIONS, 0));
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
        let Some(one_of) = per_address.one_more(ends.peer.ip(), 0, false) else {
            continue;
        };
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            serve(stream, |request| {
                let front = Arc::clone(&front);
                async move { front.answer(request, ends).await }
            })
            .await;
            // The share first: with the place the next may be taken at once.
            drop(one_of);
            drop(place);
        });
    }
}

/// Serves a connection until its end, or that of the answer that is under way
/// when its life is over. However it ends, nobody needs to know.
async fn serve<A: Future<Output = Response<Body>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> A,
) {
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_under_way_is_given_though_the_connection_has_had_its_time() {
        let (mut client, server) = duplex(4096);
        let serving = tokio::spawn(serve(server, |_| async {
            sleep(Duration::from_secs(7)).await;
            Response::new(Body::from("made"))
        }));
        // The ninth is asked for at 56 s.
        let mut last = String::new();
        for number in 1..=9 {
            let asked = client
                .write_all(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n")
                .await;
            asked.unwrap();
            last.clear();
            while !last.ends_with("made") {
                let mut bytes = [0; 512];
                let read = client.read(&mut bytes).await.unwrap();
                assert!(read > 0, "cut off in the midst of answer {number}");
                last += std::str::from_utf8(&bytes[..read]).unwrap();
            }
            assert_eq!(last.contains("connection: close"), number == 9, "{last}");
        }
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        serving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_nothing_ends_all_the_same() {
        let (mut client, server) = duplex(64);
        let serving = tokio::spawn(serve(server, |_| async {
            Response::new(Body::from("x".repeat(1 << 20)))
        }));
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let begun = tokio::time::Instant::now();
        serving.await.unwrap();
        assert!(begun.elapsed() <= LIFETIME + LAST_ANSWER + Duration::from_secs(1));
    }
}
