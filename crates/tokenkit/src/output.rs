//! Standard output and error of a command, whose readers may be gone before its
//! end.

use std::fmt;
use std::io::{self, Write};

/// Says on standard error what the operator must know. Gone or not, what it is
/// about goes on: there is no other place to say so.
pub(crate) fn say(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "tokenkit: {what}");
}

/// Whether it was written to a pipe that nobody reads any more.
pub(crate) fn is_closed(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::BrokenPipe
}

/// A writer for a command whose exit code is an answer: once its reader is gone,
/// nothing is written and the command goes on to its end.
pub(crate) struct Output<W> {
    inner: W,
    goes_on: bool,
}

impl<W: Write> Output<W> {
    /// One that goes on without a reader, or else fails.
    pub(crate) fn new(inner: W, goes_on: bool) -> Self {
        Self { inner, goes_on }
    }

    fn or_unread<T>(&self, written: io::Result<T>, unread: T) -> io::Result<T> {
        match written {
            Err(cause) if self.goes_on && is_closed(&cause) => Ok(unread),
            written => written,
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.or_unread(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.or_unread(flushed, ())
    }
}
