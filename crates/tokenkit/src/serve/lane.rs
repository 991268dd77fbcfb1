//! Whose turn it is, of the connections that an address has on a thread: of one
//! in each round, in which everything else that has come to the thread is looked
//! at.
//!
//! [`Turn`](super::turn::Turn) says when a connection's turn is used up. Had each
//! connection its next one in the same round, whoever floods many of them would
//! have many turns while everybody else has one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

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
    turn: Whose,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Whose {
    /// Nobody waits for it.
    #[default]
    Nobodys,
    /// The next one's in the lane, once the round is over.
    AfterRound,
    /// That of who has this ticket, and has not taken the turn yet.
    Of(u64),
}

impl State {
    /// Where in the lane a ticket is, if it is: O(log n).
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

    /// Begins a round: the runtime wakes the lane once it has run all tasks that
    /// were ready and has asked the system what else there is to do.
    ///
    /// A task that only gave way would come back sooner: with HTTP/2 each request
    /// of a connection wakes the connection's own task.
    fn begin_round(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        // It always waits when it is first polled, and wakes whoever did that
        // once it is over, though it is gone by then.
        let _ = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
    }
}

/// A round is over. The next begins only where the turn is taken: the runtime
/// must not be asked for one by what it wakes.
impl Wake for Lane {
    fn wake(self: Arc<Self>) {
        let mut state = self.lock();
        match state.waiting.pop_front() {
            Some((ticket, task)) => {
                state.turn = Whose::Of(ticket);
                drop(state);
                task.wake();
            }
            None => state.turn = Whose::Nobodys,
        }
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
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) {
        self.end();
        let mut state = self.lane.lock();
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.waiting.push_back((ticket, cx.waker().clone()));
        self.ticket = Some(ticket);
        if state.turn == Whose::Nobodys {
            state.turn = Whose::AfterRound;
            drop(state);
            self.lane.begin_round();
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
        drop(state);
        self.end();
        Poll::Ready(())
    }

    /// Takes the turn, or leaves the lane before it has come.
    fn end(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let mut state = self.lane.lock();
        if let Some(place) = state.place(ticket) {
            state.waiting.remove(place);
        } else if state.waiting.is_empty() {
            state.turn = Whose::Nobodys;
        } else {
            state.turn = Whose::AfterRound;
            drop(state);
            self.lane.begin_round();
        }
    }
}

/// A turn that was given and not taken goes to the next.
impl Drop for Pause {
    fn drop(&mut self) {
        self.end();
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
        assert_eq!(one.lock().turn, Whose::Nobodys);
    }

    #[tokio::test]
    async fn who_goes_before_its_turn_or_with_it_stops_nobody() {
        let lane = Arc::new(Lane::default());
        let wait = |lane: &Arc<Lane>| {
            let mut pause = Pause::none(Arc::clone(lane));
            pause.begin(&mut Context::from_waker(Waker::noop()));
            pause
        };
        let [first, second, third] = [wait(&lane), wait(&lane), wait(&lane)];
        // In the lane yet.
        drop(second);
        yield_now().await;
        yield_now().await;
        assert_eq!(lane.lock().turn, Whose::Of(1));
        // Given its turn, which it never takes.
        drop(first);
        assert_eq!(lane.lock().turn, Whose::AfterRound);
        yield_now().await;
        yield_now().await;
        assert_eq!(lane.lock().turn, Whose::Of(3));
        drop(third);
        assert_eq!(lane.lock().turn, Whose::Nobodys);
        // And all go while the round is under way.
        drop(wait(&lane));
        assert_eq!(lane.lock().turn, Whose::AfterRound);
        let mut next = wait(&lane);
        poll_fn(|cx| next.poll_over(cx)).await;
        assert_eq!(lane.lock().turn, Whose::Nobodys);
    }

    #[test]
    fn outside_a_runtime_nobody_is_left_waiting() {
        let lane = Arc::new(Lane::default());
        let cx = &mut Context::from_waker(Waker::noop());
        let [mut first, mut second] = [0; 2].map(|_| Pause::none(Arc::clone(&lane)));
        first.begin(cx);
        second.begin(cx);
        assert!(first.poll_over(cx).is_ready());
        assert!(second.poll_over(cx).is_ready());
        assert!(second.poll_over(cx).is_ready(), "there is none any more");
    }
}
