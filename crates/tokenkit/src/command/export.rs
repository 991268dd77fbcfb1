//! `tokenkit key export`: keys as CSV or JSON lines. Never a secret; digests
//! only where they are asked for.

use std::io::Write;

use store::{KeyFilter, StoredKey};

use super::key::project;
use super::progress::Progress;
use super::rows::{Column, hex};
use super::view::{KeyView, write_json};
use crate::cli::{Format, KeyExport};
use crate::error::Failure;
use crate::keystore::open;
use crate::settings::Settings;

/// Prints the keys, in the order in which they came into the store.
///
/// # Errors
///
/// The store cannot be read, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    wanted: &KeyExport,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let filter = KeyFilter {
        project: project(wanted.project.as_deref())?,
        state: None,
    };
    let (store, _) = open(settings)?;
    let mut progress = Progress::new(None);
    let view = |key: &StoredKey| KeyView {
        digest: wanted
            .with_digests
            .then(|| hex(key.record.digest.as_bytes())),
        ..KeyView::of(key)
    };
    match wanted.format {
        Format::Jsonl => store.each_key(&filter, |key| {
            progress.step(0);
            write_json(out, &view(&key))
        }),
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            let columns = Column::EXPORTED
                .iter()
                .filter(|column| wanted.with_digests || **column != Column::Digest);
            csv.write_record(columns.clone().map(|column| column.as_str()))
                .map_err(written)?;
            store.each_key(&filter, |key| {
                progress.step(0);
                let view = view(&key);
                csv.write_record(columns.clone().map(|column| cell(&view, *column)))
                    .map_err(written)
            })?;
            csv.flush()?;
            Ok(())
        }
    }
}

/// A cell of the CSV; what is none is empty.
fn cell(view: &KeyView, column: Column) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    match column {
        Column::Key => String::new(),
        Column::Id => view.id.clone(),
        Column::Prefix => view.prefix.clone(),
        Column::Digest => view.digest.clone().unwrap_or_default(),
        Column::Project => view.project.clone(),
        Column::Name => view.name.clone(),
        Column::State => view.state.into(),
        Column::HourlyLimit => number(view.hourly_limit),
        Column::ExpiresAt => number(view.expires_at),
        Column::RequireOrigin => view.require_origin.to_string(),
        Column::Origins => view.origins.join(" "),
        Column::Ips => view.ips.join(" "),
        Column::CreatedAt => view.created_at.to_string(),
        Column::RevokedAt => number(view.revoked_at),
        Column::RevokedReason => view.revoked_reason.clone().unwrap_or_default(),
        Column::Replaces => view.replaces.clone().unwrap_or_default(),
    }
}

/// What the system says of a row that was not written: a closed pipe must be
/// known as one.
pub(super) fn written(error: csv::Error) -> Failure {
    Failure::Output(match error.into_kind() {
        csv::ErrorKind::Io(cause) => cause,
        kind => std::io::Error::other(format!("{kind:?}")),
    })
}
