//! A wait until everything else that has come to this thread was looked at.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;

/// Ends once the runtime has run all tasks that were ready and has asked the
/// system what else there is to do.
///
/// A task that only gave way would come back sooner: with HTTP/2 each request of
/// a connection wakes the connection's own task.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Where there is one.
    rest: Option<Arc<Rest>>,
}

/// What the runtime wakes at the end.
#[derive(Debug)]
struct Rest {
    is_over: AtomicBool,
    /// Whom to wake then.
    task: Mutex<Waker>,
}

impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        // Relaxed here and below: the runtime wakes on the thread that runs the
        // task.
        self.is_over.store(true, Ordering::Relaxed);
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wake_by_ref();
    }
}

impl Pause {
    /// Begins one, which the task of `cx` waits for.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) {
        let rest = Arc::new(Rest {
            is_over: AtomicBool::new(false),
            task: Mutex::new(cx.waker().clone()),
        });
        self.rest = Some(Arc::clone(&rest));
        let waker = Waker::from(rest);
        // It always waits when it is first polled, and wakes whoever did that
        // once it is over, though it is gone by then.
        let _ = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
    }

    /// Whether there is none, or it is over; else the task of `cx` is woken then.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(rest) = &self.rest {
            if !rest.is_over.load(Ordering::Relaxed) {
                let mut task = rest.task.lock().unwrap_or_else(PoisonError::into_inner);
                task.clone_from(cx.waker());
                return Poll::Pending;
            }
            self.rest = None;
        }
        Poll::Ready(())
    }
}
