//! `tokenkit key import`: keys from CSV or JSON lines, a row at a time. They are
//! gathered beside the store, where they hold up nobody else's change, and then
//! put into it in one. Keys are stored as digests; no message shows one.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use store::Staging;

use super::import_file::{MAX_LINE, Row, csv_rows, json_rows, names_digests};
use super::progress::Progress;
use super::rows::Reader;
use crate::cli::{Format, KeyImport};
use crate::error::{Failure, OperatorError};
use crate::keystore::{check_number, is_first, now, open_or_create, say_that_we_wait, user};
use crate::output::say;
use crate::settings::Settings;

/// Bad rows that are shown one by one; of more only the number is.
const SHOWN: u64 = 100;

/// Imports a file. The exit code is 1 where rows were bad.
///
/// # Errors
///
/// The file cannot be read or has wrong columns, or the store cannot be
/// written; nothing was imported.
pub(super) fn run(
    settings: &Settings,
    wanted: &KeyImport,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let format = format(wanted)?;
    let (mut input, length) = input(&wanted.file)?;
    if is_first(&settings.store)? {
        input = refuse_digests(input, format, settings)?;
    }
    let (mut store, secret) = open_or_create(settings)?;
    let reader = Reader {
        settings,
        secret: &secret,
        now: now(),
    };
    let mut import = Import {
        settings,
        staging: store.stage()?,
        progress: Progress::new(length),
        tally: Tally {
            file: name(&wanted.file),
            good: 0,
            bad: 0,
        },
    };
    let file = name(&wanted.file);
    match format {
        Format::Csv => csv_rows(input, &file, &mut |row| import.row(row, &reader))?,
        Format::Jsonl => json_rows(input, &file, &mut |row| import.row(row, &reader))?,
    }
    let Import {
        staging,
        progress,
        mut tally,
        ..
    } = import;
    drop(progress);
    let writer = staging.change(
        &user(),
        now(),
        settings.store.lock_timeout,
        say_that_we_wait,
        |line, why| {
            tally.good -= 1;
            tally.bad(line.into(), &why);
        },
    )?;
    let Tally { good, bad, .. } = tally;
    if bad > SHOWN {
        say(format_args!("{} more rows are bad", bad - SHOWN));
    }
    if bad > 0 && !wanted.keep_going {
        say(format_args!(
            "nothing was imported: {bad} of {} rows are bad; mend them, or take the others with \
             --keep-going",
            good + bad
        ));
        return Ok(ExitCode::FAILURE);
    }
    check_number(settings, writer.keys())?;
    writer.commit()?;
    writeln!(out, "Imported {good} keys.")?;
    if bad > 0 {
        writeln!(out, "Left out {bad} bad rows.")?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// An import under way.
struct Import<'s> {
    settings: &'s Settings,
    staging: Staging<'s>,
    progress: Progress,
    tally: Tally,
}

/// How the rows were.
struct Tally {
    file: String,
    good: u64,
    bad: u64,
}

impl Tally {
    /// Counts a bad row, and shows it if it is among the first. Where nobody reads
    /// that, the exit code says it too.
    fn bad(&mut self, line: u64, why: &dyn fmt::Display) {
        self.bad += 1;
        if self.bad <= SHOWN {
            say(format_args!("{}:{line}: {why}", self.file));
        }
    }
}

impl Import<'_> {
    fn row(&mut self, row: Row<'_>, reader: &Reader<'_>) -> Result<(), Failure> {
        let Row {
            line,
            position,
            cells,
        } = row;
        self.progress.step(position);
        let key = match cells.and_then(|cells| reader.key(&cells)) {
            Ok(key) => key,
            Err(why) => {
                self.tally.bad(line, &why);
                return Ok(());
            }
        };
        let mark = u32::try_from(line).unwrap_or(u32::MAX);
        self.staging.add(mark, &key)?;
        self.tally.good += 1;
        // Said again of the whole store; here, before all is read.
        Ok(check_number(self.settings, self.tally.good)?)
    }
}

/// The form that is named, or that the file's name tells.
fn format(wanted: &KeyImport) -> Result<Format, OperatorError> {
    let told = wanted
        .file
        .extension()
        .and_then(|extension| match extension.to_str()? {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            _ => None,
        });
    wanted.format.or(told).ok_or_else(|| {
        OperatorError::new(format_args!(
            "{}: its name does not tell its form: say --format csv or --format jsonl",
            name(&wanted.file)
        ))
    })
}

/// Refuses digests where the secret is yet to be made: no key could ever fit one.
/// Told by the first line, as exports have it; the input, whole again.
///
/// # Errors
///
/// It names digests, or cannot be read.
fn refuse_digests(
    input: Box<dyn Read>,
    format: Format,
    settings: &Settings,
) -> Result<Box<dyn Read>, Failure> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    // One that is longer is refused by whoever reads it.
    let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
    read.map_err(|cause| OperatorError::wrap("the keys cannot be read", cause))?;
    if names_digests(&line, format) {
        return Err(OperatorError::new(format_args!(
            "the digests are of another server secret than that which would be made now, and no key would \
             work: first put the tokenkit.secret of the store that they were exported from at {}",
            settings.store.secret_file().display()
        ))
        .into());
    }
    Ok(Box::new(Cursor::new(line).chain(input)))
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn name(file: &Path) -> String {
    if is_stdin(file) {
        "standard input".into()
    } else {
        file.display().to_string()
    }
}

/// The file, opened, and its length where it has one.
fn input(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), OperatorError> {
    if is_stdin(file) {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let opened = File::open(file).and_then(|opened| Ok((opened.metadata()?, opened)));
    match opened {
        Ok((metadata, _)) if metadata.is_dir() => Err(OperatorError::new(format_args!(
            "{} is a folder: a file of keys is wanted",
            file.display()
        ))),
        Ok((metadata, opened)) => Ok((
            Box::new(opened),
            metadata.is_file().then_some(metadata.len()),
        )),
        Err(cause) => Err(OperatorError::new(format_args!(
            "{} cannot be read: {cause}",
            file.display()
        ))),
    }
}
