//! The tower service: a [`Gate`] before another service.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::AuthBody;
use crate::gate::{Checked, Gate, Verdict};

/// Lets through to a service what the engine admits, and answers the rest.
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Auth<S> {
    /// Puts a gate before a service.
    pub fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl<S, B, R> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<AuthBody<R>>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> AuthFuture<S::Future> {
        match self.gate.check(&mut request) {
            Checked::Admitted(verdict) => AuthFuture {
                kind: Kind::Service {
                    future: self.inner.call(request),
                    gate: self.gate.clone(),
                    verdict,
                },
            },
            Checked::Answered(answer) => AuthFuture {
                kind: Kind::Own {
                    answer: ready(answer),
                },
            },
        }
    }
}

pin_project! {
    /// The answer to come.
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F> {
        Service {
            #[pin]
            future: F,
            gate: Arc<Gate>,
            verdict: Verdict,
        },
        Own {
            #[pin]
            answer: Ready<Response<Bytes>>,
        },
    }
}

impl<F, R, E> Future for AuthFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AuthBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Service {
                future,
                gate,
                verdict,
            } => {
                let mut answer = ready!(future.poll(cx))?;
                gate.render(verdict, answer.headers_mut());
                answer.extensions_mut().insert(*verdict.decision());
                Poll::Ready(Ok(answer.map(AuthBody::service)))
            }
            KindProjection::Own { answer } => {
                answer.poll(cx).map(|answer| Ok(answer.map(AuthBody::own)))
            }
        }
    }
}
