//! How many connections to the service behind are in use at a time: on each
//! thread so many, and no more than its share of them for any one address, so
//! that nobody's slow requests keep those of all others waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A slot for each connection that a thread may have.
#[derive(Debug)]
pub(in crate::serve) struct Slots(Arc<Semaphore>);

/// What an address has of them; of trusted proxies there may be anybody behind
/// one, so that theirs has no bound.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Share(Option<Arc<Semaphore>>);

/// One in use, until it is dropped.
#[derive(Debug)]
pub(in crate::serve) struct Slot {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_its_share: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(in crate::serve) fn new(count: usize) -> Self {
        Self(semaphore(count))
    }

    /// Waits for a slot, first for one of the share: a request that waits for
    /// that stands in nobody's way.
    pub(in crate::serve) async fn take(&self, share: Share) -> Slot {
        // Neither is ever closed.
        let of_its_share = match share.0 {
            Some(share) => share.acquire_owned().await.ok(),
            None => None,
        };
        Slot {
            _of_all: Arc::clone(&self.0).acquire_owned().await.ok(),
            _of_its_share: of_its_share,
        }
    }
}

impl Share {
    /// So many at a time.
    pub(in crate::serve) fn new(slots: usize) -> Self {
        Self(Some(semaphore(slots)))
    }
}

fn semaphore(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// What there is at once, or nothing.
    fn now(slots: &Slots, share: &Share) -> Option<Slot> {
        let waiting = pin!(slots.take(share.clone()));
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(slot) => Some(slot),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn an_address_has_its_share_and_who_waits_for_its_own_holds_nobody_up() {
        let slots = Arc::new(Slots::new(4));
        let [one, other] = [Share::new(2), Share::new(2)];
        let mut held = vec![now(&slots, &one).unwrap(), now(&slots, &one).unwrap()];
        let mut third = pin!(slots.take(one.clone()));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(cx).is_pending());
        let theirs = [now(&slots, &other).unwrap(), now(&slots, &other).unwrap()];
        assert!(now(&slots, &other).is_none());
        drop(theirs);
        held.pop();
        assert!(third.as_mut().poll(cx).is_ready());
    }

    #[test]
    fn who_has_no_bound_has_what_there_is() {
        let slots = Slots::new(3);
        let all: Vec<_> = std::iter::from_fn(|| now(&slots, &Share::default())).collect();
        assert_eq!(all.len(), 3);
    }
}
