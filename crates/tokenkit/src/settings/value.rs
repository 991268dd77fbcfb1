//! A setting's value before it is checked: from a TOML file with the lines it
//! stands on, or from the plain text of a flag or a variable.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// The line of the file, from 1; 0 where there is no file.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Value>),
    Table(Vec<Entry>),
    /// A float or a date, as it was written: no setting is one.
    Other(String),
}

/// A key of a table, its line, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A syntax error: its line and what is wrong.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Reads a whole TOML file.
pub(super) fn parse_file(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        line: line_at(text, error.span()),
        what: error.message().replace('\n', ", "),
    })?;
    Ok(entries(table.get_ref(), text))
}

/// Reads one TOML value, such as `[{ path = "/v1/**" }]`.
pub(super) fn parse_value(text: &str) -> Result<Value, SyntaxError> {
    match DeValue::parse(text) {
        Ok(found) => Ok(Value {
            line: 0,
            ..value(&found, text)
        }),
        Err(error) => Err(SyntaxError {
            line: 0,
            what: error.message().replace('\n', ", "),
        }),
    }
}

impl Value {
    /// The value of a plain text.
    pub(super) fn text(text: &str) -> Self {
        Kind::Text(text.into()).into()
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { line: 0, kind }
    }
}

fn entries(table: &DeTable<'_>, text: &str) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, found)| Entry {
            key: key.get_ref().to_string(),
            line: line_at(text, Some(key.span())),
            value: value(found, text),
        })
        .collect()
}

fn value(found: &Spanned<DeValue<'_>>, text: &str) -> Value {
    let written = || text.get(found.span()).unwrap_or_default().trim().to_owned();
    let kind = match found.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Kind::Other(written()), Kind::Integer),
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Array(list) => Kind::List(list.iter().map(|item| value(item, text)).collect()),
        DeValue::Table(table) => Kind::Table(entries(table, text)),
        DeValue::Float(_) | DeValue::Datetime(_) => Kind::Other(written()),
    };
    Value {
        line: line_at(text, Some(found.span())),
        kind,
    }
}

/// The line, from 1, on which a span starts.
fn line_at(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    let before = text.as_bytes().get(..start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

impl fmt::Display for Value {
    /// As TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Kind::Integer(integer) => write!(f, "{integer}"),
            Kind::Flag(flag) => write!(f, "{flag}"),
            Kind::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Kind::Table(entries) => {
                f.write_str("{ ")?;
                for (i, Entry { key, value, .. }) in entries.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} = {value}")?;
                }
                f.write_str(" }")
            }
            Kind::Other(written) => f.write_str(written),
        }
    }
}
