//! `tokenkit key import`: keys from CSV or JSON lines, a row at a time. They are
//! gathered beside the store, where they hold up nobody else's change, and then
//! put into it in one. Keys are stored as digests; no message shows one.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use store::Staging;

use super::progress::Progress;
use super::rows::{Cells, Column, Reader};
use crate::cli::{Format, KeyImport};
use crate::error::{Failure, OperatorError, without_secrets};
use crate::keystore::{check_number, now, open_or_create, say_that_we_wait, user};
use crate::settings::{Settings, nearest};

/// The longest line of JSON, in bytes: far more than any key takes.
const MAX_LINE: u64 = 1 << 20;
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
    let (input, length) = input(&wanted.file)?;
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
    match format {
        Format::Csv => csv_rows(input, &reader, &mut import)?,
        Format::Jsonl => json_rows(input, &reader, &mut import)?,
    }
    let Import {
        staging,
        progress,
        mut tally,
        ..
    } = import;
    drop(progress);
    let mut told = Ok(());
    let writer = staging.change(
        &user(),
        now(),
        settings.store.lock_timeout,
        say_that_we_wait,
        |line, why| {
            tally.good -= 1;
            if told.is_ok() {
                told = tally.bad(line.into(), &why);
            }
        },
    )?;
    told?;
    let Tally { good, bad, .. } = tally;
    if bad > SHOWN {
        writeln!(io::stderr(), "tokenkit: {} more rows are bad", bad - SHOWN)?;
    }
    if bad > 0 && !wanted.keep_going {
        writeln!(
            io::stderr(),
            "tokenkit: nothing was imported: {bad} of {} rows are bad; mend them, or take the others \
             with --keep-going",
            good + bad
        )?;
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
    /// Counts a bad row, and shows it if it is among the first.
    fn bad(&mut self, line: u64, why: &dyn fmt::Display) -> io::Result<()> {
        self.bad += 1;
        if self.bad <= SHOWN {
            writeln!(io::stderr(), "tokenkit: {}:{line}: {why}", self.file)?;
        }
        Ok(())
    }
}

impl Import<'_> {
    /// One row: its line, where it ends in the file, and what it says.
    fn row(
        &mut self,
        line: u64,
        position: u64,
        cells: Result<Cells<'_>, String>,
        reader: &Reader<'_>,
    ) -> Result<(), Failure> {
        self.progress.step(position);
        let key = match cells.and_then(|cells| reader.key(&cells)) {
            Ok(key) => key,
            Err(why) => return Ok(self.tally.bad(line, &why)?),
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

fn csv_rows(
    input: Box<dyn Read>,
    reader: &Reader<'_>,
    import: &mut Import<'_>,
) -> Result<(), Failure> {
    let mut rows = csv::Reader::from_reader(BufReader::new(input));
    let columns = {
        let heads = rows
            .headers()
            .map_err(|error| unreadable(&import.tally.file, &error))?;
        columns(heads)
            .map_err(|why| OperatorError::new(format_args!("{}:1: {why}", import.tally.file)))?
    };
    let mut record = csv::StringRecord::new();
    loop {
        let line = rows.position().line();
        let cells = match rows.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let mut cells = Cells::default();
                for (column, text) in columns.iter().zip(&record) {
                    cells.set(*column, text);
                }
                Ok(cells)
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::Io(_) => return Err(unreadable(&import.tally.file, &error).into()),
                csv::ErrorKind::UnequalLengths {
                    expected_len, len, ..
                } => Err(format!(
                    "it has {len} cells, but the first line names {expected_len} columns"
                )),
                csv::ErrorKind::Utf8 { .. } => Err("it is not UTF-8".into()),
                _ => Err("it is no CSV".into()),
            },
        };
        let line = record.position().map_or(line, csv::Position::line);
        import.row(line, rows.position().byte(), cells, reader)?;
    }
}

/// The columns that the first line names.
fn columns(heads: &csv::StringRecord) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for head in heads {
        let column = known_column(head.trim()).map_err(|why| {
            format!("{why}; the first line names the columns, see `tokenkit key import --help`")
        })?;
        if columns.contains(&column) {
            return Err(format!("the column {} stands there twice", column.as_str()));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn known_column(name: &str) -> Result<Column, String> {
    Column::of(name).ok_or_else(|| {
        let meant = nearest(name, Column::ALL.iter().map(|column| column.as_str()));
        format!(
            "there is no column {:?}: is {meant} meant?",
            without_secrets(name)
        )
    })
}

fn json_rows(
    input: Box<dyn Read>,
    reader: &Reader<'_>,
    import: &mut Import<'_>,
) -> Result<(), Failure> {
    let mut input = BufReader::new(input);
    let (mut line, mut position) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let read = input
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|cause| {
                OperatorError::new(format_args!(
                    "{} cannot be read: {cause}",
                    import.tally.file
                ))
            })?;
        if read == 0 {
            break;
        }
        position += read as u64;
        if read as u64 == MAX_LINE && !line.ends_with(b"\n") {
            return Err(OperatorError::new(format_args!(
                "{}:{number}: the line is longer than {MAX_LINE} bytes: one JSON object a line is wanted",
                import.tally.file
            ))
            .into());
        }
        if !line.trim_ascii().is_empty() {
            import.row(number, position, members(&line), reader)?;
        }
    }
    Ok(())
}

/// The members of a JSON line as cells.
fn members(line: &[u8]) -> Result<Cells<'static>, String> {
    use serde_json::Value;
    let Members(members) =
        serde_json::from_slice(line).map_err(|error| match error.classify() {
            // What serde says of data repeats it, and it could be a key.
            serde_json::error::Category::Data => "a JSON object is wanted".to_owned(),
            _ => format!("it is no JSON: {error}"),
        })?;
    let mut cells = Cells::default();
    let mut seen = Vec::new();
    for (name, value) in members {
        let column = known_column(&name).map_err(|why| why.replacen("column", "member", 1))?;
        if seen.contains(&column) {
            return Err(format!("the member {name} stands there twice"));
        }
        seen.push(column);
        let wrong = || format!("{name}: a text, a number, true, false or null is wanted");
        let text = match value {
            Value::Null => String::new(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text,
            Value::Array(items) if matches!(column, Column::Origins | Column::Ips) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts
                    .ok_or_else(|| format!("{name}: a list of texts is wanted"))?
                    .join(" ")
            }
            Value::Array(_) | Value::Object(_) => return Err(wrong()),
        };
        cells.set(column, text);
    }
    Ok(cells)
}

/// A JSON object as it is written: a member that stands twice is seen.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

fn unreadable(file: &str, error: &csv::Error) -> OperatorError {
    let why = match error.kind() {
        csv::ErrorKind::Io(cause) => cause.to_string(),
        _ => "it is no CSV in UTF-8".into(),
    };
    OperatorError::new(format_args!("{file} cannot be read: {why}"))
}
