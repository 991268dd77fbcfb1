//! Whatever a trace file holds, reading it ends with a trace or an error, and
//! replaying it with a report or an error.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use trace::{EngineSubject, Trace, replay};

/// Each replay sets up an engine; a long one only repeats what a short one does.
const MAX_STEPS: usize = 64;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match Trace::parse(bytes) {
        Ok(trace) if trace.steps.len() <= MAX_STEPS => {
            if let Err(error) = replay::<EngineSubject>(&trace) {
                assert!(!error.to_string().is_empty());
            }
        }
        Ok(_) => return Corpus::Reject,
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
