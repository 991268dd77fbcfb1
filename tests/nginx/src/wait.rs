//! Waiting for what another program does: it can only be asked again.

use std::time::{Duration, Instant};

/// Far more than anything here takes, on however busy a machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits for something to become true, and says how long it took.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(PAUSE);
    }
    begun.elapsed()
}

/// Lets time pass: where that is what a test is about.
#[expect(
    clippy::disallowed_methods,
    reason = "another program cannot be waited for otherwise"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
