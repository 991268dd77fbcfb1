//! Addresses whose guesses are neither counted nor block them: some for as long
//! as the engine lives, others that may change while it decides.

use std::sync::PoisonError;

use arc_swap::ArcSwap;

use crate::net::{Cidr, CidrList, ClientAddr};
use crate::sync::{AtomicU32, Mutex, Ordering};

/// Exempt addresses. Asked only where a request is a guess or its address is
/// blocked.
pub(crate) struct Exempt {
    always: CidrList,
    now: ArcSwap<CidrList>,
    /// 1 where `now` names anybody: mostly nobody is, and then nothing else is
    /// read.
    any_now: AtomicU32,
    /// Taken by those who change the two above.
    changing: Mutex<()>,
}

impl Exempt {
    pub(crate) fn new(always: CidrList) -> Self {
        Self {
            always,
            now: ArcSwap::default(),
            any_now: AtomicU32::new(0),
            changing: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn contains(&self, client: ClientAddr) -> bool {
        self.always.contains(client)
            // Acquire pairs with the store in `set`: who sees the flag sees the
            // list that it stands for, or a later one.
            || self.any_now.load(Ordering::Acquire) != 0 && self.names_now(client)
    }

    /// Whether every address of a block is exempt, by one block of the lists.
    pub(crate) fn contains_all(&self, block: Cidr) -> bool {
        self.always.contains_all(block) || self.now.load().contains_all(block)
    }

    /// Whether the list that may change holds an address. Kept apart, for it is
    /// mostly empty and entering it would be a part of every refusal's code.
    #[cold]
    #[inline(never)]
    fn names_now(&self, client: ClientAddr) -> bool {
        self.now.load().contains(client)
    }

    /// Replaces the list that may change.
    pub(crate) fn set(&self, blocks: CidrList) {
        // No panic leaves anything half done here.
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let any = u32::from(!blocks.is_empty());
        self.now.store(blocks.into());
        // Release: see `contains`.
        self.any_now.store(any, Ordering::Release);
    }

    /// The list that may change.
    pub(crate) fn now(&self) -> CidrList {
        CidrList::clone(&self.now.load())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_changes_adds_to_the_one_that_does_not() {
        let list = |text: &str| CidrList::parse([text]).unwrap();
        let holds = |exempt: &Exempt, text: &str| {
            exempt.contains(text.parse::<std::net::IpAddr>().unwrap().into())
        };
        let exempt = Exempt::new(list("192.0.2.0/24"));
        assert!(holds(&exempt, "192.0.2.1") && !holds(&exempt, "198.51.100.1"));
        exempt.set(list("198.51.100.0/24"));
        assert!(holds(&exempt, "192.0.2.1") && holds(&exempt, "198.51.100.1"));
        assert!(
            !holds(&exempt, "203.0.113.1"),
            "a list of some is not of all"
        );
        assert!(exempt.now() == list("198.51.100.0/24"));
        exempt.set(CidrList::default());
        assert!(holds(&exempt, "192.0.2.1") && !holds(&exempt, "198.51.100.1"));
    }
}
