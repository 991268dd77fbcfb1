//! A ledger's file looked at by whoever operates it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::directory::Control;
use super::file::LedgerFile;
use super::header::CONTROL_AT;
use super::place::Place;
use super::{Ledger, LedgerError, LedgerFault, Slots};
use crate::hours::Ring;
use crate::key::KeyId;
use crate::sync::Ordering;
use crate::time::Hour;

/// A ledger's file, opened to be looked at; others may go on using it.
pub struct LedgerView {
    pub(super) ledger: Ledger,
    pub(super) path: PathBuf,
}

/// What a ledger holds: a moment's picture, or that of several moments where
/// others use it meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerReport {
    /// When the file was made, in unix seconds.
    pub made_at: u64,
    /// The window of failures that it was made for, in seconds.
    pub window_s: u32,
    /// Addresses that the failures table holds.
    pub max_addresses: u64,
    /// How long the file is.
    pub bytes: u64,
    /// Keys that somebody holds, and those that somebody held when the last
    /// process that used the file ended and that nobody has brought since: the
    /// file does not tell them apart, for they may still come.
    pub keys: u64,
    /// Keys that were removed, whose counts are still there.
    pub resting: u64,
    /// Keys that were removed and whose counts are another's by now: each keeps
    /// 32 bytes.
    pub gone: u64,
    /// Lines of 64 bytes in use, and for how many there is room.
    pub lines: u64,
    /// See `lines`; the file grows by itself.
    pub room: u64,
    /// Addresses that are blocked.
    pub blocked_addresses: usize,
    /// What is damaged, in words; nothing where all is whole.
    pub damage: Vec<String>,
}

/// One key of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerKey {
    /// Which key.
    pub id: KeyId,
    /// Whether it was removed and its counts rest.
    pub rests: bool,
    /// What it used in the hour that was asked for; `None` where the ring holds
    /// a later one in its place.
    pub used: Option<u64>,
}

/// Space for what a ledger grows by while it is looked at: 4 GiB of addresses.
const SPARE_LINES: u64 = 1 << 26;
/// How much of a damaged ledger is told in words.
const MOST_DAMAGE: usize = 20;

