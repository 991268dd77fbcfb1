//! What was used as programs are told of it, by the command line and by the
//! admin API alike.

use serde::Serialize;
use store::Usage;

use crate::when::show_when;

const HOUR_S: u64 = 3600;

/// The columns of a row, in the order of [`UsageView::row`].
pub(crate) const HEADS: [&str; 6] = ["id", "key", "project", "hour", "units", "final"];

/// What a key has used in an hour. The names of the members are stable.
#[derive(Serialize)]
pub(crate) struct UsageView {
    /// The same for ever: who takes the row twice knows it by this.
    id: String,
    key: String,
    /// `null` where the store does not know the key.
    project: Option<String>,
    /// When the hour began.
    hour: String,
    units: u64,
    /// Whether the hour is over, and nothing more of it is to come.
    #[serde(rename = "final")]
    is_final: bool,
}

impl UsageView {
    pub(crate) fn of(usage: &Usage, final_before: u32) -> Self {
        Self {
            id: usage.id(),
            key: usage.key.to_string(),
            project: usage.project.map(|name| name.to_string()),
            hour: show_when(u64::from(usage.hour) * HOUR_S),
            units: usage.used,
            is_final: usage.hour < final_before,
        }
    }

    /// The same as cells of a table.
    pub(crate) fn row(self) -> [String; 6] {
        [
            self.id,
            self.key,
            self.project.unwrap_or_default(),
            self.hour,
            self.units.to_string(),
            self.is_final.to_string(),
        ]
    }
}

/// The number of the first hour that begins at a unix second or later.
pub(crate) fn hour_from(unix_s: u64) -> u32 {
    u32::try_from(unix_s.div_ceil(HOUR_S)).unwrap_or(u32::MAX)
}
