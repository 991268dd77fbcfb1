//! A ledger's file begun anew, by whoever operates it.

use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use super::file::{LedgerFile, header_of, open_alone};
use super::place::Place;
use super::shared::Plan;
use super::view::LedgerView;
use super::{Ledger, LedgerError, Slots};
use crate::builder::{BuildError, FailureConfig, random_words};
use crate::failures::{Seeds, sets_for};
use crate::time::Hour;

/// Begins a ledger anew: an empty one, for these settings, in the place of that
/// file, which is kept under the name that is returned. With `keep_hours` what
/// each key has used is taken over, as far as it is whole, and how far that was
/// saved elsewhere; failures and blocks are forgotten. Without, what was not
/// saved is in the file that is kept alone.
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
    let [a, b, c, d] = random_words()?;
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
    // The file itself, not a link to it: whoever opens either finds the new one.
    let real = std::fs::canonicalize(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => LedgerError::Missing(path.into()),
        _ => LedgerError::io(path, "look at", cause),
    })?;
    // Nobody else has it open until this is dropped, at the end.
    let old = open_alone(path)?;
    let metadata = old.metadata().map_err(io("look at"))?;
    // What is no ledger at all is somebody's other file, perhaps in use; unless
    // nothing is left of it.
    match header_of(&old, path) {
        Err(foreign @ LedgerError::Foreign(_)) if metadata.len() > 0 => return Err(foreign),
        _ => {}
    }
    let held = old.try_clone().map_err(io("hold"))?;
    let staged = beside(&real, "new", plan.now);
    let aside = beside(&real, "old", plan.now);
    let outcome = (|| {
        LedgerFile::create(&staged, &plan.header(), Plan::first_room())?;
        if keep_hours {
            let (file, header) = LedgerFile::of_open(old, path, 0)?;
            let from = LedgerView {
                ledger: Ledger::of(file, header),
                path: path.into(),
            };
            carry_over(&from, &staged, plan)?;
        }
        let new = std::fs::File::open(&staged).map_err(io("read"))?;
        // Whoever could use the old one can use the new one.
        fchown(&new, Some(metadata.uid()), Some(metadata.gid()))
            .and_then(|()| new.set_permissions(metadata.permissions()))
            .and_then(|()| new.sync_all())
            .map_err(io("give its owner and mode to the new"))?;
        std::fs::hard_link(&real, &aside).map_err(io("keep aside"))?;
        std::fs::rename(&staged, &real).map_err(io("replace"))?;
        let folder = real.parent().unwrap_or(Path::new("/"));
        let folder = std::fs::File::open(folder).map_err(io("open the folder of"))?;
        folder.sync_all().map_err(io("write the folder of"))
    })();
    drop(held);
    if outcome.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    outcome.map(|()| aside)
}

/// Takes the hours of every key over into the ledger in another file.
fn carry_over(from: &LedgerView, to: &Path, plan: &Plan) -> Result<(), LedgerError> {
    let now = Hour::of(plan.now);
    let max_keys = u32::try_from(from.keys(now).len()).unwrap_or(u32::MAX);
    let to = Ledger::in_file(to, &Plan { max_keys, ..*plan })?;
    let (Slots::Shared(shared), Some(file)) = (&to.slots, to.region.file()) else {
        return Err(LedgerError::Unsupported);
    };
    to.usage().copy(from.ledger.usage(), from.ledger.seeds());
    let last = now.next();
    let mut fault = None;
    from.each(|id, place| {
        let (Place::Held(slot) | Place::Resting { slot, .. }) = place else {
            return;
        };
        let (None, Some(ring)) = (fault, from.ring(slot)) else {
            return;
        };
        match shared.claim(&to.region, &[id], now) {
            Ok(slots) => {
                if let Some(new) = slots.first().and_then(|slot| to.ring(*slot)) {
                    new.copy(ring, last);
                }
                if !matches!(place, Place::Held(_)) {
                    fault = shared.give_back(&to.region, id, now).err();
                }
            }
            Err(other) => fault = Some(other),
        }
    });
    let failed = |cause| LedgerError::io(from.path(), "take over what was used from", cause);
    match fault {
        None => file.sync().map_err(failed),
        Some(fault) => Err(failed(io::Error::other(fault))),
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
