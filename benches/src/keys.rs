//! The keys that are measured, and the requests drawn over them.

use std::fmt;
use std::net::Ipv4Addr;

use engine::Reason;
use fastrand::Rng;

use crate::form::{self, Key};

/// One workload: all its requests have one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A live key with budget left.
    Allowed,
    /// A key whose budget for the hour is used up.
    Limited,
    /// A known key with one character mistyped.
    Malformed,
    /// No key at all.
    Missing,
    /// The form of a key, but no such key.
    Unknown,
}

impl Row {
    /// Every row; last the one that needs keys of another limit.
    pub const ALL: [Self; 5] = [
        Self::Allowed,
        Self::Unknown,
        Self::Malformed,
        Self::Missing,
        Self::Limited,
    ];

    /// The outcome of each of its requests.
    pub fn outcome(self) -> Reason {
        match self {
            Self::Allowed => Reason::Allowed,
            Self::Limited => Reason::HourlyLimit,
            Self::Malformed => Reason::MalformedKey,
            Self::Missing => Reason::MissingKey,
            Self::Unknown => Reason::UnknownKey,
        }
    }

    /// The hourly limit of every key: room for any run, or one unit, which is
    /// used up beforehand.
    pub fn hourly_limit(self) -> u32 {
        match self {
            Self::Limited => 1,
            _ => 1_000_000_000,
        }
    }

    /// Whether each of its requests counts as a failure of its address.
    pub fn counts_failures(self) -> bool {
        matches!(self, Self::Malformed | Self::Unknown)
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
            Self::Limited => "limited",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        })
    }
}

/// One request: a cache line, so that a run reads requests in sequence and
/// what it measures is the subject's own misses.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Drawn {
    key: Key,
    has_key: bool,
    client: Ipv4Addr,
}

impl Drawn {
    /// The `api-key` header.
    pub fn key(&self) -> Option<&Key> {
        self.has_key.then_some(&self.key)
    }

    /// Where the request comes from.
    pub fn client(&self) -> Ipv4Addr {
        self.client
    }
}

/// Keys drawn from a seed: the same in every run.
pub struct Keys {
    keys: Vec<Key>,
}

/// A run repeats its requests only after so many, that a branch predictor may
/// not learn them by heart.
const MIN_REQUESTS: usize = 65_536;

impl Keys {
    /// Draws `count` keys.
    #[must_use]
    pub fn draw(count: usize) -> Self {
        let mut rng = Rng::with_seed(0x0070_6B69);
        Self {
            keys: (0..count).map(|_| form::draw(&mut rng)).collect(),
        }
    }

    /// All keys.
    #[must_use]
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// Draws the requests of a row, lying in sequence in memory: keys drawn
    /// uniformly, and as many addresses as keys, such that each comes equally often, in an
    /// order shuffled anew each time.
    #[must_use]
    pub fn requests(&self, row: Row) -> Vec<Drawn> {
        let mut rng = Rng::with_seed(row as u64);
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        let rounds = MIN_REQUESTS.div_ceil(order.len());
        let mut requests = Vec::with_capacity(rounds * order.len());
        for _ in 0..rounds {
            rng.shuffle(&mut order);
            for &number in &order {
                let known = self.keys[rng.usize(..self.keys.len())];
                let key = match row {
                    Row::Unknown => form::draw(&mut rng),
                    Row::Malformed => form::mistype(known, &mut rng),
                    Row::Allowed | Row::Limited | Row::Missing => known,
                };
                requests.push(Drawn {
                    key,
                    has_key: row != Row::Missing,
                    client: client(number),
                });
            }
        }
        requests
    }
}

/// The address of a number, in 10.0.0.0/8.
fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from((10 << 24) | number)
}

const _: () = assert!(size_of::<Drawn>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_address_comes_equally_often() {
        let keys = Keys::draw(100);
        let requests = keys.requests(Row::Allowed);
        let mut counts = HashMap::new();
        for request in &requests {
            *counts.entry(request.client()).or_insert(0) += 1;
        }
        assert!(requests.len() >= MIN_REQUESTS);
        assert_eq!(counts.len(), 100);
        assert!(counts.values().all(|count| *count == requests.len() / 100));
    }

    #[test]
    fn a_row_is_found_by_its_name() {
        for row in Row::ALL {
            assert_eq!(Row::of(&row.to_string()), Some(row));
        }
        assert_eq!(Row::of("blake3"), None);
    }
}
