//! Tables in Markdown.

/// A table under its heading row.
pub(crate) struct Table {
    text: String,
    rows: usize,
}

impl Table {
    /// With these columns; the numbers' stand to the right.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let rules = columns.iter().enumerate().map(|(number, _)| match number {
            0 => "---",
            _ => "---:",
        });
        let rules: Vec<&str> = rules.collect();
        let text = format!("| {} |\n|{}|\n", columns.join(" | "), rules.join("|"));
        Self { text, rows: 0 }
    }

    /// Adds a row; one in which only the first cell says something is left out.
    pub(crate) fn row(&mut self, cells: &[String]) {
        if cells.iter().skip(1).any(|cell| cell != NOTHING) {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            self.text += &format!("| {} |\n", cells.join(" | "));
            self.rows += 1;
        }
    }

    /// The table, or a word in its place where it has no rows.
    pub(crate) fn done(self) -> String {
        if self.rows == 0 {
            return "Not measured.\n".into();
        }
        self.text
    }
}

/// A cell for what was not measured.
pub(crate) const NOTHING: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_say_nothing_are_left_out() {
        let mut table = Table::new(&["row", "ns"]);
        table.row(&["allowed".into(), NOTHING.into()]);
        table.row(&["a|b".into(), "5".into()]);
        assert_eq!(table.done(), "| row | ns |\n|---|---:|\n| a\\|b | 5 |\n");
        assert_eq!(Table::new(&["row"]).done(), "Not measured.\n");
    }
}
