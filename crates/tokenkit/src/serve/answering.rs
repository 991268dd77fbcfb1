//! An answer that is there, or comes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use super::body::AnswerBody;

/// The answer to a request. Most are made at once; so only those that are
/// waited for have a future on the heap, and no place for the rest of it is
/// moved about with them.
pub(super) enum Answering {
    /// It is there, until it is taken.
    Now(Option<Response<AnswerBody>>),
    /// It comes.
    Later(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Answering {
    /// An answer that is there.
    pub(super) fn now(answer: Response<AnswerBody>) -> Self {
        Self::Now(Some(answer))
    }

    /// An answer that comes.
    pub(super) fn later(
        answer: impl Future<Output = Response<AnswerBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(answer))
    }
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // Whoever polls again after the answer waits for ever.
            Self::Now(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}
