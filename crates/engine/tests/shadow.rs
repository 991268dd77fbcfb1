//! Refusals in shadow: told, let through, and counted all the same.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use engine::{
    Clock, Decision, Engine, FailureConfig, Hour, KeyPolicy, KeyState, Limit, OriginList, Reason,
    Request, SecretKey, ServerSecret, SessionRecord, ShadowError, ShadowPolicy, ShadowScope,
};

const NOW: u64 = 1_790_000_000;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

fn engine() -> Engine {
    Engine::builder(ServerSecret::from_bytes([3; 32]))
        .failures(FailureConfig {
            threshold: 2,
            max_addresses: 70,
            ..FailureConfig::default()
        })
        .clock(Clock::manual(NOW))
        .max_keys(64)
        .build()
        .unwrap()
}

fn mint(engine: &Engine, project: &str, change: impl FnOnce(&mut KeyPolicy)) -> SecretKey {
    let mut policy = KeyPolicy::new(project.parse().unwrap());
    change(&mut policy);
    engine.mint(&"tk_live".parse().unwrap(), policy).unwrap()
}

fn limited(units: u64) -> impl FnOnce(&mut KeyPolicy) {
    move |policy| policy.hourly_limit = Some(Limit::try_from(units).unwrap())
}

fn shadow(scope: ShadowScope, reasons: &[Reason]) -> ShadowPolicy {
    let mut policy = ShadowPolicy::default();
    for reason in reasons {
        policy.add(scope, *reason).unwrap();
    }
    policy
}

fn request(key: &SecretKey) -> Request<'_> {
    Request::new(CLIENT).api_key(key.expose().as_bytes())
}

/// What was decided, and what was in shadow.
fn told(decision: &Decision) -> (Reason, Option<Reason>) {
    (decision.reason(), decision.shadowed())
}

const LIMIT_IN_SHADOW: (Reason, Option<Reason>) = (Reason::Allowed, Some(Reason::HourlyLimit));

#[test]
fn a_limit_is_tried_before_it_bites() {
    let engine = engine();
    let key = mint(&engine, "p1", limited(10));
    engine.set_shadow(shadow(ShadowScope::Key(key.id()), &[Reason::HourlyLimit]));
    for sent in 1..=20 {
        let decision = engine.decide(&request(&key));
        let left = 10_u64.saturating_sub(sent);
        assert_eq!(decision.budget().unwrap().remaining, left);
        assert_eq!(decision.retry_after_s(), None);
        let expected = (sent > 10).then_some(Reason::HourlyLimit);
        assert_eq!(told(&decision), (Reason::Allowed, expected));
    }
    assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(20));
    engine.set_shadow(ShadowPolicy::default());
    let decision = engine.decide(&request(&key));
    assert_eq!(told(&decision), (Reason::HourlyLimit, None));
    assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(20));
}

#[test]
fn it_is_for_whom_it_says() {
    let engine = engine();
    let keys = ["p1", "p1", "p2"].map(|project| mint(&engine, project, limited(0)));
    let refused = (Reason::HourlyLimit, None);
    let of = |engine: &Engine| [0, 1, 2].map(|at| told(&engine.decide(&request(&keys[at]))));
    assert_eq!(of(&engine), [refused; 3]);
    let limit = [Reason::HourlyLimit];
    engine.set_shadow(shadow(ShadowScope::Key(keys[1].id()), &limit));
    assert_eq!(of(&engine), [refused, LIMIT_IN_SHADOW, refused]);
    engine.set_shadow(shadow(ShadowScope::Project("p1".parse().unwrap()), &limit));
    assert_eq!(of(&engine), [LIMIT_IN_SHADOW, LIMIT_IN_SHADOW, refused]);
    engine.set_shadow(shadow(ShadowScope::All, &limit));
    assert_eq!(of(&engine), [LIMIT_IN_SHADOW; 3]);
}

#[test]
fn every_check_that_fails_has_to_be_in_shadow() {
    let engine = engine();
    let key = mint(&engine, "p1", |policy| {
        limited(0)(policy);
        policy.state = KeyState::Disabled;
        policy.expires_at = Some(NOW);
        policy.origins = OriginList::parse(["https://app.example.com"]).unwrap();
    });
    let session = SessionRecord {
        project: "p1".parse().unwrap(),
        user: "u1".parse().unwrap(),
        expires_at: None,
    };
    engine.put_session(engine.secret().digest_token(b"token"), session);
    let ask = request(&key)
        .origin(b"https://evil.example")
        .bearer(b"token")
        .needs_user(true);
    let failing = [
        Reason::DisabledKey,
        Reason::ExpiredKey,
        Reason::OriginDenied,
        Reason::HourlyLimit,
    ];
    for shadowed in 0..failing.len() {
        engine.set_shadow(shadow(ShadowScope::All, &failing[..shadowed]));
        assert_eq!(told(&engine.decide(&ask)), (failing[shadowed], None));
        assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(0));
    }
    engine.set_shadow(shadow(ShadowScope::All, &failing));
    let decision = engine.decide(&ask);
    assert_eq!(
        told(&decision),
        (Reason::Allowed, Some(Reason::DisabledKey))
    );
    // The origin is not listed, so that no page of it may read the answer.
    assert!(!decision.allow_origin());
    assert_eq!(decision.user().map(engine::Name::as_str), Some("u1"));
    assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(1));
}

