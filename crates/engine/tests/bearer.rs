//! What a bearer token does to a decision.

use std::net::Ipv4Addr;

use engine::{Engine, KeyPolicy, Reason, Request, ServerSecret, SessionRecord};

const NOW: u64 = 1_790_000_000;

#[test]
fn a_token_longer_than_is_read_is_invalid_even_if_it_is_known() {
    let engine = Engine::builder(ServerSecret::from_bytes([5; 32]))
        .build()
        .unwrap();
    let policy = KeyPolicy::new("p1".parse().unwrap());
    let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    let session = SessionRecord {
        project: "p1".parse().unwrap(),
        user: "u1".parse().unwrap(),
        expires_at: None,
    };
    for (len, reason) in [(512, Reason::Allowed), (513, Reason::BearerInvalid)] {
        let token = vec![b't'; len];
        engine.put_session(engine.secret().digest_token(&token), session);
        let request = request.bearer(&token).needs_user(true);
        let decision = engine.decide_at(&request, NOW);
        assert_eq!(decision.reason(), reason, "{len}");
    }
}
