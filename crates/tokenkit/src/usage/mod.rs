//! What keys have used, read out of the counters and recorded in the store.
//!
//! The counters of a key hold its last eight hours. They are read out often
//! enough that no hour is written over unread; whoever has recorded all of them
//! says so in the ledger, which counts what is written over before that. To
//! record a thing twice changes nothing, so any number of servers and commands
//! may do so at the same ledger, and be ended at any moment.

pub(crate) mod view;

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Engine, Hour, KeyId};
use store::{LATE_S, Store, StoreError, UsageRow, UsageSource};

/// Rows that are recorded in one transaction.
const TOGETHER: usize = 1000;
/// The longest that others get to write between two of them.
const LONGEST_TURN: Duration = Duration::from_millis(50);
/// Hours that a key's counters hold.
const RING: u32 = 8;

/// Counters that can be read out: an engine's, or those in a ledger's file.
pub(crate) trait Counters {
    /// Shows units by key and hour.
    fn each(&self, show: &mut dyn FnMut(KeyId, Hour, u64));
    /// The first hour of which not all is known to be recorded.
    fn unsaved_from(&self) -> Hour;
    /// Says that all hours before one are recorded.
    fn saved(&self, before: Hour);
    /// Units that were written over unrecorded, at most.
    fn overwritten(&self) -> u64;
}

macro_rules! counters {
    ($kind:ty) => {
        impl Counters for $kind {
            fn each(&self, show: &mut dyn FnMut(KeyId, Hour, u64)) {
                self.each_usage(show);
            }

            fn unsaved_from(&self) -> Hour {
                self.usage_unsaved_from()
            }

            fn saved(&self, before: Hour) {
                self.usage_saved(before);
            }

            fn overwritten(&self) -> u64 {
                self.usage_overwritten()
            }
        }
    };
}

counters!(Engine);
#[cfg(target_os = "linux")]
counters!(engine::LedgerView);

/// What was recorded of the counters, by whoever reads them out again and again.
pub(crate) struct Collector {
    source: UsageSource,
    /// What was recorded of each key that was ever used: its last hours, each in
    /// the place that it has in the ring. About 100 bytes a key.
    recorded: HashMap<KeyId, [Recorded; RING as usize]>,
    /// Hours before this one need no look in the first pass.
    skip_before: Option<u32>,
    /// Units that the ledger counts as lost although they were recorded: their
    /// hour was not over when it was last read.
    recorded_of_lost: u64,
    unsaved: u64,
}

impl Collector {
    /// Begins with counters of which this process knows nothing.
    pub(crate) fn new(source: UsageSource) -> Self {
        Self {
            source,
            recorded: HashMap::new(),
            skip_before: None,
            recorded_of_lost: 0,
            unsaved: 0,
        }
    }

    /// Reads the counters out at a time in unix seconds, and records what this
    /// process has not. Returns how many rows were new or had grown.
    ///
    /// # Errors
    ///
    /// The store cannot be written, or rows of it are damaged: the first of
    /// these. All others are recorded then. What was not recorded will be by a
    /// later call: until then it is [`unsaved`](Self::unsaved).
    pub(crate) fn collect(
        &mut self,
        counters: &impl Counters,
        store: &mut Store,
        now: u64,
    ) -> Result<usize, StoreError> {
        let changed = self.changed(counters);
        self.unsaved = changed.iter().map(|(_, units)| units).sum();
        if self.recorded.is_empty() && self.skip_before.is_none() {
            // Another has recorded what was over, if the store is that one's, and
            // its clock was not ahead. After ours may have stepped back the hour
            // before this one was perhaps charged once more.
            let before = counters.unsaved_from().number();
            let seen = Hour::of(store.usage_seen_at(&self.source)?.unwrap_or(0));
            let this = Hour::of(now).number();
            let is_so = (before..).contains(&seen.number()) && before <= this;
            let skip_before = before.min(this.saturating_sub(1));
            self.skip_before = Some(if is_so { skip_before } else { 0 });
        }
        let skip_before = self.skip_before.unwrap_or(0);
        let mut grown = 0;
        let mut damaged = None;
        for rows in changed.chunks(TOGETHER) {
            let begun = Instant::now();
            let wanted: Vec<UsageRow> = rows
                .iter()
                .map(|(row, _)| *row)
                .filter(|row| row.hour >= skip_before)
                .collect();
            let recorded = store.record_usage(&self.source, &wanted, now)?;
            grown += recorded.grown;
            let skipped: HashSet<(KeyId, u32)> = recorded
                .damaged
                .iter()
                .map(|(row, _)| (row.key, row.hour))
                .collect();
            let first = recorded.damaged.into_iter().next();
            damaged = damaged.or(first.map(|(_, error)| error));
            for (row, units) in rows {
                if skipped.contains(&(row.key, row.hour)) {
                    continue;
                }
                self.keep(row);
                self.unsaved = self.unsaved.saturating_sub(*units);
            }
            if rows.len() == TOGETHER {
                let_others_write(begun.elapsed());
            }
        }
        // With a damaged row too: no hour of another key stays open for it, and
        // who asks for its own is told of the damage.
        store.usage_seen(&self.source, now)?;
        self.skip_before = Some(0);
        // But not all is saved: what the ledger writes over of it is lost.
        if let Some(error) = damaged {
            return Err(error);
        }
        counters.saved(Hour::of(now.saturating_sub(LATE_S)));
        Ok(grown)
    }

