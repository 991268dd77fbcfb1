//! What the fuzz targets call: the parsers of what operators write. No part of
//! the program, and no promise.

use std::ffi::OsString;

use engine::ServerSecret;

use crate::command::import_file::{csv_rows, json_rows};
use crate::command::rows::Reader;
use crate::error::Failure;
use crate::settings::{Given, Settings, Sources, as_file};

/// Settings of a file's text, an environment and `--set` assignments, as a file
/// that reads as them.
///
/// # Errors
///
/// What the operator is told.
pub fn settings(
    file: &str,
    environment: &[(&str, &str)],
    assignments: &[&str],
) -> Result<String, String> {
    let flags: Result<Vec<_>, _> = assignments.iter().map(|text| Given::set(text)).collect();
    let flags = flags.map_err(|error| error.to_string())?;
    let environment: Vec<(OsString, OsString)> = environment
        .iter()
        .map(|(name, text)| (name.into(), text.into()))
        .collect();
    Sources::new(None, flags)
        .put_together(Some(("FILE".into(), file.into())), &environment)
        .map(|settings| as_file(&settings))
        .map_err(|error| error.to_string())
}

/// The rows of an import's file: each a key's id, or why it is none; and what
/// the operator is told where the file itself is bad.
pub fn import(is_csv: bool, file: &[u8]) -> Vec<Result<String, String>> {
    let reader = Reader {
        settings: &Settings::default(),
        secret: &ServerSecret::from_bytes([0; 32]),
        now: 1_790_000_000,
    };
    let mut rows = Vec::new();
    let read = if is_csv { csv_rows } else { json_rows };
    let ended = read(file, "FILE", &mut |row| {
        let key = row.cells.and_then(|cells| reader.key(&cells));
        rows.push(key.map(|key| key.record.id.to_string()));
        Ok(())
    });
    if let Err(Failure::Operator(error)) = ended {
        rows.push(Err(error.to_string()));
    }
    rows
}
