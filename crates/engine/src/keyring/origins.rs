//! Which origins any live key lists: what a preflight asks, which carries no
//! key. For writers and preflights only; no decision comes here.

use std::collections::{BTreeMap, HashMap};

use crate::origin::{OriginList, OriginPattern};

/// For each origin pattern the expiries of the live keys that list it, with
/// how many keys share one.
#[derive(Default)]
pub(super) struct ListedOrigins(HashMap<OriginPattern, BTreeMap<u64, u32>>);

/// An expiry that sorts behind all others.
const NEVER: u64 = u64::MAX;

impl ListedOrigins {
    /// Counts a live key's list in.
    pub(super) fn add(&mut self, origins: &OriginList, expires_at: Option<u64>) {
        for pattern in origins.iter() {
            let expiries = self.0.entry(pattern.clone()).or_default();
            *expiries.entry(expires_at.unwrap_or(NEVER)).or_default() += 1;
        }
    }

    /// Counts a list out that was counted in before.
    pub(super) fn remove(&mut self, origins: &OriginList, expires_at: Option<u64>) {
        for pattern in origins.iter() {
            let Some(expiries) = self.0.get_mut(pattern) else {
                continue;
            };
            let expiry = expires_at.unwrap_or(NEVER);
            if let Some(keys) = expiries.get_mut(&expiry) {
                *keys -= 1;
                if *keys == 0 {
                    expiries.remove(&expiry);
                }
            }
            if expiries.is_empty() {
                self.0.remove(pattern);
            }
        }
    }

    /// Whether a key that has not expired at `now` lists an origin. A few
    /// look-ups: the origin itself and a wildcard for each of its labels.
    pub(super) fn lists(&self, origin: &[u8], now: u64) -> bool {
        OriginPattern::candidates(origin).any(|pattern| {
            self.0
                .get(&pattern)
                .and_then(|expiries| expiries.keys().next_back())
                .is_some_and(|&latest| now < latest)
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_listed_while_a_live_key_lists_it() {
        let list = |text: &str| OriginList::parse([text]).unwrap();
        let mut listed = ListedOrigins::default();
        let (exact, wild) = (list("https://a.b.c"), list("https://*.b.c"));
        listed.add(&exact, Some(100));
        listed.add(&exact, Some(200));
        listed.add(&wild, None);
        assert!(listed.lists(b"https://A.b.c:443", 150));
        assert!(listed.lists(b"https://x.y.b.c", 1000));
        assert!(!listed.lists(b"https://b.c", 0));
        assert!(!listed.lists(b"https://b.c.evil", 0));
        listed.remove(&wild, None);
        assert!(!listed.lists(b"https://x.b.c", 0));
        assert!(listed.lists(b"https://a.b.c", 199));
        assert!(!listed.lists(b"https://a.b.c", 200));
        listed.remove(&exact, Some(200));
        assert!(!listed.lists(b"https://a.b.c", 150));
        listed.remove(&exact, Some(100));
        assert!(listed.0.is_empty());
    }
}
