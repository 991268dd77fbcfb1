//! Lines for the ledger: zeroed cache lines of atomic words.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::io;

use crate::sync::AtomicU64;

/// One cache line: eight words.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [AtomicU64; 8]);

pub(crate) use imp::{Region, word_of};

#[cfg(not(any(loom, miri)))]
mod imp {
    #[cfg(target_os = "linux")]
    use super::super::file::LedgerFile;
    use super::{AtomicU64, Line, io};
    use crate::memory::Memory;
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const _: () = assert!(size_of::<Line>() == 64 && align_of::<Line>() == 64);

    /// A word of two lines, as if they were one of 16 words: in one step, for
    /// what walks over all of them.
    pub(crate) fn word_of(lines: &[Line; 2], at: usize) -> &AtomicU64 {
        assert!(at < 16, "two lines have 16 words");
        let first = lines.as_ptr().cast::<AtomicU64>();
        // SAFETY: two lines are 128 bytes without a gap, for each is 64 bytes
        // of 8 words (asserted above); so word `at` lies within them. The
        // pointer is made from both lines and so may reach into both.
        let word = unsafe { first.add(at) };
        // SAFETY: it points to a word of `lines`, borrowed as long as that.
        unsafe { &*word }
    }

    /// Lines in a row, which stay where they are; of a file there may come more.
    pub(crate) struct Region {
        start: NonNull<Line>,
        lines: AtomicUsize,
        source: Source,
    }

    /// Whose the lines are.
    enum Source {
        /// Held for its drop alone.
        Own { _memory: Memory },
        #[cfg(target_os = "linux")]
        File(LedgerFile),
    }

    // SAFETY: lines belong to no thread: they are atomics throughout.
    unsafe impl Send for Region {}
    // SAFETY: as above.
    unsafe impl Sync for Region {}

    impl Region {
        /// Reserves `lines` zeroed lines; most may never be written.
        pub(crate) fn anonymous(lines: usize) -> io::Result<Self> {
            let bytes = lines
                .checked_mul(size_of::<Line>())
                .ok_or(io::ErrorKind::OutOfMemory)?;
            let memory = Memory::zeroed(bytes)?;
            Ok(Self {
                start: memory.start().cast(),
                lines: AtomicUsize::new(lines),
                source: Source::Own { _memory: memory },
            })
        }

        /// The lines of a file that others may have mapped too.
        #[cfg(target_os = "linux")]
        pub(crate) fn of_file(file: LedgerFile) -> Self {
            Self {
                start: file.start(),
                lines: AtomicUsize::new(file.lines().len()),
                source: Source::File(file),
            }
        }

        /// The file, if they are one's.
        #[cfg(target_os = "linux")]
        pub(crate) fn file(&self) -> Option<&LedgerFile> {
            match &self.source {
                Source::Own { .. } => None,
                Source::File(file) => Some(file),
            }
        }

        /// Takes in what the file has mapped since.
        #[cfg(target_os = "linux")]
        pub(crate) fn extend(&self) {
            if let Some(file) = self.file() {
                // Relaxed: whoever reads a further line was told of it by a
                // record that was published after this. Never fewer than
                // before, though two do this at once.
                self.lines.fetch_max(file.lines().len(), Ordering::Relaxed);
            }
        }

        #[inline]
        pub(crate) fn lines(&self) -> &[Line] {
            // Relaxed: see `extend`.
            let lines = self.lines.load(Ordering::Relaxed);
            // SAFETY: so many are mapped, at a place that stays as long as
            // `self` and begins with a page, so is aligned to 64. Any bytes are
            // valid as `AtomicU64`s, and all access goes through these shared
            // atomics.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), lines) }
        }
    }
}

/// Under loom the atomics are objects of its model, and Miri tracks heap
/// memory more closely than a mapping: there the lines lie in a plain box.
#[cfg(any(loom, miri))]
mod imp {
    use super::{AtomicU64, Line, io};

    pub(crate) fn word_of(lines: &[Line; 2], at: usize) -> &AtomicU64 {
        &lines[at / 8].0[at % 8]
    }

    pub(crate) struct Region(Box<[Line]>);

    impl Region {
        pub(crate) fn anonymous(lines: usize) -> io::Result<Self> {
            let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
            Ok(Self(std::iter::repeat_with(line).take(lines).collect()))
        }

        pub(crate) fn lines(&self) -> &[Line] {
            &self.0
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_of_two_lines_are_counted_through() {
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        let lines = [line(), line()];
        let words = lines.iter().flat_map(|line| &line.0);
        for (at, word) in words.enumerate() {
            assert!(std::ptr::eq(word_of(&lines, at), word), "{at}");
        }
        let beyond = std::panic::catch_unwind(|| word_of(&lines, 16));
        assert!(beyond.is_err());
    }
}
