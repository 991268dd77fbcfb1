//! Whose connections have to wait before they are served: of those whose last
//! one was ended for a flood of HTTP/2 frames.
//!
//! To open a connection and be thrown out again costs the server more than the
//! client. One of an address that was thrown out lately is heard only after
//! [`WAIT`]; connections that are open already are not touched, nor are those of
//! trusted proxies, behind which others may be.

use std::collections::VecDeque;
use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::Cidr;
use tokio::time::Instant;

/// What a connection of such an address waits for.
pub(super) const WAIT: Duration = Duration::from_secs(1);
/// How long a flood is remembered.
const MEMORY: Duration = Duration::from_secs(10);
/// Addresses that are remembered; the oldest go first.
const MOST: usize = 1024;

/// The floods of the last seconds. It is touched once for each connection.
#[derive(Debug, Default)]
pub(super) struct Calm {
    /// Whether there are any: a hint, which saves the lock.
    any: AtomicBool,
    /// From the oldest to the newest.
    floods: Mutex<VecDeque<(Cidr, Instant)>>,
}

impl Calm {
    /// Notes that a connection was ended for a flood.
    pub(super) fn flooded(&self, peer: IpAddr) {
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        let from = Cidr::of_client(peer.into());
        floods.retain(|(known, _)| *known != from);
        if floods.len() == MOST {
            floods.pop_front();
        }
        floods.push_back((from, Instant::now()));
        // Relaxed here and below: whoever misses it serves one connection at once.
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether a new connection has to wait.
    pub(super) fn waits(&self, peer: IpAddr) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        while floods.front().is_some_and(|(_, at)| at.elapsed() >= MEMORY) {
            floods.pop_front();
        }
        self.any.store(!floods.is_empty(), Ordering::Relaxed);
        let from = Cidr::of_client(peer.into());
        floods.iter().any(|(known, _)| *known == from)
    }
}

/// Whether h2 ended a connection for what its client sent too much of: it counts
/// empty and small frames of bodies, pieces of heads, and requests taken back that
/// it has not looked at yet.
pub(super) fn is_flood(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        cause.downcast_ref::<h2::Error>().is_some_and(|error| {
            error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_for_a_while_and_others_do_not() {
        let calm = Calm::default();
        assert!(!calm.waits(ip("192.0.2.1")));
        calm.flooded(ip("192.0.2.1"));
        calm.flooded(ip("2001:db8::1"));
        for (address, waits) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::ffff", true),
            ("2001:db8:0:1::1", false),
        ] {
            assert_eq!(calm.waits(ip(address)), waits, "{address}");
        }
        tokio::time::advance(MEMORY - Duration::from_millis(1)).await;
        // Begins anew with each.
        calm.flooded(ip("2001:db8::2"));
        assert!(calm.waits(ip("192.0.2.1")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!calm.waits(ip("192.0.2.1")));
        assert!(calm.waits(ip("2001:db8::1")));
        tokio::time::advance(MEMORY).await;
        assert!(!calm.waits(ip("2001:db8::1")));
        assert!(!calm.any.load(Ordering::Relaxed));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let calm = Calm::default();
        for number in 0..=MOST as u32 {
            calm.flooded(IpAddr::V4(number.into()));
        }
        assert_eq!(calm.floods.lock().unwrap().len(), MOST);
        assert!(!calm.waits(ip("0.0.0.0")));
        assert!(calm.waits(ip("0.0.0.1")));
    }

    #[test]
    fn a_flood_is_told_from_other_ends() {
        let flood = h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM);
        // Of the client's own word, or ours: only the library's counts.
        assert!(!is_flood(&flood));
        assert!(!is_flood(&std::io::Error::other(flood)));
    }
}
