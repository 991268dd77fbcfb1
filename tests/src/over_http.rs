//! The engine behind its HTTP adapter and a real socket, as a subject.
//!
//! One connection over loopback, which the adapter trusts as a proxy, so that
//! each step's address travels in `X-Forwarded-For`. HTTP/2 with prior
//! knowledge carries header values as they are, leading blanks included. The
//! service behind answers with the identity headers that reached it.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use engine::wire::{KEY_HEADER, PROBLEM_JSON, USER_HEADER};
use engine::{CidrError, CidrList, Reason};
use engine_hyper::{
    AuthLayer, ForwardedHeader, PeerAddr, RouteError, RouteNeeds, RoutePolicy, RouteRule,
};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tower::{ServiceBuilder, service_fn};
use trace::{
    Answer, Applied, Ask, Change, EngineSubject, EngineSubjectError, Key, Session, Subject, Trace,
};

/// A client's end of a connection to a server that has the adapter in front.
pub struct OverHttp {
    /// The same engine, for changes: they do not travel over HTTP.
    inner: EngineSubject,
    client: SendRequest<Empty<Bytes>>,
    runtime: Runtime,
}

/// Why no answer came, or one that contradicts itself.
#[derive(Debug, Error)]
pub enum OverHttpError {
    /// The engine behind refused.
    #[error(transparent)]
    Engine(#[from] EngineSubjectError),
    /// No socket.
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    /// The connection broke.
    #[error("no answer: {0}")]
    Hyper(#[from] hyper::Error),
    /// No route for a step.
    #[error("no route: {0}")]
    Route(RouteError),
    /// The proxy's address is none.
    #[error(transparent)]
    Proxies(CidrError),
    /// It does not answer.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The answer is not of the contract's form.
    #[error("the answer to {asked} has {what}")]
    Answer {
        /// The path asked for.
        asked: String,
        /// What is wrong with it.
        what: String,
    },
}

/// How long an answer may take: more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The path whose route needs what a step does.
fn path(ask: &Ask) -> String {
    let user = if ask.needs_user { "user" } else { "anyone" };
    format!("/{user}/{}", ask.cost)
}

/// A rule for each distinct need of the trace's steps.
fn routes(trace: &Trace) -> Result<RoutePolicy, RouteError> {
    let mut paths = Vec::new();
    let mut rules = Vec::new();
    for ask in trace.asks() {
        let path = path(ask);
        if !paths.contains(&path) {
            let needs = RouteNeeds {
                needs_user: ask.needs_user,
                cost: ask.cost,
            };
            rules.push(RouteRule::new([], &path, needs)?);
            paths.push(path);
        }
    }
    Ok(RoutePolicy::new(rules))
}

/// Tells in the answer's headers whom it was told to serve.
async fn echo(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut answer = Response::new("served".to_owned());
    for name in [KEY_HEADER, USER_HEADER] {
        let name = HeaderName::from_static(name);
        if let Some(value) = request.headers().get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    Ok(answer)
}

async fn serve(listener: TcpListener, layer: AuthLayer) -> Result<(), OverHttpError> {
    let (stream, peer) = listener.accept().await?;
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request
        })
        .layer(layer)
        .service(service_fn(echo));
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await?;
    Ok(())
}

impl OverHttp {
    /// The request of a step; `None` where HTTP cannot carry it.
    fn request(ask: &Ask) -> Option<Request<Empty<Bytes>>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = format!("http://localhost{}", path(ask)).parse().ok()?;
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", ask.ip.to_string().parse().ok()?);
        let mut put = |name, value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
            headers.insert(name, value);
            Some(())
        };
        if let Some(key) = &ask.api_key {
            put(HeaderName::from_static("api-key"), key)?;
        }
        if let Some(token) = &ask.bearer {
            put(AUTHORIZATION, &format!("Bearer {token}"))?;
        }
        if let Some(origin) = &ask.origin {
            put(ORIGIN, origin)?;
        }
        Some(request)
    }
}

