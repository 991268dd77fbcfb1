//! A batch gives to the letter what as many lone decisions in its order give.

use std::net::{IpAddr, Ipv4Addr};

use engine::{
    CidrList, Credential, Decision, Engine, FailureConfig, KeyPolicy, KeyRecord, KeyState, Limit,
    OriginList, Request, SecretKey, ServerSecret, SessionRecord,
};
use proptest::prelude::*;

const NOW: u64 = 1_790_000_000;

/// Keys of every kind; the last one is known to nobody.
fn keys() -> Vec<(SecretKey, KeyPolicy)> {
    let key = |change: fn(&mut KeyPolicy)| {
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        change(&mut policy);
        let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        (key, policy)
    };
    vec![
        key(|_| ()),
        key(|p| p.hourly_limit = Limit::try_from(5).ok()),
        key(|p| p.hourly_limit = Limit::try_from(40).ok()),
        key(|p| p.state = KeyState::Revoked),
        key(|p| p.expires_at = Some(NOW + 1)),
        key(|p| p.origins = OriginList::parse(["https://*.example.com"]).unwrap()),
        key(|p| p.ips = CidrList::parse(["10.0.0.0/30"]).unwrap()),
        key(|p| p.project = "p2".parse().unwrap()),
        key(|_| ()),
    ]
}

/// An engine that knows the keys but for the last.
fn engine(keys: &[(SecretKey, KeyPolicy)]) -> Engine {
    let engine = Engine::builder(ServerSecret::from_bytes([7; 32]))
        .failures(FailureConfig {
            threshold: 3,
            max_addresses: 64,
            ..FailureConfig::default()
        })
        .max_keys(64)
        .build()
        .unwrap();
    let record = |(key, policy): &(SecretKey, KeyPolicy)| KeyRecord {
        id: key.id(),
        digest: engine.secret().digest_key(key.expose().as_bytes()),
        policy: policy.clone(),
    };
    let known = keys.iter().take(keys.len().saturating_sub(1));
    engine.put_keys(known.map(record).collect()).unwrap();
    let session = SessionRecord {
        project: "p1".parse().unwrap(),
        user: "u1".parse().unwrap(),
        expires_at: Some(NOW + 2),
    };
    engine.put_session(engine.secret().digest_token(b"token"), session);
    engine
}

/// What a request is made of.
#[derive(Clone, Debug)]
struct Ask {
    key: usize,
    shape: u8,
    ip: u8,
    bearer: u8,
    origin: bool,
    needs_user: bool,
    cost: u32,
}

fn ask() -> impl Strategy<Value = Ask> {
    let numbers = (
        0..9_usize,
        0..12_u8,
        0..6_u8,
        0..4_u8,
        any::<bool>(),
        0..5_u8,
        0..4_u32,
    );
    numbers.prop_map(|(key, shape, ip, bearer, origin, user, cost)| Ask {
        key,
        shape,
        ip,
        bearer,
        origin,
        needs_user: user == 0,
        cost,
    })
}

impl Ask {
    fn request<'k>(&self, keys: &'k [(SecretKey, KeyPolicy)]) -> Request<'k> {
        let key = keys[self.key].0.expose().as_bytes();
        let shown = match self.shape {
            0 => Credential::Absent,
            1 => Credential::One(b" "),
            2 => Credential::One(&key[..key.len() - 1]),
            3 => Credential::Repeated,
            _ => Credential::One(key),
        };
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.ip));
        let request = Request::new(ip)
            .api_key_header(shown)
            .needs_user(self.needs_user)
            .cost(self.cost);
        let request = match self.bearer {
            0 => request.bearer(b"token"),
            1 => request.bearer(b"nope"),
            _ => request,
        };
        if self.origin {
            request.origin(b"https://app.example.com")
        } else {
            request
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

    #[test]
    fn a_batch_is_its_decisions_in_order(
        batches in prop::collection::vec((prop::collection::vec(ask(), 0..70), 0..4_u64), 1..4)
    ) {
        let keys = keys();
        let (lone, batch) = (engine(&keys), engine(&keys));
        for (asks, later) in &batches {
            let at = NOW + later;
            let requests: Vec<_> = asks.iter().map(|ask| ask.request(&keys)).collect();
            let expected: Vec<_> = requests.iter().map(|r| lone.decide_at(r, at)).collect();
            let mut decisions = vec![Decision::default(); asks.len()];
            batch.decide_batch_at(&requests, &mut decisions, at);
            prop_assert_eq!(decisions, expected);
        }
    }
}

#[test]
#[should_panic(expected = "a decision for each request")]
fn a_decision_is_wanted_for_each_request() {
    let engine = engine(&[]);
    engine.decide_batch(&[Request::new(Ipv4Addr::LOCALHOST)], &mut []);
}
