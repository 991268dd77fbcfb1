//! A ledger's file looked at, mended or begun anew, by whoever operates it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::directory::Control;
use super::file::{LedgerFile, header_of, open_alone};
use super::header::CONTROL_AT;
use super::place::Place;
use super::shared::Plan;
use super::{Ledger, LedgerError, LedgerFault, Slots};
use crate::builder::{BuildError, FailureConfig};
use crate::failures::{Seeds, sets_for};
use crate::key::KeyId;
use crate::sync::Ordering;
use crate::time::Hour;

/// A ledger's file, opened to be looked at; others may go on using it.
pub struct LedgerView {
    ledger: Ledger,
    path: PathBuf,
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
    /// Keys that somebody holds.
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

/// How much of a damaged ledger is told in words.
const MOST_DAMAGE: usize = 20;

impl LedgerView {
    /// Opens a ledger's file.
    ///
    /// # Errors
    ///
    /// There is none, or it is not one, or its header does not let it be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let (file, header) = LedgerFile::open(path, 0)?;
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
            if let Some(ring) = self.ledger.ring(slot) {
                keys.push(LedgerKey {
                    id,
                    rests: !matches!(place, Place::Held(_)),
                    used: ring.used(hour),
                });
            }
        });
        keys
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
            // Relaxed, here and below: numbers to be shown.
            lines: control.taken().load(Ordering::Relaxed),
            room: control.room().load(Ordering::Relaxed),
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
            if u64::from(slot) >= report.lines {
                tell(format!(
                    "the counts of key {id} lie in a line that nobody has"
                ));
            }
            if let Some(other) = owners.insert(slot, id) {
                tell(format!("keys {other} and {id} have the same counts"));
            }
            match self.ledger.ring(slot).map(|ring| ring.newest().number()) {
                None => tell(format!("the counts of key {id} lie beyond the file's end")),
                Some(hour) if hour > latest => tell(format!(
                    "key {id} has counts of an hour that has not come ({hour})"
                )),
                Some(_) => {}
            }
        });
        if !whole {
            tell("the directory of keys leads beyond the file's end or in circles".into());
        }
        if report.lines == 0 || report.lines > report.room {
            tell(format!(
                "{} lines are said to be taken, where there is room for {}",
                report.lines, report.room
            ));
        }
        if let Some(fault) = file.fault() {
            tell(fault.to_string());
        }
        report.damage = damage;
        report
    }

    /// Shows every key and where its slot is; whether all of the directory was
    /// whole. What is no key's id is left out, and not whole.
    fn each(&self, mut show: impl FnMut(KeyId, Place)) -> bool {
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

/// Begins a ledger anew: an empty one, for these settings, in the place of that
/// file, which is kept under the name that is returned. With `keep_hours` what
/// each key has used is taken over, as far as it is whole; failures and blocks
/// are forgotten.
///
/// # Errors
///
/// Somebody uses the ledger, there is none, it is no ledger, or what the system
/// says; then all is as it was. With `keep_hours` a header that cannot be read is an error too.
pub fn reset_ledger(
    path: &Path,
    failures: &FailureConfig,
    keep_hours: bool,
    unix_s: u64,
) -> Result<PathBuf, BuildError> {
    failures.check()?;
    let mut words = [0; 4];
    for word in &mut words {
        *word = getrandom::u64().map_err(BuildError::Random)?;
    }
    let [a, b, c, d] = words;
    let plan = Plan {
        window_s: failures.window_s,
        failure_sets: sets_for(failures.max_addresses),
        max_keys: 0,
        seeds: [Seeds([a, b]), Seeds([c, d])],
        now: unix_s,
    };
    replace(path, &plan, keep_hours).map_err(BuildError::Ledger)
}

fn replace(path: &Path, plan: &Plan, keep_hours: bool) -> Result<PathBuf, LedgerError> {
    let io = |doing| move |cause| LedgerError::io(path, doing, cause);
    // Nobody else has it open until we are done.
    let old = open_alone(path)?;
    // What is no ledger at all is somebody's other file, perhaps in use; unless
    // nothing is left of it.
    let is_empty = old.metadata().is_ok_and(|found| found.len() == 0);
    match header_of(&old, path) {
        Err(foreign @ LedgerError::Foreign(_)) if !is_empty => return Err(foreign),
        _ => {}
    }
    let staged = beside(path, "new", plan.now);
    let aside = beside(path, "old", plan.now);
    let _ = std::fs::remove_file(&staged);
    LedgerFile::create(&staged, &plan.header(), Plan::first_room())?;
    let outcome = (|| {
        if keep_hours {
            let (file, header) = LedgerFile::of_open(old, path, 0)?;
            let from = LedgerView {
                ledger: Ledger::of(file, header),
                path: path.into(),
            };
            carry_over(&from, &staged, plan)?;
        }
        std::fs::hard_link(path, &aside).map_err(io("keep aside"))?;
        std::fs::rename(&staged, path).map_err(io("replace"))
    })();
    if outcome.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    outcome.map(|()| aside)
}

/// Takes the hours of every key over into the ledger in another file.
fn carry_over(from: &LedgerView, to: &Path, plan: &Plan) -> Result<(), LedgerError> {
    let keys = from.keys(Hour::of(plan.now)).len();
    let max_keys = u32::try_from(keys).unwrap_or(u32::MAX);
    let to = Ledger::in_file(to, &Plan { max_keys, ..*plan })?;
    let Slots::Shared(shared) = &to.slots else {
        return Err(LedgerError::Unsupported);
    };
    let now = Hour::of(plan.now);
    let mut fault = None;
    from.each(|id, place| {
        let (Place::Held(slot) | Place::Resting { slot, .. }) = place else {
            return;
        };
        let Some(ring) = from.ledger.ring(slot) else {
            return;
        };
        // A ring that is damaged would refuse its key for ever.
        if fault.is_some() || ring.newest().number() > now.number().saturating_add(1) {
            return;
        }
        match shared.claim(&to.region, &[id], now) {
            Ok(slots) => {
                if let Some(new) = slots.first().and_then(|slot| to.ring(*slot)) {
                    new.copy(ring);
                }
                if !matches!(place, Place::Held(_)) {
                    fault = shared.give_back(&to.region, id, now).err();
                }
            }
            Err(other) => fault = Some(other),
        }
    });
    match fault {
        None => Ok(()),
        Some(fault) => Err(LedgerError::io(
            from.path(),
            "take over what was used from",
            std::io::Error::other(fault),
        )),
    }
}

/// A name beside a file's that nothing else has.
fn beside(path: &Path, what: &str, unix_s: u64) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{what}-{unix_s}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    let mut names = (0..).map(named);
    // Ends: only so many files are there.
    names
        .find(|name| !name.exists())
        .unwrap_or_else(|| named(0))
}
