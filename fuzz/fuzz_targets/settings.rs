//! Whatever an operator writes into the file, the environment or `--set`: a
//! clear error of one line that shows no whole secret, or settings that, written
//! as a file, read as themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenkit::fuzzing::settings;
use tokenkit_fuzz::shows_a_secret;

/// The parts of an input: the file, then lines of `NAME=TEXT` behind each of
/// these.
const ENVIRONMENT: &str = "\n---\n";
const ASSIGNMENTS: &str = "\n===\n";

fuzz_target!(|input: &str| {
    let (input, assignments) = input.split_once(ASSIGNMENTS).unwrap_or((input, ""));
    let (file, environment) = input.split_once(ENVIRONMENT).unwrap_or((input, ""));
    let environment: Vec<_> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let assignments: Vec<_> = assignments.lines().collect();
    match settings(file, &environment, &assignments) {
        Ok(shown) => {
            let again = settings(&shown, &[], &[]);
            assert_eq!(again.as_ref(), Ok(&shown));
        }
        Err(told) => {
            assert!(!told.is_empty() && !told.contains(['\n', '\r']), "{told:?}");
            assert!(!shows_a_secret(&told), "{told}");
        }
    }
});
