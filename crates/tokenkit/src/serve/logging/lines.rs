//! The lines of the log on their way out: a queue that is bounded, and the one
//! thread that writes it to standard error.
//!
//! Whoever logs never waits for whoever reads: a reader that stalls holds up
//! that thread and no other. What finds the queue full is dropped and counted,
//! and the log says how many lines it was once half of the queue is free.
//!
//! Our own since the queue of `tracing-appender` is bounded in lines, whose length
//! clients choose, and its guard prints to standard output, which may have the
//! same reader, when it cannot end its thread.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::OperatorError;
use crate::serve::metrics::Totals;

/// Bytes of lines that may wait or be under way. The queue grows by doubling, so
/// that they take less than twice as much memory.
const QUEUE: usize = 4 << 20;
/// Bytes that are written at a time, as much as a pipe holds on Linux.
const PIECE: usize = 64 << 10;
/// How long the last lines are waited for at the end.
const LAST: Duration = Duration::from_secs(1);
/// How long a standard error that is full, and does not block, is left alone.
const AGAIN: Duration = Duration::from_millis(10);

/// The queue.
pub(super) struct Lines {
    state: Mutex<State>,
    /// There are lines to write.
    filled: Condvar,
    /// There are none left.
    emptied: Condvar,
    totals: Arc<Totals>,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: VecDeque<u8>,
    /// Bytes that were taken out and are not yet written.
    under_way: usize,
    /// Lines that found the queue full since that was last told.
    dropped: u64,
    /// Whether the thread has nothing to write or to tell.
    is_idle: bool,
}

