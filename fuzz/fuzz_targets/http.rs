//! Whatever bytes a client sends to a server behind the gate, HTTP/1.1 or
//! HTTP/2: nothing reaches the service without the one right key, the identity
//! that it is told is that key's, and no answer holds the key.

#![no_main]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};

use engine::wire::{KEY_HEADER, PROJECT_HEADER, USER_HEADER};
use engine::{
    CidrList, Engine, FailureConfig, KeyPolicy, KeyRecord, SecretKey, ServerSecret, SessionRecord,
};
use engine_hyper::{AuthLayer, PeerAddr};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use libfuzzer_sys::fuzz_target;
use tokenkit_fuzz::holds;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, service_fn};

const RESERVED: [&str; 4] = ["api-key", KEY_HEADER, PROJECT_HEADER, USER_HEADER];
/// More than an answer's headers take.
const PIPE: usize = 1 << 16;

struct World {
    key: SecretKey,
    layer: AuthLayer,
    runtime: Mutex<Runtime>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let engine = Engine::builder(ServerSecret::from_bytes([0; 32]))
        .max_keys(1)
        .failures(FailureConfig {
            // Guesses of one run must not block the next.
            exempt: CidrList::parse(["0.0.0.0/0"]).expect("a block"),
            ..FailureConfig::default()
        })
        .build()
        .expect("an engine");
    let key = tests::keys::key("tk_live", 1);
    let project = || "p1".parse().expect("a name");
    let record = KeyRecord {
        id: key.id(),
        digest: engine.secret().digest_key(key.expose().as_bytes()),
        policy: KeyPolicy::new(project()),
    };
    engine.insert_keys(vec![record]).expect("room for a key");
    let session = SessionRecord {
        project: project(),
        user: "u1".parse().expect("a name"),
        expires_at: None,
    };
    engine.put_session(engine.secret().digest_token(b"token"), session);
    World {
        key,
        layer: AuthLayer::builder(Arc::new(engine)).build(),
        runtime: Mutex::new(Builder::new_current_thread().build().expect("a runtime")),
    }
});

/// Whether a request showed the one right key, once, before the gate saw it.
#[derive(Clone, Copy)]
struct ShowedKey(bool);

impl ShowedKey {
    fn of(headers: &HeaderMap) -> Self {
        let mut shown = headers.get_all("api-key").iter();
        let key = shown.next().map(|value| value.as_bytes().trim_ascii());
        Self(key == Some(WORLD.key.expose().as_bytes()) && shown.next().is_none())
    }
}

/// A name as a service sees it that knows no signs but one.
fn blurred(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(sign).collect()
}

/// What the service behind finds in a request that was let through.
fn look_at(headers: &HeaderMap, key: &SecretKey) {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.as_bytes().to_vec());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    };
    assert_eq!(only(KEY_HEADER), Some(key.id().to_string().into_bytes()));
    assert_eq!(only(PROJECT_HEADER), Some(b"p1".to_vec()));
    assert!(only(USER_HEADER).is_none_or(|user| user == b"u1"));
    assert_eq!(only("api-key"), None);
    for name in headers.keys().map(HeaderName::as_str) {
        let plain = RESERVED.contains(&name);
        let reads_as = |reserved: &&str| blurred(reserved) == blurred(name);
        assert!(plain || !RESERVED.iter().any(reads_as), "{name}");
    }
}

async fn serve(sent: &[u8], piece: usize) {
    let world = &*WORLD;
    let secret = world.key.expose().as_bytes();
    let behind = service_fn(move |request: Request<Incoming>| async move {
        let showed = request.extensions().get();
        assert!(
            matches!(showed, Some(ShowedKey(true))),
            "let through without the key"
        );
        look_at(request.headers(), &WORLD.key);
        // What comes of its body is the client's affair.
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(Response::new(String::from("behind")))
    });
    let gated = world.layer.layer(behind);
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 4711);
    let service = tower::util::MapRequest::new(gated, move |mut request: Request<Incoming>| {
        let showed = ShowedKey::of(request.headers());
        request.extensions_mut().insert(showed);
        request.extensions_mut().insert(PeerAddr(peer));
        request
    });
    let (mut client, server) = tokio::io::duplex(PIPE);
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection =
        builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(service));
    let asking = async {
        for piece in sent.chunks(piece) {
            // The server may have heard enough.
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = client.shutdown().await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        answer
    };
    let (answer, _) = tokio::join!(asking, async {
        // How it ends is the client's doing.
        let _ = connection.await;
    });
    assert!(!holds(&answer, secret), "the answer holds the key");
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, sent)) = input.split_first() else {
        return;
    };
    let piece = if *piece == 0 {
        sent.len().max(1)
    } else {
        usize::from(*piece)
    };
    let runtime = WORLD.runtime.lock().expect("no run has panicked");
    runtime.block_on(serve(sent, piece));
});
