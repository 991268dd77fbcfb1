//! Which origins any live key lists: what a preflight asks, which carries no
//! key. For writers and preflights only; no decision comes here.

use std::collections::{BTreeMap, HashMap};

use crate::origin::{HostFirst, OriginList};
use crate::time::NEVER;

/// The origins that live keys list.
#[derive(Default)]
pub(super) struct ListedOrigins {
    /// For each pattern, host first, the expiries of the live keys that list
    /// it, with how many keys share one.
    patterns: HashMap<String, BTreeMap<u64, u32>>,
    /// How often wildcards over names of so many labels are listed. What
    /// bounds a look-up: the labels of what is sent are a stranger's choice.
    wildcards: BTreeMap<usize, u32>,
}

impl ListedOrigins {
    /// Counts a live key's list in.
    pub(super) fn add(&mut self, origins: &OriginList, expires_at: Option<u64>) {
        for pattern in origins.iter() {
            let expiries = self.patterns.entry(pattern.host_first()).or_default();
            *expiries.entry(expires_at.unwrap_or(NEVER)).or_default() += 1;
            *self.wildcards.entry(pattern.wildcard_labels()).or_default() += 1;
        }
    }

    /// Counts a list out that was counted in before.
    pub(super) fn remove(&mut self, origins: &OriginList, expires_at: Option<u64>) {
        for pattern in origins.iter() {
            let text = pattern.host_first();
            let Some(expiries) = self.patterns.get_mut(&text) else {
                continue;
            };
            count_down(expiries, expires_at.unwrap_or(NEVER));
            if expiries.is_empty() {
                self.patterns.remove(&text);
            }
            count_down(&mut self.wildcards, pattern.wildcard_labels());
        }
    }

    /// Whether a key that has not expired at `now` lists an origin. Allocates
    /// nothing; looks up the origin itself and at most as many wildcards as
    /// the longest listed one has labels.
    pub(super) fn lists(&self, origin: &HostFirst, now: u64) -> bool {
        let labels = self.wildcards.last_key_value().map_or(0, |(&most, _)| most);
        origin.candidates(labels).any(|text| {
            self.patterns
                .get(text)
                .and_then(|expiries| expiries.keys().next_back())
                .is_some_and(|&latest| now < latest || latest == NEVER)
        })
    }
}

/// Takes one from a count that is there, and the count away at 0.
fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, at: K) {
    if let Some(count) = counts.get_mut(&at) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&at);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_listed_while_a_live_key_lists_it() {
        let list = |text: &str| OriginList::parse([text]).unwrap();
        let sent = |text: &str| HostFirst::of(text.as_bytes()).unwrap();
        let mut listed = ListedOrigins::default();
        let (exact, wild) = (list("https://a.b.c"), list("https://*.b.c"));
        listed.add(&exact, Some(100));
        listed.add(&exact, Some(200));
        listed.add(&wild, None);
        assert!(listed.lists(&sent("https://A.b.c:443"), 150));
        assert!(listed.lists(&sent("https://x.y.b.c"), 1000));
        assert!(!listed.lists(&sent("https://b.c"), 0));
        assert!(!listed.lists(&sent("https://b.c.evil"), 0));
        listed.remove(&wild, None);
        assert!(!listed.lists(&sent("https://x.b.c"), 0));
        assert!(listed.lists(&sent("https://a.b.c"), 199));
        assert!(!listed.lists(&sent("https://a.b.c"), 200));
        listed.remove(&exact, Some(200));
        assert!(!listed.lists(&sent("https://a.b.c"), 150));
        listed.remove(&exact, Some(100));
        assert!(listed.patterns.is_empty() && listed.wildcards.is_empty());
    }

    #[test]
    fn what_is_looked_up_goes_by_what_is_listed() {
        let lists = ["https://*.test", "https://*.a.b.c.test", "https://x.test"]
            .map(|text| OriginList::parse([text]).unwrap());
        let deepest = |listed: &ListedOrigins| {
            let deepest = listed.wildcards.last_key_value();
            deepest.map(|(&labels, _)| labels)
        };
        let mut listed = ListedOrigins::default();
        for list in &lists {
            listed.add(list, None);
            listed.add(list, Some(100));
        }
        assert_eq!(deepest(&listed), Some(4));
        let deep = format!("https://{}test", "a.".repeat(120));
        let deep = HostFirst::of(deep.as_bytes()).unwrap();
        assert!(listed.lists(&deep, 1000));
        listed.remove(&lists[1], None);
        assert_eq!(deepest(&listed), Some(4), "another key lists it");
        listed.remove(&lists[1], Some(100));
        assert_eq!(deepest(&listed), Some(1));
        assert!(listed.lists(&deep, 1000));
    }
}
