//! What is counted: looked at in the server's ledger, which is not changed.

use engine::{EngineBuilder, Explaining, Explanation};
#[cfg(target_os = "linux")]
use engine::{LedgerError, LedgerView};

use crate::error::OperatorError;
use crate::settings::Settings;

/// The counts by which a request is explained.
pub(super) struct Counts {
    #[cfg(target_os = "linux")]
    view: Option<LedgerView>,
    /// What there is to know about them.
    note: Option<&'static str>,
}

const IN_MEMORY: &str = "store.ledger is none: what a server has counted is in its memory alone, so this is told as \
     though nothing had been used and nobody had guessed";
#[cfg(target_os = "linux")]
const NOT_YET: &str = "there is no ledger yet: nothing has been used";

/// Finds the counts of the settings' ledger.
///
/// # Errors
///
/// The ledger cannot be read, or was made for other settings: the server would
/// not start.
pub(super) fn of(settings: &Settings, builder: &EngineBuilder) -> Result<Counts, OperatorError> {
    let Some(path) = settings.store.ledger() else {
        return Ok(Counts {
            #[cfg(target_os = "linux")]
            view: None,
            note: Some(IN_MEMORY),
        });
    };
    builder
        .clone()
        .ledger(&path)
        .check()
        .map_err(|error| OperatorError::with_causes(&error))?;
    #[cfg(target_os = "linux")]
    return match LedgerView::open(&path) {
        Ok(view) => Ok(Counts {
            view: Some(view),
            note: None,
        }),
        Err(LedgerError::Missing(_)) => Ok(Counts {
            view: None,
            note: Some(NOT_YET),
        }),
        Err(error) => Err(OperatorError::with_causes(&error)),
    };
    // The check above has refused.
    #[cfg(not(target_os = "linux"))]
    Ok(Counts { note: None })
}

impl Counts {
    /// Makes an explanation by them.
    pub(super) fn explain(&self, explaining: Explaining<'_>) -> Explanation {
        #[cfg(target_os = "linux")]
        if let Some(view) = &self.view {
            return explaining.counted_in(view).explain();
        }
        explaining.explain()
    }

    /// What there is to know about them.
    pub(super) fn note(&self) -> Option<&'static str> {
        self.note
    }
}
