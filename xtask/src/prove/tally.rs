//! What a check's programs say of themselves, as figures.

use super::plan::{Least, Work};
use crate::figures::grouped;
use crate::proofs;
use crate::shell::Failure;

/// What the lines of its programs told of one check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// What stood behind `proved: `, in its order.
    proved: Vec<String>,
    /// Tests that passed, by all programs, in the rounds before this one.
    passed_before: u64,
    /// Likewise, in this round.
    passed: u64,
    /// How often all was run.
    rounds: u64,
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
        if let Some(passed) = passed(line) {
            self.passed += passed;
            return true;
        }
        if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions += leading_number(rest.trim());
            return true;
        }
        // How far a long run is.
        line.ends_with(" a second")
    }

    /// Ends a round, which must have done so much.
    pub(crate) fn end_round(&mut self, least: Least) -> Result<(), Failure> {
        let tests = match least.work {
            Work::Tests(tests) => tests,
            Work::Named(name) => proofs::engine_tests(name)?,
            Work::Executions => 0,
        };
        if self.passed < tests {
            return Err(Failure::found(format!(
                "{} tests passed, where there have to be {tests}: one is called otherwise than what \
                 is asked for, or its module is lost",
                self.passed
            )));
        }
        let is_idle = matches!(least.work, Work::Executions) && self.executions == 0;
        if is_idle || least.is_told && self.proved.is_empty() {
            return Err(Failure::found(
                "nothing says how much was done, where something has to",
            ));
        }
        self.rounds += 1;
        self.passed_before += self.passed;
        self.passed = 0;
        Ok(())
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
        figures.extend(self.tests());
        figures.join("; ")
    }

    /// How many tests passed, and where all were run again and again, how often.
    fn tests(&self) -> Option<String> {
        let all = self.passed_before + self.passed;
        let of = |tests| match tests {
            1 => "1 test".to_owned(),
            tests => format!("{} tests", grouped(tests)),
        };
        // A round that failed halfway is none of them.
        let rounds = grouped(self.rounds);
        match self.passed_before.checked_div(self.rounds) {
            _ if all == 0 => None,
            Some(each) if self.rounds > 1 && self.passed == 0 && each * self.rounds == all => {
                Some(format!("{} passed, {rounds} times over", of(each)))
            }
            _ if self.rounds > 1 => Some(format!("{} passed in {rounds} rounds", of(all))),
            _ => Some(format!("{} passed", of(all))),
        }
    }
}

/// The tests that passed, where a line tells of a test binary that did.
pub(super) fn passed(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("test result: ok. ")?;
    Some(leading_number(rest))
}

/// So many lines are told one by one: as many as the tests of one check have.
const MOST_LINES: usize = 12;

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
        for round in 1..=MOST_LINES + 1 {
            tally.told(&format!("proved: {round} kills"));
        }
        assert_eq!(tally.figures(), "13 rounds, the last: 13 kills");
    }

    /// A tally of rounds with so many tests each.
    fn rounds(tests: u64, rounds: u64) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..rounds {
            tally.told(&format!("test result: ok. {tests} passed; 0 failed"));
            tally.end_round(Least::tests(tests)).unwrap();
        }
        tally
    }

    #[test]
    fn tests_of_many_rounds_are_told_once() {
        assert_eq!(rounds(5, 42).figures(), "5 tests passed, 42 times over");
        assert_eq!(rounds(1, 1).figures(), "1 test passed");
        let mut failing = rounds(5, 2);
        failing.told("test result: ok. 3 passed; 0 failed");
        assert_eq!(failing.figures(), "13 tests passed in 2 rounds");
    }

    #[test]
    fn a_round_must_have_done_something() {
        let mut tally = Tally::default();
        let refused = |tally: &mut Tally, least, words: &str| {
            let refused = tally.end_round(least).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        };
        let told = |work| Least {
            work,
            is_told: true,
        };
        let named = Work::Named("loom");
        // What a filter says that matches nothing.
        tally.told("test result: ok. 0 passed; 0 failed; 0 ignored; 14 filtered out");
        refused(&mut tally, Least::tests(1), "0 tests passed");
        refused(&mut tally, told(Work::Executions), "nothing says");
        tally.told("test result: ok. 1 passed; 0 failed; 0 ignored; 13 filtered out");
        refused(&mut tally, Least::tests(2), "1 tests passed");
        refused(&mut tally, told(Work::Tests(1)), "nothing says");
        refused(&mut tally, told(named), "1 tests passed");
        tally.told("proved: 7 operations");
        tally.end_round(told(Work::Tests(1))).unwrap();
        // What an earlier round did is none of this one's.
        refused(&mut tally, Least::tests(1), "0 tests passed");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(7, "7"), (1234, "1,234"), (100_000, "100,000")] {
            assert_eq!(grouped(number), text);
        }
    }
}