#[test]
fn a_revoked_key_stays_refused() {
    let engine = engine();
    let key = mint(&engine, "p1", |policy| policy.state = KeyState::Revoked);
    let mut policy = ShadowPolicy::default();
    for reason in Reason::ALL {
        let added = policy.add(ShadowScope::All, reason);
        let never = matches!(reason, Reason::Allowed | Reason::RevokedKey);
        assert_eq!(added.is_err(), never, "{reason}");
        if never {
            assert_eq!(added, Err(ShadowError::Never(reason)));
        }
        let added = ShadowPolicy::default().add(ShadowScope::Key(key.id()), reason);
        assert_eq!(added.is_ok(), ShadowPolicy::OF_KEYS.contains(reason));
    }
    assert!(policy.lets_anybody_in());
    engine.set_shadow(policy);
    let decision = engine.decide(&request(&key));
    assert_eq!(told(&decision), (Reason::RevokedKey, None));
}

#[test]
fn without_a_key_one_is_let_in_as_nobody() {
    let engine = engine();
    let anybody: Vec<_> = ShadowPolicy::OF_ANYBODY.iter().collect();
    engine.set_shadow(shadow(ShadowScope::All, &anybody));
    let nothing = Request::new(CLIENT);
    for (ask, expected) in [
        (nothing, Reason::MissingKey),
        (nothing.api_key(b"x"), Reason::MalformedKey),
        (nothing.api_key(b"x"), Reason::MalformedKey),
        // The second guess has begun a block.
        (nothing.api_key(b"x"), Reason::IpBlocked),
        (nothing, Reason::MissingKey),
    ] {
        let decision = engine.decide(&ask);
        assert_eq!(told(&decision), (Reason::Allowed, Some(expected)));
        assert_eq!((decision.key(), decision.project()), (None, None));
        assert_eq!((decision.user(), decision.budget()), (None, None));
        // Where a user is wanted nobody is none.
        let decision = engine.explain_at(&ask.needs_user(true), NOW).decision;
        assert_eq!(told(&decision), (Reason::BearerRequired, None));
        let ask = ask.needs_user(true).bearer(b"token");
        let decision = engine.explain_at(&ask, NOW).decision;
        assert_eq!(told(&decision), (Reason::BearerInvalid, None));
    }
    assert_eq!(engine.stats(NOW).blocked_addresses, 1);
    // A key from a blocked address is charged as ever.
    let key = mint(&engine, "p1", limited(1));
    let decision = engine.decide(&request(&key));
    assert_eq!(told(&decision), (Reason::Allowed, Some(Reason::IpBlocked)));
    assert_eq!(decision.key(), Some(key.id()));
    let decision = engine.decide(&request(&key));
    assert_eq!(told(&decision), (Reason::HourlyLimit, None));
}

#[test]
fn a_missing_key_alone_in_shadow_opens_no_block() {
    let engine = engine();
    engine.set_shadow(shadow(ShadowScope::All, &[Reason::MissingKey]));
    let nothing = Request::new(CLIENT);
    for _ in 0..2 {
        let decision = engine.decide(&nothing.api_key(b"x"));
        assert_eq!(told(&decision), (Reason::MalformedKey, None));
    }
    let decision = engine.decide(&nothing);
    assert_eq!(told(&decision), (Reason::IpBlocked, None));
    assert_eq!(decision.retry_after_s(), Some(300));
}

/// Requests in shadow for another reason meet an enforced limit from several
/// threads: it is spent to the unit.
#[test]
fn an_enforced_limit_is_never_over_admitted() {
    const LIMIT: u64 = if cfg!(miri) { 10 } else { 1000 };
    const THREADS: u64 = 4;
    let engine = engine();
    let key = mint(&engine, "p1", |policy| {
        limited(LIMIT)(policy);
        policy.require_origin = true;
    });
    let scope = ShadowScope::Key(key.id());
    engine.set_shadow(shadow(scope, &[Reason::OriginDenied]));
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..LIMIT {
                    let decision = engine.decide(&request(&key));
                    match told(&decision) {
                        (Reason::Allowed, Some(Reason::OriginDenied)) => {
                            // Relaxed: read after the threads have ended.
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                        other => assert_eq!(other, (Reason::HourlyLimit, None)),
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), LIMIT);
    assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(LIMIT));
}