    /// Says that these counters will count no more, after all of them were
    /// recorded: no hour waits for them.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub(crate) fn end(&self, store: &mut Store) -> Result<(), StoreError> {
        store.usage_ended(&self.source)
    }

    /// Units that were read at the last call and could not be recorded.
    pub(crate) fn unsaved(&self) -> u64 {
        self.unsaved
    }

    /// Units that were written over before they were recorded. Exact for as
    /// long as this process runs; of what happened before, a part of an hour
    /// may have been recorded that is counted here all the same.
    pub(crate) fn overwritten(&self, counters: &impl Counters) -> u64 {
        counters.overwritten().saturating_sub(self.recorded_of_lost)
    }

    /// What is another than was recorded, and how many units of each row are
    /// new.
    fn changed(&mut self, counters: &impl Counters) -> Vec<(UsageRow, u64)> {
        let unsaved_from = counters.unsaved_from().number();
        let mut changed = Vec::new();
        let Self {
            recorded,
            recorded_of_lost,
            ..
        } = self;
        counters.each(&mut |key, hour, used| {
            let hour = hour.number();
            let row = UsageRow { key, hour, used };
            let known = recorded
                .get_mut(&key)
                .map(|hours| &mut hours[(hour % RING) as usize]);
            match known {
                Some(known) if known.hour() == hour => {
                    if known.units() < used {
                        changed.push((row, used - known.units()));
                    }
                }
                Some(known) => {
                    if known.hour() >= unsaved_from {
                        *recorded_of_lost += known.units();
                    }
                    *known = Recorded::new(hour, 0);
                    changed.push((row, used));
                }
                None => changed.push((row, used)),
            }
        });
        changed
    }

    fn keep(&mut self, row: &UsageRow) {
        let hours = self.recorded.entry(row.key).or_default();
        let kept = &mut hours[(row.hour % RING) as usize];
        *kept = (*kept).max(Recorded::new(row.hour, row.used));
    }
}

/// What was recorded of an hour, in one word: the hour, and 36 bits of units.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Recorded(u64);

impl Recorded {
    /// More units than a counter holds are none.
    const UNITS: u64 = (1 << 36) - 1;

    fn new(hour: u32, units: u64) -> Self {
        Self(u64::from(hour) << 36 | units.min(Self::UNITS))
    }

    fn hour(self) -> u32 {
        (self.0 >> 36) as u32
    }

    fn units(self) -> u64 {
        self.0 & Self::UNITS
    }
}

/// SQLite hands its lock to nobody in turn: whoever waits for it tries again
/// now and then, and would find us at it again and again.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells that he has written"
)]
fn let_others_write(we_took: Duration) {
    thread::sleep(we_took.min(LONGEST_TURN));
}

#[cfg(test)]
mod tests;