impl LedgerView {
    /// Opens a ledger's file.
    ///
    /// # Errors
    ///
    /// There is none, or it is not one, or its header does not let it be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let (file, header) = LedgerFile::open(path, SPARE_LINES)?;
        Ok(Self {
            ledger: Ledger::of(file, header),
            path: path.into(),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every key that has counters, and what it used in an hour; in no order.
    /// Linear in the size of the ledger.
    #[must_use]
    pub fn keys(&self, hour: Hour) -> Vec<LedgerKey> {
        let mut keys = Vec::new();
        self.each(|id, place| {
            let (Place::Held(slot) | Place::Resting { slot, .. }) = place else {
                return;
            };
            if let Some(ring) = self.ring(slot) {
                keys.push(LedgerKey {
                    id,
                    rests: !matches!(place, Place::Held(_)),
                    used: ring.used(hour),
                });
            }
        });
        keys
    }

    /// The ledger itself, whose slots are never asked for.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Units that a key has used in an hour; those of one that has no counts
    /// are none. `None` where its counts cannot be read; within it, where the
    /// ring holds a later hour in its place.
    pub(crate) fn used(&self, key: KeyId, hour: Hour) -> Option<Option<u64>> {
        match self.place_of(key)? {
            Place::Held(slot) | Place::Resting { slot, .. } => Some(self.ring(slot)?.used(hour)),
            Place::Nowhere => Some(Some(0)),
        }
    }

    /// What keys have used, see [`Engine::each_usage`](crate::Engine::each_usage).
    pub fn each_usage(&self, mut show: impl FnMut(KeyId, Hour, u64)) {
        self.ledger
            .each_slot(&mut |id, slot| self.ledger.each_hour(id, slot, &mut show));
    }

    /// Who counted, see [`Engine::usage_source`](crate::Engine::usage_source).
    #[must_use]
    pub fn usage_source(&self) -> [u8; 16] {
        self.ledger.usage_source()
    }

    /// Says what is saved, see [`Engine::usage_saved`](crate::Engine::usage_saved).
    pub fn usage_saved(&self, before: Hour) {
        self.ledger.usage().set_unsaved_from(before.number().into());
    }

    /// What is not saved, see
    /// [`Engine::usage_unsaved_from`](crate::Engine::usage_unsaved_from).
    #[must_use]
    pub fn usage_unsaved_from(&self) -> Hour {
        self.ledger.usage().unsaved_hour()
    }

    /// Units lost, see
    /// [`Engine::usage_overwritten`](crate::Engine::usage_overwritten).
    #[must_use]
    pub fn usage_overwritten(&self) -> u64 {
        self.ledger.usage().overwritten()
    }

    /// Looks at everything, at a time in unix seconds. Linear in the size of
    /// the ledger.
    #[must_use]
    pub fn report(&self, unix_s: u64) -> LedgerReport {
        let (Some(file), Slots::Shared(shared)) = (self.ledger.region.file(), &self.ledger.slots)
        else {
            // Never: it was made of a file.
            return LedgerReport::default();
        };
        let header = shared.header;
        let control = Control(&self.ledger.region.lines()[CONTROL_AT]);
        let mut report = LedgerReport {
            made_at: header.made_at,
            window_s: header.window_s,
            max_addresses: header.max_addresses(),
            bytes: file.bytes(),
            blocked_addresses: self.ledger.failures().count_blocked(unix_s),
            ..LedgerReport::default()
        };
        let mut damage = Vec::new();
        let mut tell = |what: String| {
            if damage.len() < MOST_DAMAGE {
                damage.push(what);
            }
        };
        // An hour ahead may be a clock that differs.
        let latest = Hour::of(unix_s).number().saturating_add(1);
        let mut owners: HashMap<u32, KeyId> = HashMap::new();
        let whole = self.each(|id, place| {
            let slot = match place {
                Place::Nowhere => {
                    report.gone += 1;
                    return;
                }
                Place::Held(slot) => {
                    report.keys += 1;
                    slot
                }
                Place::Resting { slot, .. } => {
                    report.resting += 1;
                    slot
                }
            };
            // Relaxed, here and below: numbers to be shown.
            let taken = control.taken().load(Ordering::Relaxed);
            if u64::from(slot) >= taken {
                tell(format!(
                    "the counts of key {id} lie in a line that nobody has"
                ));
            }
            if let Some(other) = owners.insert(slot, id)
                // It may have gone from one to the other meanwhile.
                && [other, id].iter().all(|key| self.has(*key, slot))
            {
                tell(if other == id {
                    format!("key {id} stands twice")
                } else {
                    format!("keys {other} and {id} have the same counts")
                });
            }
            match self.ring(slot).map(|ring| ring.newest().number()) {
                None => tell(format!("the counts of key {id} lie beyond the file's end")),
                Some(hour) if hour > latest => tell(format!(
                    "key {id} has counts of an hour that has not come ({hour}), by damage \
                     or by a clock that was ahead"
                )),
                Some(_) => {}
            }
        });
        report.lines = control.taken().load(Ordering::Relaxed);
        report.room = control.room().load(Ordering::Relaxed);
        // Before what it is about single keys.
        let circles = "the directory of keys leads beyond the file's end or in circles";
        let counted = || {
            format!(
                "{} lines are said to be taken, where there is room for {}",
                report.lines, report.room
            )
        };
        let overall = [
            (!whole).then(|| circles.to_owned()),
            (report.lines == 0 || report.lines > report.room).then(counted),
            file.fault().map(|fault| fault.to_string()),
        ];
        damage.splice(0..0, overall.into_iter().flatten());
        report.damage = damage;
        report
    }

    /// The hours of a slot, also of one that came since the file was opened.
    pub(super) fn ring(&self, slot: u32) -> Option<Ring<'_>> {
        self.ledger.ring(slot).or_else(|| {
            self.ledger.region.extend();
            self.ledger.ring(slot)
        })
    }

    /// Whether a slot is a key's at this moment.
    fn has(&self, key: KeyId, slot: u32) -> bool {
        match self.place_of(key) {
            Some(Place::Held(now) | Place::Resting { slot: now, .. }) => now == slot,
            Some(Place::Nowhere) | None => false,
        }
    }

    /// Where a key's slot is; `None` where the directory does not tell.
    fn place_of(&self, key: KeyId) -> Option<Place> {
        let Slots::Shared(shared) = &self.ledger.slots else {
            return None;
        };
        shared
            .with(&self.ledger.region, |directory| directory.place_of(key))
            .ok()
    }

    /// Shows every key and where its slot is; whether all of the directory was
    /// whole. What is no key's id is left out, and not whole.
    pub(super) fn each(&self, mut show: impl FnMut(KeyId, Place)) -> bool {
        let Slots::Shared(shared) = &self.ledger.slots else {
            return false;
        };
        let mut ids_are_whole = true;
        let whole = shared.with(&self.ledger.region, |directory| {
            Ok(directory.each(&mut |_, node| {
                match node.id_bits().and_then(KeyId::checked_from_bits) {
                    Some(id) => show(id, node.found()),
                    None => ids_are_whole = false,
                }
                Ok::<bool, LedgerFault>(true)
            }))
        });
        whole == Ok(true) && ids_are_whole
    }
}
