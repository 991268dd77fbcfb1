//! Away from the end of an hour, at which a budget begins anew.

use std::time::Duration;

use crate::client::Answer;
use crate::wait::{pause, wait_until};

/// Waits until the hour has so many seconds left at least, as the budget in an
/// answer says; at most for as many.
pub fn away_from_its_end(seconds: u64, mut ask: impl FnMut() -> Answer) {
    assert!(seconds < 60, "a test waits for a minute at most");
    wait_until("the hour is not about to end", || {
        let answer = ask();
        let budget = answer.header("ratelimit").unwrap_or_default();
        let left = budget
            .rsplit_once("t=")
            .and_then(|(_, left)| left.parse().ok());
        let left: u64 = left.unwrap_or_else(|| panic!("no budget in {answer:?}"));
        if left < seconds {
            pause(Duration::from_secs(1));
        }
        left >= seconds
    });
}
