//! A table for people: columns as wide as their widest cell.

use std::io::{self, Write};

/// The columns' widths, learnt from the rows before any is written, so that a
/// table of a million rows is never held in memory.
pub(crate) struct TextTable<const N: usize> {
    heads: [&'static str; N],
    widths: [usize; N],
}

impl<const N: usize> TextTable<N> {
    /// A table without rows.
    pub(crate) fn new(heads: [&'static str; N]) -> Self {
        Self {
            heads,
            widths: heads.map(str::len),
        }
    }

    /// Makes the columns wide enough for a row.
    pub(crate) fn fit(&mut self, row: &[String; N]) {
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }

    /// Writes the head.
    pub(crate) fn write_head(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(&self.heads.map(String::from), out)
    }

    /// Writes a row.
    pub(crate) fn write(&self, row: &[String; N], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(self.widths) {
            let gap = if line.is_empty() { "" } else { "  " };
            line.push_str(&format!("{gap}{cell:width$}"));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["é", "1"], ["long", ""]].map(|row| row.map(String::from));
        let mut table = TextTable::new(["A", "HEAD"]);
        rows.iter().for_each(|row| table.fit(row));
        let mut out = Vec::new();
        table.write_head(&mut out).unwrap();
        rows.iter()
            .for_each(|row| table.write(row, &mut out).unwrap());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A     HEAD\né     1\nlong\n"
        );
    }
}
