//! A progress bar on standard error, for what takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over sooner shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// Steps between two looks at the clock.
const STRIDE: u64 = 1024;

/// Counts steps; shows a bar from the first second on, if standard error is a
/// terminal. It is gone when this is dropped.
pub(crate) struct Progress {
    started: Instant,
    steps: u64,
    /// What the position is of: bytes of a file; unknown for a stream.
    length: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts to count towards a length, if one is known.
    pub(crate) fn new(length: Option<u64>) -> Self {
        Self {
            started: Instant::now(),
            steps: 0,
            length,
            bar: None,
        }
    }

    /// One more row is done, at a position of the length.
    pub(crate) fn step(&mut self, position: u64) {
        self.steps += 1;
        if !self.steps.is_multiple_of(STRIDE) {
            return;
        }
        if self.bar.is_none() && self.started.elapsed() >= PATIENCE {
            self.bar = Some(bar(self.length));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(self.steps.to_string());
            bar.set_position(position);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Hidden where standard error is no terminal.
fn bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:40} {percent:>3} %  {msg} keys  {eta} left",
        None => "{spinner} {msg} keys",
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style)
}
