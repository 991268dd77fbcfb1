//! Which time a decision goes by: the engine's clock, read once, and only where
//! the time matters.

use std::net::Ipv4Addr;

use engine::{Clock, Decision, Engine, KeyPolicy, Reason, Request, SecretKey, ServerSecret};

const NOW: u64 = 1_790_000_000;

/// An engine whose one key expires at `NOW`.
fn engine(clock: &Clock) -> (Engine, SecretKey) {
    let engine = Engine::builder(ServerSecret::from_bytes([3; 32]))
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut policy = KeyPolicy::new("p1".parse().unwrap());
    policy.expires_at = Some(NOW);
    let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
    (engine, key)
}

#[test]
fn every_way_to_ask_goes_by_the_clock() {
    let clock = Clock::manual(NOW - 1);
    let (engine, key) = engine(&clock);
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    let ways: [fn(&Engine, &Request<'_>) -> Decision; 3] = [
        Engine::decide,
        |engine, request| engine.decide_timed(request, &mut 0),
        |engine, request| {
            let mut decisions = [Decision::default()];
            engine.decide_batch(&[*request], &mut decisions);
            decisions[0]
        },
    ];
    for (at, reason) in [(NOW - 1, Reason::Allowed), (NOW, Reason::ExpiredKey)] {
        clock.set(at);
        for way in ways {
            assert_eq!(way(&engine, &request).reason(), reason);
        }
    }
}

#[test]
fn the_time_is_told_where_it_was_read() {
    let clock = Clock::manual(NOW);
    let (engine, key) = engine(&clock);
    let nothing = Request::new(Ipv4Addr::LOCALHOST);
    let mut unix_s = 7;
    let decision = engine.decide_timed(&nothing, &mut unix_s);
    assert_eq!((decision.reason(), unix_s), (Reason::MissingKey, 7));
    let request = nothing.api_key(key.expose().as_bytes());
    let decision = engine.decide_timed(&request, &mut unix_s);
    assert_eq!((decision.reason(), unix_s), (Reason::ExpiredKey, NOW));
}
