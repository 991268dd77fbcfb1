//! An engine with a manual clock behind the layer, and a service that tells
//! which headers reached it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{
    Clock, Decision, Engine, FailureConfig, KeyPolicy, Limit, OriginList, SecretKey, ServerSecret,
    SessionRecord,
};
use engine_hyper::{
    AuthBody, AuthLayer, AuthLayerBuilder, PeerAddr, RouteNeeds, RoutePolicy, RouteRule,
};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

/// 2800 seconds before the next hour.
pub(crate) const AT: u64 = 1_790_000_000;
pub(crate) const CLIENT: &str = "198.51.100.7";
/// Listed by the server itself.
pub(crate) const CONSOLE: &str = "https://console.example.com";
/// Listed by keys of [`Rig::policy`] that say so.
pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct Rig {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Clock,
    pub(crate) layer: AuthLayer,
    /// Requests that reached the service.
    pub(crate) forwarded: Arc<AtomicUsize>,
    /// Headers that the service answers with.
    pub(crate) says: HeaderMap,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) decision: Option<Decision>,
}

impl Answer {
    /// All lines of a header, joined as HTTP allows.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.decision.unwrap().reason().as_str()
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(set: impl FnOnce(AuthLayerBuilder) -> AuthLayerBuilder) -> Self {
        let clock = Clock::manual(AT);
        let failures = FailureConfig {
            threshold: 3,
            window_s: 300,
            block_s: 60,
            max_addresses: 1024,
            ..FailureConfig::default()
        };
        let engine = Engine::builder(ServerSecret::from_bytes([7; 32]))
            .clock(clock.clone())
            .failures(failures)
            .origins(OriginList::parse([CONSOLE]).unwrap())
            .max_keys(1024)
            .build()
            .unwrap();
        let engine = Arc::new(engine);
        let user = RouteNeeds {
            needs_user: true,
            cost: 1,
        };
        let routes = RoutePolicy::new(vec![RouteRule::new([], "/me/**", user).unwrap()]);
        let layer = set(AuthLayer::builder(engine.clone()).routes(routes)).build();
        Self {
            engine,
            clock,
            layer,
            forwarded: Arc::default(),
            says: HeaderMap::new(),
        }
    }

    /// Mints a key of project `p1` with a limit of 2.
    pub(crate) fn key(&self, change: impl FnOnce(&mut KeyPolicy)) -> SecretKey {
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(2).unwrap());
        change(&mut policy);
        self.engine
            .mint(&"tk_live".parse().unwrap(), policy)
            .unwrap()
    }

    /// Starts a session of user `u1` in a project.
    pub(crate) fn session(&self, project: &str, expires_at: Option<u64>) {
        let token = self.engine.secret().digest_token(TOKEN.as_bytes());
        let session = SessionRecord {
            project: project.parse().unwrap(),
            user: "u1".parse().unwrap(),
            expires_at,
        };
        self.engine.put_session(token, session);
    }

    /// Sends a request from [`CLIENT`]. The service's answer lists the headers
    /// that reached it, one a line.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let peer = format!("{CLIENT}:4711").parse().unwrap();
        request.extensions_mut().insert(PeerAddr(peer));
        self.send_request(request).await
    }

    pub(crate) async fn send_request(&self, request: Request<()>) -> Answer {
        let (forwarded, says) = (self.forwarded.clone(), self.says.clone());
        let service = service_fn(move |request: Request<()>| {
            forwarded.fetch_add(1, Ordering::Relaxed);
            let decision = request.extensions().get::<Decision>().copied().unwrap();
            assert!(decision.is_allowed());
            let mut lines: Vec<_> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort();
            let mut answer = Response::new(lines.join("\n"));
            *answer.headers_mut() = says.clone();
            async { Ok::<_, Infallible>(answer) }
        });
        let answer = self.layer.layer(service).oneshot(request).await.unwrap();
        let (parts, body): (_, AuthBody<String>) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            decision: parts.extensions.get().copied(),
        }
    }

    pub(crate) fn forwarded(&self) -> usize {
        self.forwarded.load(Ordering::Relaxed)
    }
}
