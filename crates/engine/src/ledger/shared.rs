//! The ledger in a file.

use std::path::Path;

use super::directory::{Area, Control, Directory};
use super::file::LedgerFile;
use super::header::{CONTROL_AT, Header, USAGE_AT};
use super::place::Place;
use super::region::{Line, Region};
use super::spares::Spares;
use super::{Ledger, LedgerError, LedgerFault, Slots, UsageLine};
use crate::failures::Seeds;
use crate::key::KeyId;
use crate::time::Hour;

/// Keys for which a new file has room: 6 MiB. It grows by itself.
const FIRST_KEYS: u64 = 65_536;
/// Lines that a key takes at most: its ring, and its node a half.
const LINES_PER_KEY: u64 = 2;
/// How many keys ahead memory is asked for.
const AHEAD: usize = 16;

/// What a ledger's file has to fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The window of failures, in seconds.
    pub(crate) window_s: u32,
    pub(crate) failure_sets: u32,
    /// Keys that space is set aside for.
    pub(crate) max_keys: u32,
    /// Seeds for a file that is made.
    pub(crate) seeds: [Seeds; 2],
    /// Unix seconds.
    pub(crate) now: u64,
}

/// Whose slots are which: the directory, as far as it is this process's.
pub(super) struct Keys {
    pub(super) header: Header,
    spares: Spares,
}

/// The part of the file that grows.
pub(super) struct FileArea<'a> {
    file: &'a LedgerFile,
    at: usize,
}

impl Area for FileArea<'_> {
    fn line(&self, at: u32) -> Result<&Line, LedgerFault> {
        let at = self.at + at as usize;
        if let Some(line) = self.file.lines().get(at) {
            return Ok(line);
        }
        // Another process made the file longer since.
        self.file.map(at + 1)?;
        self.file.lines().get(at).ok_or(LedgerFault::CutShort)
    }

    fn grow(&self, lines: u64) -> Result<(), LedgerFault> {
        let control = Control(&self.file.lines()[CONTROL_AT]);
        self.file.grow(self.at, lines, control.room())
    }

    fn lines(&self) -> u64 {
        self.file.lines().len().saturating_sub(self.at) as u64
    }
}

impl Plan {
    pub(super) fn header(&self) -> Header {
        let [seeds, key_seeds] = self.seeds;
        Header {
            made_at: self.now,
            seeds,
            key_seeds,
            window_s: self.window_s,
            failure_sets: self.failure_sets,
            heads: FIRST_KEYS,
        }
    }

    pub(super) fn first_room() -> u64 {
        FIRST_KEYS * 3 / 2
    }

    fn area_lines(&self) -> u64 {
        u64::from(self.max_keys) * LINES_PER_KEY
    }

    fn fits(&self, path: &Path, header: &Header) -> Result<(), LedgerError> {
        let wanted = self.header();
        let pairs = [
            (
                "window_s",
                u64::from(header.window_s),
                u64::from(wanted.window_s),
            ),
            (
                "max_addresses",
                header.max_addresses(),
                wanted.max_addresses(),
            ),
        ];
        match pairs
            .into_iter()
            .find(|(_, made_for, wanted)| made_for != wanted)
        {
            None => Ok(()),
            Some((setting, made_for, wanted)) => Err(LedgerError::Misfit {
                path: path.into(),
                setting,
                made_for,
                wanted,
            }),
        }
    }
}

impl Ledger {
    /// The ledger in a file, which is made if there is none.
    pub(crate) fn in_file(path: &Path, plan: &Plan) -> Result<Self, LedgerError> {
        let open = || LedgerFile::open(path, plan.area_lines());
        let (file, header) = match open() {
            Err(LedgerError::Missing(_)) => {
                LedgerFile::create(path, &plan.header(), Plan::first_room())?;
                open()?
            }
            opened => opened?,
        };
        plan.fits(path, &header)?;
        let ledger = Self::of(file, header);
        if let Slots::Shared(shared) = &ledger.slots {
            let recover = |directory: &Directory<'_, FileArea<'_>>| {
                directory.recover(boot());
                Ok(())
            };
            // Never: it is a file's, and the walk says nothing of damage.
            let _ = shared.with(&ledger.region, recover);
        }
        Ok(ledger)
    }

    /// Whether a file is there that [`in_file`](Self::in_file) would refuse.
    /// Makes nothing.
    pub(crate) fn check_file(path: &Path, plan: &Plan) -> Result<(), LedgerError> {
        match LedgerFile::open(path, 0) {
            Err(LedgerError::Missing(_)) => Ok(()),
            opened => plan.fits(path, &opened?.1),
        }
    }

    /// The ledger in an open file.
    pub(super) fn of(file: LedgerFile, header: Header) -> Self {
        Self {
            region: Region::of_file(file),
            failures_at: Header::FAILURES_AT,
            failure_sets: header.failure_sets as usize,
            usage_at: USAGE_AT,
            hours_at: header.area_at(),
            seeds: header.seeds,
            slots: Slots::Shared(Keys {
                header,
                spares: Spares::default(),
            }),
        }
    }
}

impl Keys {
    /// The slots of some keys, in their order.
    pub(super) fn claim(
        &self,
        region: &Region,
        keys: &[KeyId],
        now: Hour,
    ) -> Result<Vec<u32>, LedgerFault> {
        self.with(region, |directory| {
            let claim = |(at, key): (usize, &KeyId)| {
                if let Some(later) = keys.get(at + AHEAD) {
                    directory.expect(*later);
                }
                directory.claim(*key, now)
            };
            keys.iter().enumerate().map(claim).collect()
        })
    }

    pub(super) fn give_back(
        &self,
        region: &Region,
        key: KeyId,
        now: Hour,
    ) -> Result<(), LedgerFault> {
        self.with(region, |directory| directory.give_back(key, now))
    }

    /// Shows every key that has a slot, also one that is held elsewhere or was
    /// given back.
    pub(super) fn each_slot(&self, region: &Region, show: &mut impl FnMut(KeyId, u32)) {
        // What is damaged is passed over: the report of a `LedgerView` tells of it.
        let _ = self.with(region, |directory| {
            directory.each(&mut |_, node| {
                let id = node.id_bits().and_then(KeyId::checked_from_bits);
                if let (Some(id), Place::Held(slot) | Place::Resting { slot, .. }) =
                    (id, node.found())
                {
                    // One that came since is mapped by now, or is beyond what
                    // this process has space for.
                    region.extend();
                    show(id, slot);
                }
                Ok(true)
            });
            Ok(())
        });
    }

    /// Does something with the directory in a region.
    pub(super) fn with<T>(
        &self,
        region: &Region,
        work: impl FnOnce(&Directory<'_, FileArea<'_>>) -> Result<T, LedgerFault>,
    ) -> Result<T, LedgerFault> {
        // Never without: these keys are a file's.
        let file = region.file().ok_or(LedgerFault::Damaged)?;
        let lines = file.lines();
        let heads_at = self.header.heads_at();
        let area = FileArea {
            file,
            at: self.header.area_at(),
        };
        let outcome = work(&Directory {
            seeds: self.header.key_seeds,
            control: Control(&lines[CONTROL_AT]),
            usage: UsageLine(&lines[USAGE_AT]),
            heads: &lines[heads_at..heads_at + self.header.head_lines()],
            area: &area,
            spares: &self.spares,
        });
        region.extend();
        outcome
    }
}

/// Which start of the machine this is, where the system tells.
fn boot() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).ok()
}
