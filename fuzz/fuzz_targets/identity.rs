//! Whatever headers a client sends, a request goes on exactly if its one key
//! is the one that is there, and then tells the service behind of nobody else.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use engine::wire::{KEY_HEADER, PROJECT_HEADER, USER_HEADER};
use engine::{
    CidrList, Engine, FailureConfig, KeyPolicy, Reason, SecretKey, ServerSecret, SessionRecord,
};
use engine_hyper::{AuthLayer, Checked, Gate, PeerAddr};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    forward_key: bool,
    headers: Vec<(Name<'a>, Value<'a>)>,
}

#[derive(Debug, Arbitrary)]
enum Name<'a> {
    /// A reserved name, with signs of the fuzzer's in place of its hyphens.
    Reserved(u8, [u8; 2]),
    ApiKey,
    Authorization,
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    Key,
    Bearer,
    Any(&'a [u8]),
}

const RESERVED: [&str; 4] = ["api-key", KEY_HEADER, PROJECT_HEADER, USER_HEADER];
/// The signs of a header's name, and a letter that is none.
const SIGNS: &[u8] = b"-_.!#$%&'*+^`|~a";

struct World {
    key: SecretKey,
    /// One that keeps the key to itself, and one that forwards it.
    gates: [Arc<Gate>; 2],
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
    let project = || "p1".parse().expect("a name");
    let key = engine
        .mint(
            &"tk_live".parse().expect("a prefix"),
            KeyPolicy::new(project()),
        )
        .expect("a key");
    let session = SessionRecord {
        project: project(),
        user: "u1".parse().expect("a name"),
        expires_at: None,
    };
    engine.put_session(engine.secret().digest_token(b"token"), session);
    let engine = Arc::new(engine);
    let gate = |forward| {
        let layer = AuthLayer::builder(engine.clone()).forward_key(forward);
        layer.build().gate().clone()
    };
    World {
        key,
        gates: [gate(false), gate(true)],
    }
});

impl Name<'_> {
    fn header(&self) -> Option<HeaderName> {
        match self {
            Self::Reserved(which, signs) => {
                let mut signs = signs
                    .iter()
                    .map(|sign| SIGNS[usize::from(*sign) % SIGNS.len()]);
                let name: Vec<u8> = RESERVED[usize::from(*which) % RESERVED.len()]
                    .bytes()
                    .map(|byte| match byte {
                        b'-' => signs.next().unwrap_or(b'-'),
                        other => other,
                    })
                    .collect();
                HeaderName::from_bytes(&name).ok()
            }
            Self::ApiKey => Some(HeaderName::from_static("api-key")),
            Self::Authorization => Some(http::header::AUTHORIZATION),
            Self::Any(name) => name.parse().ok(),
        }
    }
}

/// A name as a service sees it that knows no signs but one.
fn blurred(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(sign).collect()
}

/// The row of the contract that the key alone leads to.
fn expected(headers: &HeaderMap, key: &SecretKey) -> Reason {
    let mut sent = headers.get_all("api-key").iter();
    let blank = |value: &HeaderValue| value.as_bytes().trim_ascii().is_empty();
    match (sent.next(), sent.next()) {
        (None, _) => Reason::MissingKey,
        (Some(one), None) if blank(one) => Reason::MissingKey,
        (Some(one), None) if one.as_bytes() == key.expose().as_bytes() => Reason::Allowed,
        _ => Reason::MalformedKey,
    }
}

fuzz_target!(|input: Input| {
    let world = &*WORLD;
    let mut request = Request::new(());
    for (name, value) in &input.headers {
        let value = match value {
            Value::Key => world.key.expose().as_bytes(),
            Value::Bearer => b"Bearer token",
            Value::Any(bytes) => bytes,
        };
        // What HTTP does not carry no client sends.
        if let (Some(name), Ok(value)) = (name.header(), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 4711);
    request.extensions_mut().insert(PeerAddr(peer));
    let expected = expected(request.headers(), &world.key);

    match world.gates[usize::from(input.forward_key)].check(&mut request) {
        Checked::Answered(answer) => {
            assert_eq!(answer.status(), 401);
            assert_ne!(expected, Reason::Allowed);
            let body = std::str::from_utf8(answer.body()).expect("JSON");
            let unknown = body.contains(r#""reason":"unknown_key""#);
            let as_expected = body.contains(&format!(r#""reason":"{expected}""#));
            assert!(
                as_expected || unknown && expected == Reason::MalformedKey,
                "{body}"
            );
        }
        Checked::Admitted(verdict) => {
            assert_eq!(expected, Reason::Allowed);
            let headers = request.headers();
            let only = |name: &str| {
                let mut values = headers.get_all(name).iter();
                let value = values.next().map(HeaderValue::as_bytes);
                assert!(values.next().is_none(), "{name} stands twice");
                value
            };
            let id = world.key.id().to_string();
            assert_eq!(only(KEY_HEADER), Some(id.as_bytes()));
            assert_eq!(only(PROJECT_HEADER), Some(&b"p1"[..]));
            let user = verdict.decision().user().map(ToString::to_string);
            assert_eq!(only(USER_HEADER), user.as_deref().map(str::as_bytes));
            assert!(user.is_none_or(|user| user == "u1"));
            let key = input.forward_key.then(|| world.key.expose().as_bytes());
            assert_eq!(only("api-key"), key);
            for name in headers.keys().map(HeaderName::as_str) {
                let plain = RESERVED.contains(&name);
                let reads_as = |reserved: &&str| blurred(reserved) == blurred(name);
                assert!(plain || !RESERVED.iter().any(reads_as), "{name}");
            }
        }
    }
});
