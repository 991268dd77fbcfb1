//! Where the next page of a list begins.

use std::fmt;
use std::str::FromStr;

use crate::error::{Result, StoreError};

/// The longest cursor, in bytes.
const MAX_LEN: usize = 200;

/// Where the next page of a list begins: text that only the store reads, and
/// that belongs to the list that gave it. It stays good while the list changes:
/// what was on an earlier page is on no later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Box<str>);

/// A text that is no [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorError;

impl Cursor {
    /// The cursor as text: letters, digits and `.` only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A cursor of a kind of list, behind a row's place in it.
    pub(crate) fn of(kind: char, place: &[Part<'_>]) -> Self {
        let mut text = String::from(kind);
        for (index, part) in place.iter().enumerate() {
            if index > 0 {
                text.push('.');
            }
            match part {
                Part::Number(number) => text.push_str(&format!("{number:x}")),
                Part::Text(bytes) => {
                    text.push('t');
                    for byte in bytes.as_bytes() {
                        text.push_str(&format!("{byte:02x}"));
                    }
                }
            }
        }
        Self(text.into())
    }

    /// The parts of a cursor of a kind.
    fn parts(&self, kind: char) -> Result<std::str::Split<'_, char>> {
        let place = self.0.strip_prefix(kind).ok_or(StoreError::OtherCursor)?;
        Ok(place.split('.'))
    }

    /// The place, where it is one number.
    pub(crate) fn number(&self, kind: char) -> Result<i64> {
        let mut parts = self.parts(kind)?;
        match (parts.next().and_then(number), parts.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(StoreError::OtherCursor),
        }
    }

    /// The place, where it is two numbers.
    pub(crate) fn numbers(&self, kind: char) -> Result<(i64, i64)> {
        let mut parts = self.parts(kind)?;
        match (
            parts.next().and_then(number),
            parts.next().and_then(number),
            parts.next(),
        ) {
            (Some(one), Some(two), None) => Ok((one, two)),
            _ => Err(StoreError::OtherCursor),
        }
    }

    /// The place, where it is a number and a text.
    pub(crate) fn number_and_text(&self, kind: char) -> Result<(i64, String)> {
        let mut parts = self.parts(kind)?;
        match (
            parts.next().and_then(number),
            parts.next().and_then(text),
            parts.next(),
        ) {
            (Some(one), Some(two), None) => Ok((one, two)),
            _ => Err(StoreError::OtherCursor),
        }
    }

    /// The place, where it is a text.
    pub(crate) fn text(&self, kind: char) -> Result<String> {
        let mut parts = self.parts(kind)?;
        match (parts.next().and_then(text), parts.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(StoreError::OtherCursor),
        }
    }
}

/// A part of a row's place in its list.
pub(crate) enum Part<'p> {
    Number(i64),
    Text(&'p str),
}

fn number(part: &str) -> Option<i64> {
    i64::from_str_radix(part, 16)
        .ok()
        .filter(|number| *number >= 0)
}

fn text(part: &str) -> Option<String> {
    let (pairs, []) = part.strip_prefix('t')?.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs.iter().map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> std::result::Result<Self, CursorError> {
        let is_one = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_one && !text.is_empty() && text.len() <= MAX_LEN {
            Ok(Self(text.into()))
        } else {
            Err(CursorError)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no cursor: give the one that came with the page before, or none")
    }
}

impl std::error::Error for CursorError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let cursor = Cursor::of('k', &[Part::Number(7)]);
        assert_eq!(
            cursor.as_str().parse::<Cursor>().unwrap().number('k').ok(),
            Some(7)
        );
        let cursor = Cursor::of('e', &[Part::Number(i64::MAX), Part::Number(0)]);
        assert_eq!(cursor.numbers('e').ok(), Some((i64::MAX, 0)));
        let cursor = Cursor::of('u', &[Part::Number(1), Part::Text("a b.")]);
        assert_eq!(cursor.number_and_text('u').ok(), Some((1, "a b.".into())));
        let cursor = Cursor::of('p', &[Part::Text("~")]);
        assert_eq!(cursor.text('p').ok().as_deref(), Some("~"));
    }

    #[test]
    fn what_no_list_gave_is_refused() {
        for bad in ["", "k 1", "k/1", "k\u{e9}", &"k".repeat(MAX_LEN + 1)] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
        for wrong in ["k", "k1.2", "e1", "kx", "k80000000000000000", "k.", "kt61"] {
            let cursor: Cursor = wrong.parse().unwrap();
            assert!(matches!(cursor.number('k'), Err(StoreError::OtherCursor)));
        }
        for wrong in ["p", "p61", "pt6", "ptzz", "ptff", "pt61.1"] {
            let cursor: Cursor = wrong.parse().unwrap();
            assert!(matches!(cursor.text('p'), Err(StoreError::OtherCursor)));
        }
    }
}
