//! `tokenkit usage`: what keys have used, an hour a row, as it is billed.

use std::io::Write;

use store::{Store, Usage, UsageQuery};

use super::fields::{flag, key_id};
use super::key::project;
use super::text_table::TextTable;
use super::view::write_json;
use crate::cli::{UsageFormat, UsageList};
use crate::error::{Failure, OperatorError};
use crate::keystore::{now, open};
use crate::output::say;
use crate::settings::{LedgerPlace, Settings};
use crate::usage::Collector;
use crate::usage::view::{HEADS, UsageView, hour_from};
use crate::when::parse_ago;

/// Rows that are read at once.
const PAGE: usize = 1000;

/// Records what the ledger has counted, then prints what was used.
///
/// # Errors
///
/// What the operator gave does not work, the ledger or the store cannot be
/// used, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    wanted: &UsageList,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let now = now();
    let time = |name, text: &Option<String>, otherwise| match text {
        None => Ok(otherwise),
        Some(text) => flag(name, text, |text| parse_ago(text, now)),
    };
    let from = time("--from", &wanted.from, 0)?;
    let to = time("--to", &wanted.to, now.saturating_add(1))?;
    if to <= from {
        return Err(OperatorError::new("--to is not after --from: no hour lies between").into());
    }
    let (mut store, _) = open(settings)?;
    if collect(settings, &mut store, now)?.is_none() {
        say_what_is_not_counted(settings);
    }
    let final_before = store.usage_final_before(now)?.unwrap_or(0);
    let to_hour = match wanted.open {
        true => hour_from(to),
        false => hour_from(to).min(final_before),
    };
    let query = UsageQuery {
        key: wanted.key.as_deref().map(key_id).transpose()?,
        project: project(wanted.project.as_deref())?,
        from_hour: hour_from(from),
        to_hour,
        after: None,
        limit: PAGE,
    };
    let each = |show: &mut dyn FnMut(UsageView) -> Result<(), Failure>| {
        each(&store, query, |row| show(UsageView::of(row, final_before)))
    };
    match wanted.format {
        UsageFormat::Jsonl => each(&mut |view| write_json(out, &view)),
        UsageFormat::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(HEADS).map_err(super::export::written)?;
            each(&mut |view| csv.write_record(view.row()).map_err(super::export::written))?;
            Ok(csv.flush()?)
        }
        UsageFormat::Table => {
            let mut table = TextTable::new(HEADS.map(|head| match head {
                "id" => "ID",
                "key" => "KEY",
                "project" => "PROJECT",
                "hour" => "HOUR",
                "units" => "UNITS",
                _ => "FINAL",
            }));
            each(&mut |view| {
                table.fit(&view.row());
                Ok(())
            })?;
            table.write_head(out)?;
            each(&mut |view| Ok(table.write(&view.row(), out)?))
        }
    }
}

/// Says on standard error that a ledger which the settings name is not there:
/// whoever meant another bills less than was used. Where none is named, no server
/// has run yet.
fn say_what_is_not_counted(settings: &Settings) {
    if let LedgerPlace::File(file) = &settings.store.ledger {
        say(format_args!(
            "there is no ledger {}: nothing that was counted there is among these",
            file.display()
        ));
    }
}

/// Shows every row of a query.
fn each(
    store: &Store,
    query: UsageQuery<'_>,
    mut show: impl FnMut(&Usage) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = store.usage(&UsageQuery {
            after: after.as_ref(),
            ..query
        })?;
        for row in &page.rows {
            show(row)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Records what the ledger of the settings has counted, whether or not a server
/// runs. Where the counters are in memory only the server can. Returns what has
/// recorded them, if there is a ledger.
#[cfg(target_os = "linux")]
pub(super) fn collect(
    settings: &Settings,
    store: &mut Store,
    now: u64,
) -> Result<Option<Collector>, OperatorError> {
    use engine::{LedgerError, LedgerView};
    let Some(file) = settings.store.ledger() else {
        return Ok(None);
    };
    let view = match LedgerView::open(&file) {
        // No server has run yet.
        Err(LedgerError::Missing(_)) => return Ok(None),
        opened => opened.map_err(|error| OperatorError::with_causes(&error))?,
    };
    let mut collector = Collector::new(view.usage_source());
    collector
        .collect(&view, store, now)
        .map_err(|error| OperatorError::wrap("what was used cannot be recorded", error))?;
    Ok(Some(collector))
}

/// The same where ledgers are in memory only.
#[cfg(not(target_os = "linux"))]
pub(super) fn collect(
    _settings: &Settings,
    _store: &mut Store,
    _now: u64,
) -> Result<Option<Collector>, OperatorError> {
    Ok(None)
}
