//! The keys that are measured, and the requests drawn over them.

use std::net::Ipv4Addr;
use std::ops::Range;

use fastrand::Rng;

use crate::form::{self, Key};
use crate::row::{Draw, Row, State};

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

    /// A guess at a key.
    pub fn guess(client: Ipv4Addr) -> Self {
        Self {
            key: [b'?'; form::KEY_LEN],
            has_key: true,
            client,
        }
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

    /// Draws the requests of a row, lying in sequence in memory. They come from
    /// as many addresses as there are keys, each equally often, in an order
    /// shuffled anew each time; those of [`Row::Blocked`] from the blocked
    /// addresses.
    #[must_use]
    pub fn requests(&self, row: Row, draw: Draw) -> Vec<Drawn> {
        self.requests_among(row, draw, 0..self.keys.len())
    }

    /// The same of a part of the keys, and as many addresses.
    #[must_use]
    pub fn requests_among(&self, row: Row, draw: Draw, part: Range<usize>) -> Vec<Drawn> {
        self.requests_few(row, draw, part, MIN_REQUESTS)
    }

    /// The same, and fewer where the keys are few.
    #[must_use]
    pub fn requests_few(
        &self,
        row: Row,
        draw: Draw,
        part: Range<usize>,
        least: usize,
    ) -> Vec<Drawn> {
        let mut rng = Rng::with_seed(row as u64);
        let keys = &self.keys[part.clone()];
        let mut clients: Vec<Ipv4Addr> = match row {
            Row::Blocked => (0..State::Strict.blocked()).map(blocked).collect(),
            _ => part.map(|number| client(number as u32)).collect(),
        };
        let picker = Picker::new(draw, keys.len());
        let rounds = least.max(keys.len()).div_ceil(clients.len());
        let mut requests = Vec::with_capacity(rounds * clients.len());
        for _ in 0..rounds {
            rng.shuffle(&mut clients);
            for &client in &clients {
                let known = keys[picker.pick(&mut rng)];
                let key = match row {
                    Row::Unknown => form::draw(&mut rng),
                    Row::Malformed => form::mistype(known, &mut rng),
                    Row::Allowed | Row::Limited | Row::Missing | Row::Blocked => known,
                };
                requests.push(Drawn {
                    key,
                    has_key: row != Row::Missing,
                    client,
                });
            }
        }
        requests
    }
}

/// Picks keys as often as a draw says.
struct Picker {
    count: usize,
    /// For Zipf: the sum of 1/n up to each key.
    sums: Vec<f64>,
    draw: Draw,
}

impl Picker {
    fn new(draw: Draw, count: usize) -> Self {
        let mut sum = 0.0;
        let mut up_to = |number: usize| {
            sum += 1.0 / (number + 1) as f64;
            sum
        };
        let sums = match draw {
            Draw::Zipf => (0..count).map(&mut up_to).collect(),
            Draw::Uniform | Draw::Hot => Vec::new(),
        };
        Self { count, sums, draw }
    }

    fn pick(&self, rng: &mut Rng) -> usize {
        match self.draw {
            Draw::Uniform => rng.usize(..self.count),
            Draw::Hot => 0,
            Draw::Zipf => {
                let at = rng.f64() * self.sums[self.count - 1];
                let found = self.sums.partition_point(|&sum| sum <= at);
                found.min(self.count - 1)
            }
        }
    }
}

/// The address of a client, in 10.0.0.0/8.
fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from((10 << 24) | number)
}

/// A blocked address, in 11.0.0.0/8.
pub fn blocked(number: u32) -> Ipv4Addr {
    Ipv4Addr::from((11 << 24) | number)
}

/// An address that failed before and never asks again, in 12.0.0.0/8.
pub fn other(number: u32) -> Ipv4Addr {
    Ipv4Addr::from((12 << 24) | number)
}

const _: () = assert!(size_of::<Drawn>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::hash::Hash;

    fn counts<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
        let mut counts = HashMap::new();
        for item in items {
            *counts.entry(item).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn every_address_comes_equally_often() {
        let keys = Keys::draw(100);
        for draw in Draw::ALL {
            let requests = keys.requests(Row::Allowed, draw);
            let counts = counts(requests.iter().map(Drawn::client));
            assert!(requests.len() >= MIN_REQUESTS);
            assert_eq!(counts.len(), 100);
            assert!(counts.values().all(|count| *count == requests.len() / 100));
        }
        let requests = keys.requests(Row::Blocked, Draw::Uniform);
        assert_eq!(counts(requests.iter().map(Drawn::client)).len(), 10_000);
    }

    #[test]
    fn draws_differ_in_how_often_a_key_comes() {
        let keys = Keys::draw(1000);
        let most = |draw| {
            let requests = keys.requests(Row::Allowed, draw);
            let counts = counts(requests.iter().map(|drawn| drawn.key));
            let first = counts[&keys.all()[0]] as f64 / requests.len() as f64;
            (counts.len(), first)
        };
        let (keys_uniform, uniform) = most(Draw::Uniform);
        let (keys_zipf, zipf) = most(Draw::Zipf);
        assert_eq!((keys_uniform, keys_zipf), (1000, 1000));
        assert_eq!(most(Draw::Hot), (1, 1.0));
        assert!(uniform < 0.002, "{uniform}");
        // The sum of 1/n up to 1,000 is 7.485.
        assert!((zipf - 1.0 / 7.485).abs() < 0.01, "{zipf}");
    }
}