async fn exchange(
    client: &mut SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Result<(http::response::Parts, Bytes), OverHttpError> {
    client.ready().await?;
    let (head, body) = client.send_request(request).await?.into_parts();
    Ok((head, body.collect().await?.to_bytes()))
}

impl Subject for OverHttp {
    type Error = OverHttpError;

    fn build(trace: &Trace) -> Result<Self, OverHttpError> {
        let inner = EngineSubject::build(trace)?;
        let loopback = CidrList::parse(["127.0.0.1"]).map_err(OverHttpError::Proxies)?;
        let layer = AuthLayer::builder(inner.engine().clone())
            .routes(routes(trace).map_err(OverHttpError::Route)?)
            .trusted_proxies(loopback, ForwardedHeader::XForwardedFor)
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let stream = TcpStream::connect(listener.local_addr()?).await?;
            tokio::spawn(serve(listener, layer));
            let (client, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await?;
            tokio::spawn(connection);
            Ok::<_, OverHttpError>(client)
        })?;
        Ok(Self {
            inner,
            client,
            runtime,
        })
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, OverHttpError> {
        Ok(self.inner.add_key(key)?)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, OverHttpError> {
        Ok(self.inner.add_session(session)?)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, OverHttpError> {
        Ok(self.inner.change(at, change)?)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, OverHttpError> {
        let Some(request) = Self::request(ask) else {
            return Ok(None);
        };
        self.inner.engine().clock().set(at);
        let (head, body) = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, exchange(&mut self.client, request))
                .await
                .map_err(|_| OverHttpError::Silent(PATIENCE))?
        })?;
        let answer = read(ask, at, &head, &body);
        answer.map(Some).map_err(|what| OverHttpError::Answer {
            asked: path(ask),
            what,
        })
    }
}

/// What an answer over HTTP shows of a decision.
fn read(ask: &Ask, at: u64, head: &http::response::Parts, body: &[u8]) -> Result<Answer, String> {
    let headers = Headers(&head.headers);
    let refused = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == PROBLEM_JSON);
    let reason = if refused {
        let problem: serde_json::Value = serde_json::from_slice(body)
            .map_err(|error| format!("a body that is no JSON: {error}"))?;
        let word = problem["reason"].as_str().unwrap_or_default();
        let known = Reason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word);
        known.ok_or_else(|| format!("an unknown reason, {word:?}"))?
    } else if body == b"served" {
        Reason::Allowed
    } else {
        return Err("a body that is neither the service's nor a problem".into());
    };
    // Only the service behind is told about the key and the user.
    let (key, user) = if refused {
        (None, None)
    } else {
        let id = headers.text(KEY_HEADER)?.map(str::parse).transpose();
        let id = id.map_err(|error| format!("a key header that is no id: {error}"))?;
        (
            Some(id),
            Some(headers.text(USER_HEADER)?.map(str::to_owned)),
        )
    };
    let [limit, window] = headers.numbers("ratelimit-policy", ["q", "w"])?;
    let [remaining, reset] = headers.numbers("ratelimit", ["r", "t"])?;
    if window != limit.map(|_| 3600) {
        return Err(format!("a window of {window:?} seconds"));
    }
    if headers.number("x-ratelimit-limit")? != limit
        || headers.number("x-ratelimit-remaining")? != remaining
        || headers.number("x-ratelimit-reset")? != reset.map(|seconds| at + seconds)
    {
        return Err("older rate limit headers that say something else".into());
    }
    headers.fit(head.status.as_u16())?;
    let echoed = match head.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN) {
        None => false,
        Some(echo)
            if ask
                .origin
                .as_ref()
                .is_some_and(|sent| echo == sent.as_str()) =>
        {
            true
        }
        Some(echo) => return Err(format!("{echo:?} echoed as the origin")),
    };
    Ok(Answer {
        status: Some(head.status.as_u16()),
        reason: Some(reason),
        key,
        user,
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(reset),
        retry_after: Some(headers.number(RETRY_AFTER.as_str())?),
        allow_origin: Some(echoed),
    })
}

/// Headers that stand at most once.
struct Headers<'a>(&'a HeaderMap);

impl<'a> Headers<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.0.get_all(name).iter();
        let text = values.next().map(HeaderValue::to_str).transpose();
        match (text, values.next()) {
            (Ok(text), None) => Ok(text),
            _ => Err(format!("a {name} header that cannot be read")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let number = self.text(name)?.map(str::parse).transpose();
        number.map_err(|error| format!("a {name} that is no number: {error}"))
    }

    /// Checks the headers that a status demands, and those that it rules out.
    fn fit(&self, status: u16) -> Result<(), String> {
        let refused = status != 200;
        let challenge = (status == 401).then_some("api-key realm=\"tokenkit\"");
        let wanted = [
            ("vary", Some("Origin")),
            ("cache-control", refused.then_some("no-store")),
            ("www-authenticate", challenge),
        ];
        for (name, value) in wanted {
            let found = self.text(name)?;
            if found != value {
                return Err(format!("a status of {status} with {name}: {found:?}"));
            }
        }
        if self.number("retry-after")?.is_some() != (status == 429) {
            return Err(format!("a status of {status} that gets Retry-After wrong"));
        }
        Ok(())
    }

    /// The two parameters of `"hour";a=1;b=2`.
    fn numbers(&self, name: &str, parameters: [&str; 2]) -> Result<[Option<u64>; 2], String> {
        let Some(text) = self.text(name)? else {
            return Ok([None; 2]);
        };
        let read = || {
            let (first, second) = text.strip_prefix("\"hour\";")?.split_once(';')?;
            let number = |text: &str, name: &str| -> Option<u64> {
                text.strip_prefix(name)?.strip_prefix('=')?.parse().ok()
            };
            Some([number(first, parameters[0]), number(second, parameters[1])])
        };
        match read() {
            Some([Some(first), Some(second)]) => Ok([Some(first), Some(second)]),
            _ => Err(format!("a {name} of another form: {text}")),
        }
    }
}
