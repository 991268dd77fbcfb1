//! How a ledger's file begins: what it is, and what it was made for.
//!
//! | word | what |
//! |---|---|
//! | 0 | magic: the bytes `tkledger` |
//! | 1 | the layout's number, as this machine writes numbers |
//! | 2 | when it was made, in unix seconds |
//! | 3 to 6 | seeds: two for addresses, two for keys |
//! | 7 | the window of failures, in seconds, by which buckets are numbered |
//! | 8 | sets of the failures table |
//! | 9 | heads of the directory, a power of two |
//! | 10 | a check of all before |
//!
//! The next line, of the same page, is the directory's control line, and the one
//! behind it tells of the hours' reading out; all zeroes is a good one. Behind the
//! page come the failures table, the heads, and the area that grows.

use std::path::Path;

use super::LedgerError;
use super::directory::HEADS_PER_LINE;
use crate::failures::{LINES_PER_SET, Seeds, WAYS};

/// The file's layout; another number is another layout.
const LAYOUT: u64 = 1;
const MAGIC: u64 = u64::from_ne_bytes(*b"tkledger");
/// Words before the check.
const WORDS: usize = 10;
/// Bytes of the header's words.
pub(super) const HEADER_BYTES: usize = (WORDS + 1) * 8;
/// The first page, in lines.
const FIRST_LINES: usize = 64;
/// The line of the page that is the directory's.
pub(super) const CONTROL_AT: usize = 2;
/// The line of the page that tells of the hours' reading out.
pub(super) const USAGE_AT: usize = 3;
/// Pages are no longer than this anywhere; what is mapped apart begins at a
/// multiple of it.
pub(super) const LONGEST_PAGE: usize = 65_536;
/// The most sets: `max_addresses` is bounded.
const MAX_SETS: u64 = 1 << 28;
/// The most heads: as many as nodes can have numbers.
const MAX_HEADS: u64 = 1 << 32;

const _: () = assert!(HEADER_BYTES <= CONTROL_AT * 64);

/// What a file was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) made_at: u64,
    pub(super) seeds: Seeds,
    pub(super) key_seeds: Seeds,
    pub(super) window_s: u32,
    pub(super) failure_sets: u32,
    pub(super) heads: u64,
}

impl Header {
    /// The lines in which the failures table begins.
    pub(super) const FAILURES_AT: usize = FIRST_LINES;

    /// The line in which the heads begin.
    pub(super) fn heads_at(&self) -> usize {
        Self::FAILURES_AT + self.failure_sets as usize * LINES_PER_SET
    }

    /// Lines of heads.
    pub(super) fn head_lines(&self) -> usize {
        (self.heads / u64::from(HEADS_PER_LINE)) as usize
    }

    /// The line in which the area begins.
    pub(super) fn area_at(&self) -> usize {
        let end = self.heads_at() + self.head_lines();
        end.next_multiple_of(LONGEST_PAGE / 64)
    }

    /// Addresses that the failures table holds.
    pub(super) fn max_addresses(&self) -> u64 {
        u64::from(self.failure_sets) * WAYS as u64
    }

    fn words(&self) -> [u64; WORDS] {
        let Seeds([a, b]) = self.seeds;
        let Seeds([c, d]) = self.key_seeds;
        [
            MAGIC,
            LAYOUT,
            self.made_at,
            a,
            b,
            c,
            d,
            u64::from(self.window_s),
            u64::from(self.failure_sets),
            self.heads,
        ]
    }

    /// The first bytes of the file.
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let words = self.words();
        let mut bytes = [0; HEADER_BYTES];
        let all = words.into_iter().chain([check(&words)]);
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(all) {
            *chunk = word.to_ne_bytes();
        }
        bytes
    }

    /// Reads what [`bytes`](Self::bytes) has made.
    pub(super) fn parse(path: &Path, bytes: &[u8; HEADER_BYTES]) -> Result<Self, LedgerError> {
        let (chunks, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_ne_bytes(chunks[at]);
        // The magic is bytes, whatever the machine; the rest are its numbers.
        if chunks[0] != *b"tkledger" {
            return Err(LedgerError::Foreign(path.into()));
        }
        if word(1) != LAYOUT {
            let found = word(1);
            let path = path.into();
            return Err(LedgerError::Layout { path, found });
        }
        let damaged = || LedgerError::Damaged(path.into());
        let header = Self {
            made_at: word(2),
            seeds: Seeds([word(3), word(4)]),
            key_seeds: Seeds([word(5), word(6)]),
            window_s: u32::try_from(word(7)).map_err(|_| damaged())?,
            failure_sets: u32::try_from(word(8)).map_err(|_| damaged())?,
            heads: word(9),
        };
        let makes_sense = (1..=MAX_SETS).contains(&word(8))
            && (u64::from(HEADS_PER_LINE)..=MAX_HEADS).contains(&header.heads)
            && header.heads.is_power_of_two()
            && header.window_s >= 12
            && word(WORDS) == check(&header.words());
        makes_sense.then_some(header).ok_or_else(damaged)
    }
}

/// A sum that shows damage; it keeps nobody out who may write to the file.
fn check(words: &[u64; WORDS]) -> u64 {
    let mut sum = crc32fast::Hasher::new();
    for word in words {
        sum.update(&word.to_ne_bytes());
    }
    u64::from(sum.finalize())
}
