//! A directory in plain memory, for tests: whoever uses it is a process of its
//! own.

use std::sync::Arc;

#[cfg(not(loom))]
use super::directory::NODES_PER_LINE;
use super::directory::{Area, Control, Directory, HEADS_PER_LINE};
use super::spares::Spares;
use super::{LedgerFault, Line, UsageLine};
use crate::failures::Seeds;
use crate::hours::Ring;
use crate::key::KeyId;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Hour;

const SEEDS: Seeds = Seeds([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
fn line() -> Line {
    Line(std::array::from_fn(|_| AtomicU64::new(0)))
}

/// What the file holds, as far as the directory goes.
pub(super) struct Shared {
    control: Line,
    usage: Line,
    heads: [Line; 1],
    area: Vec<Line>,
}

impl Area for Vec<Line> {
    fn line(&self, at: u32) -> Result<&Line, LedgerFault> {
        self.get(at as usize).ok_or(LedgerFault::CutShort)
    }

    fn grow(&self, _lines: u64) -> Result<(), LedgerFault> {
        Err(LedgerFault::NoRoom(0))
    }

    fn lines(&self) -> u64 {
        self.len() as u64
    }
}

impl Shared {
    /// An empty one with so many lines in its area, of which the first is
    /// nobody's.
    pub(super) fn new(lines: usize) -> Arc<Self> {
        let shared = Self {
            control: line(),
            usage: line(),
            heads: [line()],
            area: std::iter::repeat_with(line).take(lines).collect(),
        };
        let control = Control(&shared.control);
        control.room().store(lines as u64, Ordering::Relaxed);
        control.taken().store(1, Ordering::Relaxed);
        Arc::new(shared)
    }

    /// Does something as a process that has just opened the file.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Directory<'_, Vec<Line>>) -> T) -> T {
        work(&Directory {
            seeds: SEEDS,
            control: Control(&self.control),
            usage: UsageLine(&self.usage),
            heads: &self.heads,
            area: &self.area,
            spares: &Spares::default(),
        })
    }

    pub(super) fn claim(&self, key: KeyId, at: u32) -> u32 {
        self.with(|directory| directory.claim(key, hour(at)).unwrap())
    }

    pub(super) fn give_back(&self, key: KeyId, at: u32) {
        self.with(|directory| directory.give_back(key, hour(at)).unwrap());
    }

    /// Every line, as if there were nodes in it.
    #[cfg(not(loom))]
    pub(super) fn nodes(&self) -> &[Line] {
        &self.area[1..]
    }

    /// Where it is told which slot a key has.
    #[cfg(not(loom))]
    pub(super) fn word(&self, key: KeyId) -> &AtomicU64 {
        let mut word = None;
        self.with(|directory| {
            directory.each(&mut |number, node| {
                if node.id_bits() == Some(key.to_bits()) {
                    word = Some((number / NODES_PER_LINE, number % NODES_PER_LINE * 4 + 1));
                }
                Ok(true)
            });
        });
        let (line, at) = word.unwrap();
        &self.area[line as usize].0[at as usize]
    }

    /// Says that so many lines were taken.
    #[cfg(not(loom))]
    pub(super) fn say_taken(&self, lines: u64) {
        Control(&self.control)
            .taken()
            .store(lines, Ordering::Relaxed);
    }

    /// Counts units of a slot.
    pub(super) fn count(&self, slot: u32, hour: Hour, units: u32) {
        let usage = || UsageLine(&self.usage);
        self.ring(slot).count(hour, units, usage);
    }

    pub(super) fn ring(&self, slot: u32) -> Ring<'_> {
        Ring(&self.area[slot as usize])
    }
}

pub(super) fn hour(number: u32) -> Hour {
    Hour::of(u64::from(number) * 3600)
}

/// Keys that all begin at the first head, so that their ways meet.
pub(super) fn key(number: usize) -> KeyId {
    let ids = (0..).map(KeyId::from_bits);
    let mut first = ids.filter(|id| {
        SEEDS
            .mix(id.to_bits())
            .is_multiple_of(u64::from(HEADS_PER_LINE))
    });
    first.nth(number).unwrap()
}
