//! The log: structured lines on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::error::OperatorError;
use crate::settings::{Log, LogFormat, LogLevel};

/// The log's level, which can be changed while it is written.
pub(super) struct Logging {
    level: Handle<LevelFilter, Registry>,
}

impl Logging {
    /// Starts the log of this process.
    ///
    /// # Errors
    ///
    /// There is one already.
    pub(super) fn start(log: &Log) -> Result<Self, OperatorError> {
        let (level, handle) = reload::Layer::new(filter(log.level));
        let lines = fmt::layer().with_writer(io::stderr);
        let lines = match log.format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(level)
            .with(lines)
            .try_init()
            .map_err(|error| OperatorError::wrap("cannot start the log", error))?;
        Ok(Self { level: handle })
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
