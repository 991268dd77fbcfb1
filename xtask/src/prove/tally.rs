//! What a check's programs say of themselves, as figures.

use crate::figures::grouped;

/// What the lines of its programs told of one check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// What stood behind `proved: `, in its order.
    proved: Vec<String>,
    /// Tests that passed, by all programs.
    passed: u64,
    /// Inputs that fuzz targets ran.
    executions: u64,
}

/// By this word a test says how much it did.
const PROVED: &str = "proved: ";

impl Tally {
    /// Takes a line; whether it is worth showing as it comes.
    pub(crate) fn told(&mut self, line: &str) -> bool {
        if let Some((_, what)) = line.split_once(PROVED) {
            self.proved.push(what.trim().to_owned());
            return true;
        }
        if let Some(rest) = line.strip_prefix("test result: ok. ") {
            self.passed += leading_number(rest);
            return true;
        }
        if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions += leading_number(rest.trim());
            return true;
        }
        // How far a long run is.
        line.ends_with(" a second")
    }

    /// All of it in words; of what was done many times over, how often.
    pub(crate) fn figures(&self) -> String {
        let mut figures: Vec<String> = Vec::new();
        match self.proved.as_slice() {
            [] => {}
            few if few.len() <= MOST_LINES => figures.extend(few.iter().cloned()),
            many => {
                let last = many.last().map_or("", String::as_str);
                figures.push(format!("{} rounds, the last: {last}", many.len()));
            }
        }
        if self.executions > 0 {
            figures.push(format!("{} executions", grouped(self.executions)));
        }
        if self.passed > 0 {
            figures.push(format!("{} tests passed", grouped(self.passed)));
        }
        figures.join("; ")
    }
}

/// So many lines are told one by one.
const MOST_LINES: usize = 8;

/// The number that a text begins with; 0 where it begins with none.
fn leading_number(text: &str) -> u64 {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_becomes_figures() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            ".proved: 1000 operations in 2.0 s, seed 7",
            "test result: ok. 12 passed; 0 failed; 0 ignored",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "stat::number_of_executed_units: 1234567",
        ] {
            assert_eq!(tally.told(line), line != "running 3 tests");
        }
        assert_eq!(
            tally.figures(),
            "1000 operations in 2.0 s, seed 7; 1,234,567 executions; 15 tests passed"
        );
        assert!(!tally.told("test result: FAILED. 1 passed"));
    }

    #[test]
    fn many_rounds_are_counted() {
        let mut tally = Tally::default();
        for round in 1..=9 {
            tally.told(&format!("proved: {round} kills"));
        }
        assert_eq!(tally.figures(), "9 rounds, the last: 9 kills");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(7, "7"), (1234, "1,234"), (100_000, "100,000")] {
            assert_eq!(grouped(number), text);
        }
    }
}
