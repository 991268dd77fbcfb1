//! A client's socket as hyper reads and writes it: watched, and closed so that
//! the last answer arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::watch::Watch;

/// A socket that tells a [`Watch`] what passes.
///
/// A close waits a moment for the client's own: were the socket closed over
/// bytes that nobody read, such as the body of a refused upload, the system
/// would reset the connection, and the answer could be lost on its way.
pub(super) struct Socket {
    stream: TokioIo<TcpStream>,
    watch: Arc<Watch>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            watch,
            lingering: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(&mut self.stream)
    }

    fn note_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.watch.wrote(Some(*bytes)),
            Poll::Pending => self.watch.wrote(None),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        // The cursor is lent by a new one over the same bytes, so that what was
        // filled can be counted.
        ready!(self.stream().poll_read(cx, reborrow(&mut buf)))?;
        self.watch.read(before - buf.remaining());
        Poll::Ready(Ok(()))
    }
}
