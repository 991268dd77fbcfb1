//! The log: structured lines on standard error.

mod lines;

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use self::lines::Lines;
use super::metrics::Totals;
use crate::error::OperatorError;
use crate::settings::{Log, LogFormat, LogLevel};

pub(super) use self::lines::LastLines;

/// The log's level, which can be changed while it is written.
pub(super) struct Logging {
    level: Handle<LevelFilter, Registry>,
}

impl Logging {
    /// Starts the log of this process. What comes with it is to be dropped last.
    ///
    /// # Errors
    ///
    /// There is one already, or no thread to write it.
    pub(super) fn start(
        log: &Log,
        totals: &Arc<Totals>,
    ) -> Result<(Self, LastLines), OperatorError> {
        let lines = Lines::start(Arc::clone(totals))?;
        let last = LastLines(Arc::clone(&lines));
        let (level, handle) = reload::Layer::new(filter(log.level));
        let lines = fmt::layer().with_writer(lines);
        let lines = match log.format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(level)
            .with(lines)
            .try_init()
            .map_err(|error| OperatorError::wrap("cannot start the log", error))?;
        Ok((Self { level: handle }, last))
    }

    /// Changes the level.
    pub(super) fn set_level(&self, level: LogLevel) {
        // Fails only where the log itself is gone, with nobody left to tell.
        let _ = self.level.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
