//! `tokenkit ledger`: the file in which hours and failures are counted, looked
//! at, checked, and begun anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use engine::{Hour, LedgerError, LedgerReport, LedgerView, reset_ledger};
use serde::Serialize;
use store::Store;

use super::text_table::TextTable;
use super::view::write_json;
use crate::cli::Ledger;
use crate::error::{Failure, OperatorError};
use crate::keystore::{now, open};
use crate::output::say;
use crate::settings::Settings;
use crate::usage::Collector;
use crate::when::show_when;

/// The exit code where damage was found.
const EXIT_DAMAGED: u8 = 1;

/// Runs a command about the ledger.
///
/// # Errors
///
/// The ledger cannot be used, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    command: &Ledger,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let path = settings.store.ledger().ok_or_else(|| {
        OperatorError::new(
            "store.ledger is none, so that the counters are in memory: name a file with --ledger",
        )
    })?;
    match command {
        Ledger::Show { top, json, .. } => show(&path, *top, *json, out)?,
        Ledger::Check { json, .. } => return check(&path, *json, out),
        Ledger::Reset {
            keep_hours, json, ..
        } => reset(settings, &path, *keep_hours, *json, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A ledger for programs. Times are unix seconds. The names of the members are
/// stable.
#[derive(Serialize)]
struct LedgerShown<'a> {
    file: &'a Path,
    made_at: u64,
    window_s: u32,
    max_addresses: u64,
    blocked_addresses: usize,
    /// Keys with counters: those in use, those removed, and those removed whose
    /// counters are another's by now.
    keys: u64,
    resting_keys: u64,
    gone_keys: u64,
    /// Of 64 bytes each; the file grows by itself.
    lines: u64,
    room_lines: u64,
    bytes: u64,
    most_used: Vec<KeyUse>,
    damage: &'a [String],
}

/// What a key has used this hour.
#[derive(Serialize)]
struct KeyUse {
    id: String,
    used: u64,
}

fn show(path: &Path, top: usize, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let view = LedgerView::open(path).map_err(cannot)?;
    let now = now();
    let report = view.report(now);
    let most_used = most_used(&view, now, top);
    if json {
        let shown = LedgerShown {
            file: path,
            made_at: report.made_at,
            window_s: report.window_s,
            max_addresses: report.max_addresses,
            blocked_addresses: report.blocked_addresses,
            keys: report.keys,
            resting_keys: report.resting,
            gone_keys: report.gone,
            lines: report.lines,
            room_lines: report.room,
            bytes: report.bytes,
            most_used,
            damage: &report.damage,
        };
        return write_json(out, &shown);
    }
    write_lines(path, &report, out)?;
    if most_used.is_empty() {
        writeln!(out, "\nNo key has used anything this hour.")?;
        return Ok(());
    }
    let rows: Vec<_> = most_used
        .into_iter()
        .map(|key| [key.id, key.used.to_string()])
        .collect();
    let mut table = TextTable::new(["ID", "USED THIS HOUR"]);
    rows.iter().for_each(|row| table.fit(row));
    writeln!(out)?;
    table.write_head(out)?;
    for row in &rows {
        table.write(row, out)?;
    }
    Ok(())
}

/// The keys that used most this hour, the first most of all.
fn most_used(view: &LedgerView, now: u64, top: usize) -> Vec<KeyUse> {
    let mut keys: Vec<_> = view
        .keys(Hour::of(now))
        .into_iter()
        .filter_map(|key| Some((key.used.filter(|used| *used > 0)?, key.id)))
        .collect();
    // Those of the same use in the order of their ids, so that it is always
    // the same one.
    keys.sort_unstable_by_key(|&(used, id)| (std::cmp::Reverse(used), id));
    keys.truncate(top);
    keys.into_iter()
        .map(|(used, id)| KeyUse {
            id: id.to_string(),
            used,
        })
        .collect()
}

fn write_lines(path: &Path, report: &LedgerReport, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = |head: &str, text: &str| writeln!(out, "{head:<14}  {text}");
    line("file", &path.display().to_string())?;
    line("made", &show_when(report.made_at))?;
    line("window", &format!("{} s", report.window_s))?;
    line(
        "addresses",
        &format!(
            "room for {}, {} blocked",
            report.max_addresses, report.blocked_addresses
        ),
    )?;
    line(
        "keys",
        &format!(
            "{} in use, {} resting, {} gone",
            report.keys, report.resting, report.gone
        ),
    )?;
    line(
        "lines",
        &format!(
            "{} of 64 bytes in use, room for {}",
            report.lines, report.room
        ),
    )?;
    line("bytes", &report.bytes.to_string())?;
    if !report.damage.is_empty() {
        line("damage", "found: `tokenkit ledger check` lists it")?;
    }
    Ok(())
}

/// The outcome of a check, for programs.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    damage: &'a [String],
}

fn check(path: &Path, json: bool, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let (damage, how) = match LedgerView::open(path) {
        Ok(view) => (
            view.report(now()).damage,
            "`tokenkit ledger reset --keep-hours` takes over what is whole of it",
        ),
        Err(error @ (LedgerError::Damaged(_) | LedgerError::CutShort(_))) => (
            vec![error.to_string()],
            "`tokenkit ledger reset`, for none of its hours can be taken over",
        ),
        Err(error) => return Err(cannot(error).into()),
    };
    if json {
        let checked = Checked {
            file: path,
            damage: &damage,
        };
        write_json(out, &checked)?;
    } else if damage.is_empty() {
        writeln!(out, "{} is whole.", path.display())?;
    } else {
        for what in &damage {
            writeln!(out, "{what}")?;
        }
        writeln!(
            out,
            "{} is damaged: stop whoever uses it, then {how}.",
            path.display()
        )?;
    }
    Ok(match damage.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_DAMAGED),
    })
}

/// The outcome of a reset, for programs.
#[derive(Serialize)]
struct Renewed<'a> {
    file: &'a Path,
    kept_as: PathBuf,
    kept_hours: bool,
}

fn reset(
    settings: &Settings,
    path: &Path,
    keep_hours: bool,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let recorded = record_what_was_used(settings, path);
    let kept_as = reset_ledger(path, &settings.failures, keep_hours, now())
        .map_err(|error| OperatorError::with_causes(&error))?;
    if !keep_hours && let Some((mut store, collector)) = recorded {
        // Where this is not noted, hours are final a day later.
        let _ = collector.end(&mut store);
    }
    if json {
        let renewed = Renewed {
            file: path,
            kept_as,
            kept_hours: keep_hours,
        };
        return write_json(out, &renewed);
    }
    let begins = match keep_hours {
        true => "begins anew with what each key has used",
        false => "begins anew, empty",
    };
    writeln!(
        out,
        "{} {begins}. The old one is kept as {}.",
        path.display(),
        kept_as.display()
    )?;
    Ok(())
}

/// Records what the ledger has counted before it is put aside. A ledger that is
/// damaged, or without a store, is begun anew all the same; it is kept.
fn record_what_was_used(settings: &Settings, path: &Path) -> Option<(Store, Collector)> {
    if !settings.store.file().exists() {
        return None;
    }
    let recorded = open(settings).and_then(|(mut store, _)| {
        let collector = super::usage::collect(settings, &mut store, now())?;
        Ok(collector.map(|collector| (store, collector)))
    });
    recorded.unwrap_or_else(|error| {
        say(format_args!(
            "what {} has counted could not be recorded for billing ({error}): the old file is kept",
            path.display()
        ));
        None
    })
}

fn cannot(error: LedgerError) -> OperatorError {
    OperatorError::with_causes(&error)
}
