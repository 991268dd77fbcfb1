//! The body of an answer: that of the service behind, or the gate's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of an answer: the service's, streamed through untouched, or
    /// the few bytes of a problem.
    #[derive(Debug)]
    pub struct AuthBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<R> {
        Service { #[pin] body: R },
        Own { bytes: Bytes },
    }
}

impl<R> AuthBody<R> {
    pub(crate) fn service(body: R) -> Self {
        Self {
            kind: Kind::Service { body },
        }
    }

    pub(crate) fn own(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Own { bytes },
        }
    }
}

impl<R: Body<Data = Bytes>> Body for AuthBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProjection::Service { body } => body.poll_frame(cx),
            KindProjection::Own { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Own { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { body } => body.is_end_stream(),
            Kind::Own { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { body } => body.size_hint(),
            Kind::Own { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
