//! The files of an import, read a row at a time: what each says by its columns,
//! not yet whether it is a key. No message repeats what may be one.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

use super::rows::{Cells, Column};
use crate::cli::Format;
use crate::error::{Failure, OperatorError, without_secrets};
use crate::object_members::ObjectMembers;
use crate::settings::nearest;

/// The longest row, in bytes: far more than any key takes.
pub(crate) const MAX_LINE: u64 = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A row of a file.
pub(crate) struct Row<'r> {
    /// The line that it begins in, from 1.
    pub(crate) line: u64,
    /// Where it ends in the file, in bytes.
    pub(crate) position: u64,
    /// What it says; or why nothing.
    pub(crate) cells: Result<Cells<'r>, String>,
}

/// Whether the first line of a file says that its keys come as digests, as an
/// export has it.
pub(crate) fn names_digests(line: &[u8], format: Format) -> bool {
    let name = Column::Digest.as_str();
    match format {
        Format::Csv => csv::Reader::from_reader(line)
            .headers()
            .is_ok_and(|heads| heads.iter().any(|head| head.trim() == name)),
        Format::Jsonl => {
            let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            serde_json::from_slice(line).is_ok_and(|ObjectMembers(members)| {
                members.iter().any(|(member, _)| member == name)
            })
        }
    }
}

/// Reads a CSV file, whose first line names the columns, a row at a time.
///
/// # Errors
///
/// It cannot be read, has wrong columns, or a row is too long; or the first that
/// `each` returns.
pub(crate) fn csv_rows(
    input: impl Read,
    file: &str,
    each: &mut dyn FnMut(Row<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let of_row = Cell::new(0);
    let mut rows = csv::Reader::from_reader(BoundedRows {
        input,
        of_row: &of_row,
    });
    let unreadable = |line: u64, error: &csv::Error| match of_row.get() > MAX_LINE {
        true => OperatorError::new(format_args!(
            "{file}:{line}: the row is longer than {MAX_LINE} bytes: is a quote missing?"
        )),
        false => unreadable(file, error),
    };
    let columns = {
        let heads = rows.headers().map_err(|error| unreadable(1, &error))?;
        columns(heads).map_err(|why| OperatorError::new(format_args!("{file}:1: {why}")))?
    };
    let mut record = csv::StringRecord::new();
    loop {
        let line = rows.position().line();
        of_row.set(0);
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
                csv::ErrorKind::Io(_) => return Err(unreadable(line, &error).into()),
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
        each(Row {
            line,
            position: rows.position().byte(),
            cells,
        })?;
    }
}

/// Fails where one row takes more and more. What the reader above holds already
/// of a row is not counted, which is less than a buffer.
struct BoundedRows<'c, R> {
    input: R,
    /// Bytes that were read since a row began.
    of_row: &'c Cell<u64>,
}

impl<R: Read> Read for BoundedRows<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.of_row.get() > MAX_LINE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.input.read(bytes)?;
        self.of_row.set(self.of_row.get() + read as u64);
        Ok(read)
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

/// Reads a file of JSON objects, one a line.
///
/// # Errors
///
/// It cannot be read, or a line is too long; or the first that `each` returns.
pub(crate) fn json_rows(
    input: impl Read,
    file: &str,
    each: &mut dyn FnMut(Row<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut input = BufReader::new(input);
    let (mut line, mut position) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let read = input
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(|cause| OperatorError::new(format_args!("{file} cannot be read: {cause}")))?;
        if read == 0 {
            break;
        }
        position += read as u64;
        if read as u64 == MAX_LINE && !line.ends_with(b"\n") {
            return Err(OperatorError::new(format_args!(
                "{file}:{number}: the line is longer than {MAX_LINE} bytes: one JSON object a line is wanted"
            ))
            .into());
        }
        // As some programs begin a file of UTF-8; in CSV it is left out as well.
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if !line.trim_ascii().is_empty() {
            each(Row {
                line: number,
                position,
                cells: members(&line),
            })?;
        }
    }
    Ok(())
}

/// The members of a JSON line as cells.
fn members(line: &[u8]) -> Result<Cells<'static>, String> {
    use serde_json::Value;
    let ObjectMembers(members) =
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
                let mut cell = String::new();
                for item in &items {
                    let text = item.as_str();
                    // Before each, so that a list of an empty text is no empty list.
                    cell.push(' ');
                    cell += text.ok_or_else(|| format!("{name}: a list of texts is wanted"))?;
                }
                cell
            }
            Value::Array(_) | Value::Object(_) => return Err(wrong()),
        };
        cells.set(column, text);
    }
    Ok(cells)
}

fn unreadable(file: &str, error: &csv::Error) -> OperatorError {
    let why = match error.kind() {
        csv::ErrorKind::Io(cause) => cause.to_string(),
        _ => "it is no CSV in UTF-8".into(),
    };
    OperatorError::new(format_args!("{file} cannot be read: {why}"))
}
