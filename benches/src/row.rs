//! Workloads: what the requests of a run have in common.

use std::fmt;

use engine::Reason;

/// One workload: all its requests have one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A live key with budget left.
    Allowed,
    /// The form of a key, but no such key.
    Unknown,
    /// A known key with one character mistyped.
    Malformed,
    /// No key at all.
    Missing,
    /// A live key whose budget for the hour is used up.
    Limited,
    /// A live key from one of the blocked addresses.
    Blocked,
}

impl Row {
    /// Every row, those of one [`State`] together.
    pub const ALL: [Self; 6] = [
        Self::Allowed,
        Self::Unknown,
        Self::Malformed,
        Self::Missing,
        Self::Limited,
        Self::Blocked,
    ];

    /// The outcome of each of its requests.
    pub fn outcome(self) -> Reason {
        match self {
            Self::Allowed => Reason::Allowed,
            Self::Unknown => Reason::UnknownKey,
            Self::Malformed => Reason::MalformedKey,
            Self::Missing => Reason::MissingKey,
            Self::Limited => Reason::HourlyLimit,
            Self::Blocked => Reason::IpBlocked,
        }
    }

    /// Whether each of its requests counts as a failure of its address.
    pub fn counts_failures(self) -> bool {
        matches!(self, Self::Malformed | Self::Unknown)
    }

    /// The state that its subject has to be in.
    pub fn state(self) -> State {
        match self {
            Self::Limited | Self::Blocked => State::Strict,
            _ => State::Open,
        }
    }

    /// The row of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.to_string() == name)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Limited => "limited",
            Self::Blocked => "blocked",
        })
    }
}

/// What a subject is like before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Room for any run: budgets that last, and as many failures as there can
    /// be before an address is blocked.
    Open,
    /// Budgets of one unit, which are used up, and blocked addresses.
    Strict,
}

impl State {
    /// The hourly limit of every key.
    pub fn hourly_limit(self) -> u32 {
        match self {
            Self::Open => 1_000_000_000,
            Self::Strict => 1,
        }
    }

    /// Failures within the window that block an address: the most there is,
    /// or few, for so many are needed to block one.
    pub fn threshold(self) -> u32 {
        match self {
            Self::Open => 4094,
            Self::Strict => 10,
        }
    }

    /// Addresses that are blocked.
    pub fn blocked(self) -> u32 {
        match self {
            Self::Open => 0,
            Self::Strict => 10_000,
        }
    }
}

/// How often each key is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Each as often as any other.
    Uniform,
    /// The n-th as often as 1/n: a few do most of the work.
    Zipf,
    /// One alone.
    Hot,
}

impl Draw {
    /// Every draw.
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Zipf, Self::Hot];
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::Hot => "hot",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_its_name() {
        for row in Row::ALL {
            assert_eq!(Row::of(&row.to_string()), Some(row));
        }
        assert_eq!(Row::of("blake3"), None);
    }
}
