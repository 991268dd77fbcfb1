//! The last hour that a counter can name, and the times after it: what a clock
//! in milliseconds comes to as well.

use std::net::Ipv4Addr;

use engine::{
    Engine, FailureConfig, Hour, KeyPolicy, Limit, OriginList, Reason, Request, ServerSecret,
    SessionRecord, SessionToken,
};

/// Where the last hour begins.
const LAST: u64 = ((1 << 28) - 1) * 3600;

fn engine(failures: FailureConfig) -> Engine {
    Engine::builder(ServerSecret::from_bytes([7; 32]))
        .failures(failures)
        .max_keys(1)
        .build()
        .unwrap()
}

#[test]
fn the_last_hours_budget_is_spent_once() {
    let engine = engine(FailureConfig::default());
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

#[test]
fn what_never_ends_is_there_at_the_end_of_time() {
    let engine = engine(FailureConfig::default());
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    let origin = "https://app.example";
    policy.origins = OriginList::parse([origin]).unwrap();
    let key = engine.mint(&"tk_live".parse().unwrap(), policy).unwrap();
    let token = SessionToken::generate().unwrap();
    let session = SessionRecord {
        project: "p".parse().unwrap(),
        user: "u".parse().unwrap(),
        expires_at: None,
    };
    let digest = engine.secret().digest_token(token.expose().as_bytes());
    engine.put_session(digest, session);
    let request = Request::new(Ipv4Addr::LOCALHOST)
        .api_key(key.expose().as_bytes())
        .bearer(token.expose().as_bytes())
        .origin(origin.as_bytes())
        .needs_user(true);
    assert_eq!(engine.purge_sessions(u64::MAX), 0);
    for unix_s in [LAST, u64::MAX - 1, u64::MAX] {
        let decision = engine.decide_at(&request, unix_s);
        assert_eq!(decision.reason(), Reason::Allowed, "{unix_s}");
        assert!(engine.lists_origin(origin.as_bytes(), unix_s), "{unix_s}");
    }
}

#[test]
fn a_block_that_never_ends_says_to_wait_as_long_as_can_be_told() {
    // In milliseconds, which nobody should count in.
    const NOW: u64 = 1_790_000_000_000;
    let failures = FailureConfig {
        threshold: 1,
        ..FailureConfig::default()
    };
    let engine = engine(failures);
    let guess = Request::new(Ipv4Addr::LOCALHOST).api_key(b"guess");
    let at = |unix_s| {
        let decision = engine.decide_at(&guess, unix_s);
        (decision.reason(), decision.retry_after_s())
    };
    assert_eq!(at(NOW).0, Reason::MalformedKey);
    for unix_s in [NOW, NOW + 1, NOW + 1_000_000, u64::MAX] {
        assert_eq!(at(unix_s), (Reason::IpBlocked, Some(u32::MAX)), "{unix_s}");
    }
}
