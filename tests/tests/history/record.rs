//! What was asked and answered, and when it began and ended.

use rustix::time::{ClockId, clock_gettime};

/// One charge that was asked for, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// By the monotonic clock, which all processes share.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) key: u64,
    pub(crate) hour: u64,
    pub(crate) cost: u64,
    pub(crate) admitted: bool,
    /// What was said to be left.
    pub(crate) left: u64,
}

impl Event {
    /// Bytes of an event in a file.
    pub(crate) const BYTES: usize = 7 * 8;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let words = [
            self.start_ns,
            self.end_ns,
            self.key,
            self.hour,
            self.cost,
            u64::from(self.admitted),
            self.left,
        ];
        let mut bytes = [0; Self::BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            start_ns: word(0),
            end_ns: word(1),
            key: word(2),
            hour: word(3),
            cost: word(4),
            admitted: word(5) != 0,
            left: word(6),
        }
    }
}

/// Now, by the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
