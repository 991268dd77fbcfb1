//! A service behind the adapter that panics over the request which it was
//! handed: the message shows neither the key nor the bearer token, nor does
//! whoever looks at a request that was refused.
//!
//! Invariant 6. Over real sockets, in a task of hyper's server, as a program
//! built on the adapter would trip. That the same message would show both
//! without the adapter is tested beside it.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use engine::{Clock, Engine, KeyPolicy, SecretKey, ServerSecret, SessionRecord, SessionToken};
use engine_hyper::{AuthLayer, AuthLayerBuilder, Checked, PeerAddr};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::canaries::Canaries;
use tests::panics::heard;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};

const NOW: u64 = 1_790_000_000;

/// An engine that takes a key and a token, and what is looked for of them.
struct Rig {
    engine: Arc<Engine>,
    key: SecretKey,
    token: SessionToken,
    canaries: Canaries,
}

impl Rig {
    fn new() -> Self {
        let secret = ServerSecret::generate().unwrap();
        let engine = Engine::builder(secret.clone()).clock(Clock::manual(NOW));
        let engine = Arc::new(engine.build().unwrap());
        let policy = KeyPolicy::new("p".parse().unwrap());
        let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
        let token = SessionToken::generate().unwrap();
        let session = SessionRecord {
            project: "p".parse().unwrap(),
            user: "u".parse().unwrap(),
            expires_at: None,
        };
        engine.put_session(secret.digest_token(token.expose().as_bytes()), session);
        let mut canaries = Canaries::of_short_pieces();
        canaries.key("the key", key.expose(), Some(&secret));
        canaries.token("the token", token.expose(), Some(&secret));
        Self {
            engine,
            key,
            token,
            canaries,
        }
    }

    fn layer(&self, set: impl FnOnce(AuthLayerBuilder) -> AuthLayerBuilder) -> AuthLayer {
        set(AuthLayer::builder(Arc::clone(&self.engine))).build()
    }

    /// A request with both, and whatever else.
    fn request(&self, more: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        let mut request = Request::builder()
            .uri("http://localhost/a/path")
            .header("api-key", self.key.expose())
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(Empty::new()).unwrap()
    }

    fn found(&self, said: &str) -> Option<&str> {
        self.canaries.found_in_shown(said)
    }
}

/// A service that does not like what it gets.
async fn trip(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    panic!("what is this? {request:?} {request:#?}");
}

/// What comes of a request to it, by way of a layer where there is one.
async fn answer(
    layer: Option<AuthLayer>,
    request: Request<Incoming>,
) -> Result<Response<String>, Infallible> {
    let Some(layer) = layer else {
        return trip(request).await;
    };
    let answer = layer
        .layer(tower::service_fn(trip))
        .oneshot(request)
        .await?;
    Ok(Response::new(format!("{answer:?}")))
}

/// What the panic says in a server that has a layer in front of the service,
/// and is asked over HTTP/1.1 or HTTP/2.
fn said(layer: Option<AuthLayer>, request: Request<Empty<Bytes>>, over_2: bool) -> String {
    let said = heard(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (stream, peer) = listener.accept().await.unwrap();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    answer(layer.clone(), request)
                });
                let stream = TokioIo::new(stream);
                if over_2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(stream, service)
                        .await
                }
            });
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            let answer = if over_2 {
                let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                let (mut client, connection) = builder.handshake(stream).await.unwrap();
                tokio::spawn(connection);
                client.send_request(request).await
            } else {
                let (mut client, connection) =
                    hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                client.send_request(request).await
            };
            answer.expect_err("the service tripped");
            if !over_2 {
                assert!(server.await.unwrap_err().is_panic());
            }
        });
    });
    let [said] = &said[..] else {
        panic!("the service alone panics: {said:?}");
    };
    assert!(
        said.contains("what is this?") && said.contains("/a/path"),
        "{said}"
    );
    said.clone()
}

#[test]
fn a_panic_over_a_request_shows_neither_key_nor_token() {
    let rig = Rig::new();
    for over_2 in [false, true] {
        let said_by = |layer, more: &[(&str, &str)]| said(Some(layer), rig.request(more), over_2);
        let plain = said_by(rig.layer(|builder| builder), &[]);
        assert_eq!(rig.found(&plain), None, "{plain}");
        // It was admitted, and is there but for its value.
        assert!(plain.contains(&rig.key.id().to_string()), "{plain}");
        assert!(plain.contains(r#""authorization": Sensitive"#), "{plain}");
        assert!(!plain.contains("api-key"), "{plain}");
        let kept = said_by(rig.layer(|builder| builder.forward_key(true)), &[]);
        assert_eq!(rig.found(&kept), None, "{kept}");
        assert!(kept.contains(r#""api-key": Sensitive"#), "{kept}");
        // Where there are several of them, or one under a name that some read
        // for it.
        let (key, token) = (rig.key.expose(), rig.token.expose());
        let more = [("api_key", key), ("Authorization", token), ("api.key", key)];
        let several = said_by(rig.layer(|builder| builder), &more);
        assert_eq!(rig.found(&several), None, "{several}");
    }
}

#[test]
fn the_same_without_the_adapter_shows_both() {
    let rig = Rig::new();
    for over_2 in [false, true] {
        let said = said(None, rig.request(&[]), over_2);
        assert!(rig.found(&said).is_some(), "{said}");
        for secret in [rig.key.expose(), rig.token.expose()] {
            assert!(said.contains(secret), "{said}");
        }
    }
}

#[test]
fn a_panic_over_a_refused_request_shows_neither() {
    let rig = Rig::new();
    let layer = rig.layer(|builder| builder);
    let key = rig.key.expose();
    let refused: [&[(&str, &str)]; 2] =
        [&[("api-key", key)], &[("api-key", key), ("api_key", key)]];
    for more in refused {
        let mut request = rig.request(more);
        assert!(rig.found(&format!("{request:?}")).is_some());
        let peer = PeerAddr((Ipv4Addr::LOCALHOST, 4711).into());
        request.extensions_mut().insert(peer);
        let said = heard(|| match layer.gate().check(&mut request) {
            Checked::Answered(answer) => panic!("{request:?} came to {answer:?}"),
            Checked::Admitted(_) => {}
        });
        assert_eq!(said.len(), 1, "a key that was sent twice is refused");
        assert_eq!(rig.found(&said[0]), None, "{said:?}");
    }
}
