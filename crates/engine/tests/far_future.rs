//! The last hour that a counter can name, and the times after it.

use std::net::Ipv4Addr;

use engine::{Engine, Hour, KeyPolicy, Limit, Reason, Request, ServerSecret};

/// Where the last hour begins.
const LAST: u64 = ((1 << 28) - 1) * 3600;

#[test]
fn the_last_hours_budget_is_spent_once() {
    let engine = Engine::builder(ServerSecret::from_bytes([7; 32]))
        .max_keys(1)
        .build()
        .unwrap();
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    policy.hourly_limit = Some(Limit::try_from(5).unwrap());
    let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());

    // The hour before has a budget of its own.
    assert_ne!(Hour::of(LAST - 1), Hour::of(LAST));
    let before = engine.decide_at(&request.cost(5), LAST - 1);
    assert_eq!(before.reason(), Reason::Allowed);

    let later = [
        LAST,
        LAST + 3600,
        LAST + 8 * 3600,
        1 << 40,
        u64::MAX,
        LAST + 1,
        u64::MAX - 3600,
    ];
    let admitted = later.map(|unix_s| {
        assert_eq!(Hour::of(unix_s), Hour::of(LAST));
        engine.decide_at(&request, unix_s).is_allowed()
    });
    assert_eq!(admitted, [true, true, true, true, true, false, false]);
    assert_eq!(engine.used(key.id(), Hour::of(u64::MAX)), Some(5));
    // Nor does the hour before begin again.
    let before = engine.decide_at(&request, LAST - 1);
    assert_eq!(before.reason(), Reason::HourlyLimit);
}
