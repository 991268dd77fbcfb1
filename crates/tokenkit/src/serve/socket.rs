//! A client's socket, watched, and closed so that the last answer arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::lane::Pause;
use super::pieces::Pieces;
use super::turn::{Next, Turn};
use super::watch::Watch;

/// A socket that tells a [`Watch`] what passes.
///
/// A close waits a moment for the client's own: were the socket closed over
/// bytes that nobody read, such as the body of a refused upload, the system
/// would reset the connection, and the answer could be lost on its way.
pub(super) struct Socket {
    stream: TcpStream,
    watch: Arc<Watch>,
    turn: Turn,
    pieces: Pieces,
    pause: Pause,
    /// Set once our side is closed.
    lingering: Option<Pin<Box<Sleep>>>,
}

/// The longest wait for a client's close. A client that is still sending by
/// then is cut off.
const LINGER: Duration = Duration::from_secs(2);

impl Socket {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>, pause: Pause) -> Self {
        Self {
            stream,
            watch,
            turn: Turn::default(),
            pieces: Pieces::default(),
            pause,
            lingering: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.watch.wrote(Some(*bytes)),
            Poll::Pending => self.watch.wrote(None),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.pause.poll_over(cx));
        let before = buf.filled().len();
        match self.turn.left() {
            None => ready!(self.stream().poll_read(cx, buf))?,
            Some(left) => {
                let room = buf.remaining().min(left);
                let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
                ready!(self.stream().poll_read(cx, &mut part))?;
                let bytes = part.filled().len();
                buf.advance(bytes);
            }
        }
        let bytes = &buf.filled()[before..];
        self.watch.read(bytes.len());
        let head = self.watch.head();
        let is_split = self.pieces.one_more(head);
        match self.turn.read(bytes) {
            Next::More if !is_split => {}
            Next::More | Next::Others => self.pause.begin(cx),
            Next::Flood => {
                self.watch.flooded();
                let most = "most requests were taken back by the client";
                return Poll::Ready(Err(io::Error::other(most)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Most answers of our own are one piece, for which the system has a
        // shorter way.
        let mut pieces = slices.iter().filter(|slice| !slice.is_empty());
        let written = match (pieces.next(), pieces.next()) {
            (Some(piece), None) => self.stream().poll_write(cx, piece),
            _ => self.stream().poll_write_vectored(cx, slices),
        };
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.is_tunnel() {
            // Our side alone is closed: the client may go on.
            return self.stream().poll_shutdown(cx);
        }
        if self.lingering.is_none() {
            ready!(self.stream().poll_shutdown(cx))?;
            self.lingering = Some(Box::pin(sleep(LINGER)));
        }
        if let Some(until) = &mut self.lingering
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        ready!(self.pause.poll_over(cx));
        let mut waste = [0; 4096];
        let mut buf = ReadBuf::new(&mut waste);
        // An error is an end as well: there is nobody left to wait for.
        match ready!(self.stream().poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                self.pause.begin(cx);
                Poll::Pending
            }
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A socket, its watch, and its client's end.
    async fn pair() -> (Socket, Arc<Watch>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, _) = listener.accept().await.unwrap();
        let watch = Arc::new(Watch::default());
        let pause = Pause::none(Arc::default());
        let socket = Socket::new(stream, Arc::clone(&watch), pause);
        (socket, watch, client.unwrap())
    }

    /// Reads a byte, which is there; whether others had their turn before.
    async fn waits_for(socket: &mut Socket) -> bool {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        let mut waited = false;
        let read = poll_fn(|cx| {
            let read = Pin::new(&mut *socket).poll_read(cx, &mut buf);
            waited |= read.is_pending();
            read
        });
        read.await.unwrap();
        assert_eq!(buf.filled(), b"x");
        waited
    }

    #[tokio::test]
    async fn others_have_their_turn_between_the_pieces_of_a_head() {
        let (mut socket, watch, mut client) = pair().await;
        client.write_all(&[b'x'; 100]).await.unwrap();
        socket.stream.readable().await.unwrap();
        for request in 0..2 {
            let mut waits = Vec::new();
            for _ in 0..7 {
                waits.push(waits_for(&mut socket).await);
            }
            // The fifth piece uses the turn up, and so does each that follows.
            let expected = [false, false, false, false, false, true, true];
            assert_eq!(waits, expected, "{request}");
            let under_way = watch.begin(false);
            assert!(
                waits_for(&mut socket).await,
                "as the head's last piece said"
            );
            for _ in 0..20 {
                assert!(!waits_for(&mut socket).await, "a body waits for nobody");
            }
            drop(under_way);
        }
    }
}
