//! The body of an answer, whoever wrote it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::proxy::Slot;
use super::watch::InFlight;

/// A body, and the request that is under way until it has been sent.
pub(super) struct AnswerBody {
    content: Content,
    /// Dropped with the body, at its end, as is what follows.
    in_flight: Option<InFlight>,
    /// That of the upstream's connection, which the request's body may have too.
    _slot: Option<Arc<Slot>>,
}

enum Content {
    /// Nothing (any more).
    Empty,
    /// A text of our own.
    Text(Bytes),
    /// What the upstream sends.
    Upstream(Incoming),
}

impl AnswerBody {
    /// No body.
    pub(super) fn empty() -> Self {
        Content::Empty.into()
    }

    /// A text of our own.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Content::Text(text.into()).into()
    }

    /// The upstream's body, passed on as it comes over a connection that has a
    /// slot.
    pub(super) fn upstream(body: Incoming, slot: Arc<Slot>) -> Self {
        Self {
            _slot: Some(slot),
            ..Content::Upstream(body).into()
        }
    }

    /// Keeps a request under way until the body ends.
    pub(super) fn holding(mut self, mut in_flight: InFlight) -> Self {
        in_flight.set_ours(false);
        self.in_flight = Some(in_flight);
        self
    }
}

impl From<Content> for AnswerBody {
    fn from(content: Content) -> Self {
        Self {
            content,
            in_flight: None,
            _slot: None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) => {
                let text = std::mem::take(text);
                this.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
        };
        // It is asked for more only where the client takes more.
        if let Some(in_flight) = &mut this.in_flight {
            in_flight.set_ours(frame.is_pending());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Text(text) => text.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}
