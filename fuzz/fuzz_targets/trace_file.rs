//! Whatever a trace file holds, reading it ends with a trace or an error; and
//! in replaying it the engine and its slow twin answer every step alike.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tokenkit_fuzz::small_pages;
use tokenkit_fuzz::twins::Twins;
use trace::{Action, StepKind, Trace, replay};

/// Each replay sets up an engine; a long one only repeats what a short one does.
const MAX_STEPS: usize = 64;

/// The second before which steps are compared: far from where the engine's words end
/// and its times saturate, which the twin's do not.
const END: u64 = 1 << 35;

/// The windows that are compared: the engine tells those apart that are less
/// than 2^28 from each other, the twin all.
const WINDOWS: u64 = 1 << 28;

/// The longest token that is compared: the engine looks up no longer ones.
const MAX_TOKEN_LEN: usize = 512;

/// Whether the twin, which has no bounds, can be held against the engine.
fn within_bounds(trace: &Trace) -> bool {
    let end = END.min(u64::from(trace.config.failures.window_s) * WINDOWS);
    let mut tokens = trace.sessions.iter().map(|session| &session.token);
    tokens.all(|token| token.len() <= MAX_TOKEN_LEN)
        && trace.steps.iter().all(|step| {
            let token = match &step.kind {
                StepKind::Do(Action::AddSession(session)) => Some(&session.token),
                StepKind::Do(_) | StepKind::Decide { .. } => None,
            };
            step.at < end && token.is_none_or(|token| token.len() <= MAX_TOKEN_LEN)
        })
}

fuzz_target!(init: small_pages(), |bytes: &[u8]| -> Corpus {
    match Trace::parse(bytes) {
        Ok(mut trace) if trace.steps.len() <= MAX_STEPS && within_bounds(&trace) => {
            // Far more than so few steps name, and little to set up.
            trace.config.failures.max_addresses = 8192;
            if let Err(error) = replay::<Twins>(&trace) {
                assert!(!error.to_string().is_empty());
            }
        }
        Ok(_) => return Corpus::Reject,
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
