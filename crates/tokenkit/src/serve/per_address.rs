//! What an address has however many its connections are: a most of them, so that
//! no client alone takes the places of all others, busy or idle; and on each
//! thread a lane, in which they wait for their turn, and a share of the
//! connections to the service behind.
//!
//! Addresses count as those of one client do everywhere: an IPv4 address, or a
//! /64. Trusted proxies have no most, no bound to their share, and a lane for
//! each connection, for behind one there may be anybody.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Cidr;

use super::lane::Lane;
use super::proxy::Share;

/// The connections that are open, by their address. It is touched twice for each
/// connection, never for a request, and holds no more addresses than there are
/// connections.
#[derive(Debug)]
pub(super) struct PerAddress {
    most: usize,
    /// Of the connections to the service behind that a thread may have.
    share: usize,
    open: Mutex<HashMap<Cidr, Open>>,
}

/// The connections of an address.
#[derive(Debug, Default)]
struct Open {
    count: usize,
    /// Of the threads on which it had some since it had none.
    threads: Vec<(usize, OnThread)>,
}

/// What the connections of an address on a thread have together.
#[derive(Clone, Debug, Default)]
struct OnThread {
    lane: Arc<Lane>,
    share: Share,
}

impl Open {
    fn on(&mut self, thread: usize, share: usize) -> OnThread {
        let known = self.threads.iter().find(|(of, _)| *of == thread);
        if let Some((_, known)) = known {
            return known.clone();
        }
        let new = OnThread {
            lane: Arc::default(),
            share: Share::new(share),
        };
        self.threads.push((thread, new.clone()));
        new
    }
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct OneOf {
    all: Arc<PerAddress>,
    address: Cidr,
    on_thread: OnThread,
}

impl OneOf {
    /// In which it waits for its turn.
    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.on_thread.lane
    }

    /// Of the connections to the service behind.
    pub(super) fn share(&self) -> &Share {
        &self.on_thread.share
    }
}

impl PerAddress {
    /// What is set, or, where that is 0, half of all places. Of the `upstream`
    /// connections to the service behind that a thread may have it is half, or
    /// what is set if that is more.
    pub(super) fn new(set: usize, places: usize, upstream: usize) -> Self {
        Self {
            share: upstream.div_ceil(2).max(set),
            most: if set == 0 { places.div_ceil(2) } else { set },
            open: Mutex::default(),
        }
    }

    /// One more connection of a peer, on a thread; `None` where its address has the
    /// most that it may. Who is trusted may have more.
    pub(super) fn one_more(
        self: &Arc<Self>,
        peer: IpAddr,
        thread: usize,
        trusted: bool,
    ) -> Option<OneOf> {
        let address = Cidr::of_client(peer.into());
        let mut all = self.lock();
        let open = all.entry(address).or_default();
        let on_thread = if trusted {
            OnThread::default()
        } else if open.count < self.most {
            open.on(thread, self.share)
        } else {
            return None;
        };
        open.count += 1;
        drop(all);
        Some(OneOf {
            all: Arc::clone(self),
            address,
            on_thread,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Cidr, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneOf {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = self.all.lock().entry(self.address) {
            open.get_mut().count -= 1;
            if open.get().count == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_others_have_theirs() {
        let all = Arc::new(PerAddress::new(2, 100, 1));
        let one_more = |text| all.one_more(ip(text), 0, false);
        let first = one_more("192.0.2.1");
        let second = one_more("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(one_more("192.0.2.1").is_none());
        assert!(one_more("192.0.2.2").is_some());
        // Those of one /64 are one client's.
        let networks = ["2001:db8::1", "2001:db8::2"].map(one_more);
        assert!(networks.iter().all(Option::is_some));
        assert!(one_more("2001:db8::3").is_none());
        assert!(one_more("2001:db8:0:1::1").is_some());
        drop(second);
        assert!(one_more("192.0.2.1").is_some());
    }

    #[test]
    fn whoever_is_trusted_has_no_most() {
        let all = Arc::new(PerAddress::new(1, 100, 1));
        let proxy = ip("192.0.2.1");
        let _first = all.one_more(proxy, 0, false).unwrap();
        let second = all.one_more(proxy, 0, true).unwrap();
        assert!(all.one_more(proxy, 0, false).is_none());
        drop(second);
    }

    #[test]
    fn an_address_has_a_lane_on_each_thread_and_who_is_trusted_more() {
        let all = Arc::new(PerAddress::new(0, 100, 1));
        // Kept, so that no other lane comes to lie where one was.
        let mut kept = Vec::new();
        let mut lane = |text, thread, trusted| {
            let one_of = all.one_more(ip(text), thread, trusted).unwrap();
            let lane = Arc::as_ptr(one_of.lane());
            kept.push(one_of);
            lane
        };
        let first = lane("192.0.2.1", 0, false);
        assert_eq!(lane("192.0.2.1", 0, false), first);
        let of_others = [
            lane("192.0.2.1", 1, false),
            lane("192.0.2.2", 0, false),
            lane("192.0.2.1", 0, true),
            lane("192.0.2.1", 0, true),
        ];
        let known: HashSet<_> = of_others.into_iter().chain([first]).collect();
        assert_eq!(known.len(), 5);
        assert_eq!(lane("192.0.2.1", 1, false), of_others[0]);
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_have_gone() {
        let all = Arc::new(PerAddress::new(1, 100, 1));
        let gone: Vec<_> = (0..50_u32)
            .filter_map(|number| all.one_more(IpAddr::V4(number.into()), 0, false))
            .collect();
        assert_eq!(all.lock().len(), 50);
        drop(gone);
        assert!(all.lock().is_empty());
    }

    #[test]
    fn where_nothing_is_set_it_is_half_of_the_places() {
        for (places, most) in [(1, 1), (2, 1), (3, 2), (10_000, 5_000)] {
            assert_eq!(PerAddress::new(0, places, 1).most, most);
        }
        assert_eq!(PerAddress::new(7, 10, 1).most, 7);
        for (set, upstream, share) in [(0, 1, 1), (0, 11, 6), (3, 11, 6), (9, 11, 9)] {
            assert_eq!(PerAddress::new(set, 20, upstream).share, share);
        }
    }
}
