//! What stands around every call from C: a panic goes no further than here,
//! and why a call failed is kept for its thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::last_error;
use crate::result::{Refusal, tk_result};

/// Runs the body of a call.
///
/// Fails closed: whoever has a decision to make gets none from a body that
/// panicked, and so writes the one that denies.
#[inline]
pub(crate) fn call(body: impl FnOnce() -> Result<(), Refusal>) -> tk_result {
    // The engine is made to go on after a panic: its locks are never held by
    // one that leaves a change half made.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => tk_result::TK_OK,
        Ok(Err(refusal)) => refused(&refusal),
        Err(payload) => {
            // What it was thrown with may panic once more when it is dropped.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            refused(&Refusal::of(
                tk_result::TK_ERR_INTERNAL,
                "a fault of the library: the call was given up; please report what was \
                 printed to standard error",
            ))
        }
    }
}

#[cold]
#[inline(never)]
fn refused(refusal: &Refusal) -> tk_result {
    last_error::keep(&refusal.text);
    refusal.result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_internal_error() {
        let result = call(|| panic!("as a test"));
        assert_eq!(result, tk_result::TK_ERR_INTERNAL);
        assert_eq!(call(|| Ok(())), tk_result::TK_OK);
    }
}
