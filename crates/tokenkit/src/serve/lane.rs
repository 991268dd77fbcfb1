//! Whose turn it is, of the connections that an address has on a thread: of one
//! in each round, in which everything else that has come to the thread is looked
//! at.
//!
//! [`Turn`](super::turn::Turn) says when a connection's turn is used up. Had each
//! connection its next one in the same round, whoever floods many of them would
//! have many turns while everybody else has one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;

/// The connections of an address on a thread that wait for their turn.
///
/// All of it happens on that thread, so that its lock is always free.
#[derive(Debug, Default)]
pub(super) struct Lane {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their turns, which is that of their tickets.
    waiting: VecDeque<(u64, Waker)>,
    last_ticket: u64,
    /// Whether there is a task that gives them their turns.
    is_kept: bool,
}

impl State {
    /// Where in the lane a ticket is, until its turn comes: O(log n).
    fn place(&self, ticket: u64) -> Option<usize> {
        let found = self
            .waiting
            .binary_search_by_key(&ticket, |(known, _)| *known);
        found.ok()
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one its turn after each round, until nobody waits.
    ///
    /// It is a task of its own, for the runtime looks at a task that gives way
    /// again once it has run all that were ready and has asked the system what
    /// else there is to do. A connection's own task would come back sooner: with
    /// HTTP/2 each request wakes it. And who has the turn may not take it for
    /// long, such as one whose client reads nothing: nobody waits for that.
    async fn keep(self: Arc<Self>) {
        loop {
            yield_now().await;
            let Some(task) = self.next() else { return };
            task.wake();
        }
    }

    fn next(&self) -> Option<Waker> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.is_kept = next.is_some();
        next.map(|(_, task)| task)
    }
}

/// A connection's place in its lane, if it waits for its turn.
#[derive(Debug)]
pub(super) struct Pause {
    lane: Arc<Lane>,
    ticket: Option<u64>,
}

impl Pause {
    /// For a connection that waits for nothing yet.
    pub(super) fn none(lane: Arc<Lane>) -> Self {
        Self { lane, ticket: None }
    }

    /// Begins one, which the task of `cx` waits for.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) {
        self.leave();
        let mut state = self.lane.lock();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.waiting.push_back((ticket, cx.waker().clone()));
        self.ticket = Some(ticket);
        if !state.is_kept {
            state.is_kept = true;
            drop(state);
            tokio::spawn(Arc::clone(&self.lane).keep());
        }
    }

    /// Whether there is none, or it is over; else the task of `cx` is woken then.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ticket) = self.ticket else {
            return Poll::Ready(());
        };
        let mut state = self.lane.lock();
        if let Some(place) = state.place(ticket) {
            state.waiting[place].1.clone_from(cx.waker());
            return Poll::Pending;
        }
        self.ticket = None;
        Poll::Ready(())
    }

    /// Leaves the lane, if it is in it.
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut state = self.lane.lock();
            if let Some(place) = state.place(ticket) {
                state.waiting.remove(place);
            }
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// What happened, in its order.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Seen {
        fn note(&self, what: impl Into<String>) {
            self.0.lock().unwrap().push(what.into());
        }

        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    /// Uses up so many turns.
    async fn uses_up(lane: Arc<Lane>, turns: usize, name: &'static str, seen: Seen) {
        let mut pause = Pause::none(lane);
        for _ in 0..turns {
            poll_fn(|cx| {
                pause.begin(cx);
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| pause.poll_over(cx)).await;
            seen.note(name);
        }
    }

    /// Notes each round for a while.
    async fn counts_rounds(rounds: usize, seen: Seen) {
        for _ in 0..rounds {
            yield_now().await;
            seen.note("|");
        }
    }

    /// What tasks of lanes saw between the rounds.
    async fn told(lanes: &[(&Arc<Lane>, usize, &'static str)], rounds: usize) -> String {
        let seen = Seen::default();
        let mut tasks: Vec<_> = lanes
            .iter()
            .map(|(lane, turns, name)| {
                tokio::spawn(uses_up(Arc::clone(lane), *turns, name, seen.clone()))
            })
            .collect();
        tasks.push(tokio::spawn(counts_rounds(rounds, seen.clone())));
        for task in tasks {
            task.await.unwrap();
        }
        seen.taken().concat()
    }

    #[tokio::test]
    async fn an_address_has_one_turn_in_a_round_however_many_it_waits_with() {
        let [one, other] = [Arc::default(), Arc::default()];
        let lanes = [
            (&one, 2, "a"),
            (&one, 2, "b"),
            (&one, 2, "c"),
            (&other, 3, "x"),
        ];
        let seen = told(&lanes, 10).await;
        // Who is first in a round is not always the same.
        let before = |at: usize, names: &str| seen[..at].matches(|c| names.contains(c)).count();
        for (at, name) in seen.match_indices(|c| c != '|') {
            let lane = if name == "x" { "x" } else { "abc" };
            assert!(before(at, lane) <= before(at, "|"), "{seen}");
        }
        let order: String = seen.chars().filter(|c| "abc".contains(*c)).collect();
        assert_eq!(order, "abcabc", "each in its turn: {seen}");
        let last_x = seen.rfind('x').unwrap();
        assert!(
            before(last_x, "abc") <= 4,
            "nobody else's lane is waited for: {seen}"
        );
        assert!(!one.lock().is_kept);
    }

    #[tokio::test]
    async fn who_leaves_or_does_not_take_its_turn_stops_nobody() {
        let lane = Arc::new(Lane::default());
        let wait = || {
            let mut pause = Pause::none(Arc::clone(&lane));
            pause.begin(&mut Context::from_waker(Waker::noop()));
            pause
        };
        let [mut idle, gone, mut last] = [wait(), wait(), wait()];
        drop(gone);
        // The first is not polled, and the last is.
        poll_fn(|cx| last.poll_over(cx)).await;
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(idle.poll_over(cx).is_ready());
        assert!(idle.poll_over(cx).is_ready(), "there is none any more");
        yield_now().await;
        yield_now().await;
        assert!(!lane.lock().is_kept);
        // All leave while there is a task that would give them their turn.
        drop(wait());
        assert!(lane.lock().is_kept);
        poll_fn(|cx| {
            last.begin(cx);
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| last.poll_over(cx)).await;
    }
}
