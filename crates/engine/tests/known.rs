//! What a decision says of the key, once one is known: whatever became of the
//! request.

use std::net::Ipv4Addr;

use engine::{Engine, KeyPolicy, Reason, Request, ServerSecret};

const NOW: u64 = 1_790_000_000;

#[test]
fn admitted_or_refused_the_key_and_its_project_are_named() {
    let engine = Engine::builder(ServerSecret::from_bytes([5; 32]))
        .build()
        .unwrap();
    for project in ["p1", "p2"] {
        let mut policy = KeyPolicy::new(project.parse().unwrap());
        policy.expires_at = Some(NOW);
        let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
        let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
        for (at, reason) in [(NOW - 1, Reason::Allowed), (NOW, Reason::ExpiredKey)] {
            let decision = engine.decide_at(&request, at);
            assert_eq!(decision.reason(), reason);
            assert_eq!(decision.key(), Some(key.id()));
            assert_eq!(engine.project(decision.project().unwrap()), project);
        }
    }
    let decision = engine.decide_at(&Request::new(Ipv4Addr::LOCALHOST).api_key(b"none"), NOW);
    assert_eq!((decision.key(), decision.project()), (None, None));
}