impl Lines {
    fn new(totals: Arc<Totals>) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            totals,
        }
    }

    /// Starts the thread that writes.
    ///
    /// # Errors
    ///
    /// The system has no thread for it.
    pub(super) fn start(totals: Arc<Totals>) -> Result<Arc<Self>, OperatorError> {
        let lines = Arc::new(Self::new(totals));
        let written = Arc::clone(&lines);
        // Never joined: it may hang in a write, and ends with the process.
        thread::Builder::new()
            .name("log".into())
            .spawn(move || written.write_out(io::stderr()))
            .map_err(|error| OperatorError::wrap("cannot start the log's thread", error))?;
        Ok(lines)
    }

    /// Takes a line in, whole or not at all. Waits for nothing but the moment
    /// in which others put theirs in.
    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + state.under_way + line.len() > QUEUE {
            state.dropped += 1;
            drop(state);
            self.totals.log_lines_dropped(1);
            return;
        }
        state.waiting.extend(line);
        let is_awaited = state.is_idle;
        drop(state);
        if is_awaited {
            self.filled.notify_one();
        }
    }

    /// Writes what comes, for ever.
    fn write_out(&self, mut out: impl Write) {
        let mut piece = Vec::new();
        loop {
            self.take(&mut piece);
            let lost = write(&mut out, &piece);
            // In the log nobody would read of them: it would be the next line lost.
            self.totals.log_lines_dropped(lost);
            if let Some(lines) = self.written() {
                tracing::warn!(
                    lines,
                    "lines of the log were dropped: standard error was read too slowly"
                );
            }
        }
    }

    /// Waits for lines and takes the next of them out.
    fn take(&self, piece: &mut Vec<u8>) {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state.is_idle = true;
            // What a reader that stalled has left behind.
            state.waiting.shrink_to(PIECE);
            self.emptied.notify_all();
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.is_idle = false;
        let most = state.waiting.len().min(PIECE);
        // To a line's end, lest another's message on standard error stand in the
        // middle of one; a line can be longer than a piece.
        let end = state.waiting.range(..most).rposition(|&b| b == b'\n');
        let end = end.map_or(most, |last| last + 1);
        let (front, back) = state.waiting.as_slices();
        let of_front = end.min(front.len());
        piece.clear();
        piece.extend_from_slice(&front[..of_front]);
        piece.extend_from_slice(&back[..end - of_front]);
        state.waiting.drain(..end);
        state.under_way = end;
    }

    /// What was taken out is written. How many lines were dropped, if that can
    /// be told now.
    fn written(&self) -> Option<u64> {
        let mut state = self.lock();
        state.under_way = 0;
        let is_told = state.dropped > 0 && state.waiting.len() <= QUEUE / 2;
        is_told.then(|| std::mem::take(&mut state.dropped))
    }

    /// Waits until all is written, for so long at most.
    fn wait_until_written(&self, longest: Duration) {
        let state = self.lock();
        // Late or not, it is the end.
        let _ = self.emptied.wait_timeout_while(state, longest, |state| {
            !state.is_idle || !state.waiting.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after each change, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line each time, as the log's layer gives them.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of the log: when this is dropped, the last lines are written out
/// for a second, or until none is left.
pub(in crate::serve) struct LastLines(pub(super) Arc<Lines>);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.wait_until_written(LAST);
    }
}

/// Writes a piece; how many lines of it are lost.
fn write(out: &mut impl Write, piece: &[u8]) -> u64 {
    let mut rest = piece;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Nobody wakes this thread from it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(AGAIN),
            Err(_) => break,
        }
    }
    rest.iter().filter(|&&b| b == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes a piece when it is told to.
    struct Slow {
        may_take: Receiver<()>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            // Without anybody left to tell it, it hangs up.
            self.may_take
                .recv()
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            let _ = self.taken.send(piece.to_vec());
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue and its thread, the way to let it write, and what it wrote.
    fn start() -> (Arc<Lines>, Sender<()>, Receiver<Vec<u8>>) {
        let lines = Arc::new(Lines::new(Arc::default()));
        let (take, may_take) = channel();
        let (taken, pieces) = channel();
        let written = Arc::clone(&lines);
        thread::spawn(move || {
            let log = tracing_subscriber::fmt()
                .with_writer(Arc::clone(&written))
                .with_ansi(false)
                .finish();
            tracing::subscriber::with_default(log, || {
                written.write_out(Slow { may_take, taken });
            });
        });
        (lines, take, pieces)
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_told_once() {
        let (lines, take, pieces) = start();
        let line = |number: usize| format!("{number:0>1023}\n");
        let fit = QUEUE / 1024;
        for number in 0..fit + 7 {
            lines.push(line(number).as_bytes());
        }
        assert_eq!(lines.totals.all_log_lines_dropped(), 7);
        let memory = lines.lock().waiting.capacity();
        assert!(memory < 2 * QUEUE, "{memory}");
        // As many pieces as there may be, the last two with what is told.
        for _ in 0..QUEUE / PIECE + 2 {
            take.send(()).unwrap();
        }
        lines.wait_until_written(Duration::from_secs(60));
        let text = String::from_utf8(pieces.try_iter().flatten().collect()).unwrap();
        let (told, whole): (Vec<_>, Vec<_>) = text
            .lines()
            .partition(|line| line.contains("lines of the log were dropped"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with(" lines=7"), "{told:?}");
        assert_eq!(whole.len(), fit);
        for (number, found) in whole.into_iter().enumerate() {
            assert_eq!(found, line(number).trim_end());
        }
        assert_eq!(lines.totals.all_log_lines_dropped(), 7);
        assert!(lines.lock().waiting.capacity() <= PIECE);
    }

    #[test]
    fn the_end_waits_for_no_reader_that_stalls() {
        let (lines, take, pieces) = start();
        lines.push(b"last\n");
        // Returns, though nothing is taken.
        lines.wait_until_written(Duration::from_millis(1));
        assert!(pieces.try_recv().is_err());
        take.send(()).unwrap();
        drop(LastLines(Arc::clone(&lines)));
        assert_eq!(pieces.try_recv().unwrap(), b"last\n");
    }

    #[test]
    fn a_line_longer_than_a_piece_is_written_whole() {
        let (lines, take, pieces) = start();
        let long = [vec![b'x'; PIECE + 1], b"\nnext\n".to_vec()].concat();
        for _ in 0..2 {
            take.send(()).unwrap();
        }
        lines.push(&long);
        lines.wait_until_written(Duration::from_secs(60));
        assert_eq!(pieces.try_iter().flatten().collect::<Vec<_>>(), long);
    }

    #[test]
    fn lines_that_standard_error_refuses_are_counted_and_not_told() {
        let (lines, take, _pieces) = start();
        drop(take);
        lines.push(b"one\n");
        lines.push(b"two\n");
        lines.wait_until_written(Duration::from_secs(60));
        assert_eq!(lines.totals.all_log_lines_dropped(), 2);
    }

    #[test]
    fn a_standard_error_that_is_full_for_now_is_tried_again() {
        struct Full(Vec<ErrorKind>, Vec<u8>);
        impl Write for Full {
            fn write(&mut self, rest: &[u8]) -> io::Result<usize> {
                if let Some(kind) = self.0.pop() {
                    return Err(kind.into());
                }
                self.1.push(rest[0]);
                Ok(1)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut full = Full(vec![ErrorKind::WouldBlock, ErrorKind::Interrupted], vec![]);
        assert_eq!(write(&mut full, b"a\nb\n"), 0);
        assert_eq!(full.1, b"a\nb\n");
        full.0.push(ErrorKind::StorageFull);
        assert_eq!(write(&mut full, b"a\nb\n"), 2);
    }
}
