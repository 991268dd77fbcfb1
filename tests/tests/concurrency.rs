//! What must hold whatever the threads do. The same bodies run in release, in
//! debug and under Miri, with fewer turns each.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use engine::{
    Decision, Engine, FailureConfig, Hour, KeyPolicy, KeyState, Limit, OriginList, Prefix, Reason,
    Request, SecretKey, ServerSecret, SessionRecord,
};

const NOW: u64 = 1_790_000_000;
const HOUR_S: u64 = 3600;
const THREADS: u64 = 4;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// So many turns in release, a tenth in debug, and a handful under Miri.
const fn turns(release: u64) -> u64 {
    let turns = if cfg!(miri) {
        release / 10_000
    } else if cfg!(debug_assertions) {
        release / 10
    } else {
        release
    };
    if turns < 4 { 4 } else { turns }
}

fn engine(threshold: u32) -> Engine {
    Engine::builder(ServerSecret::from_bytes([2; 32]))
        .failures(FailureConfig {
            threshold,
            max_addresses: if cfg!(miri) { 64 } else { 65_536 },
            ..FailureConfig::default()
        })
        .max_keys(if cfg!(miri) { 64 } else { 1 << 12 })
        .build()
        .unwrap()
}

fn mint(engine: &Engine, limit: Option<u64>) -> SecretKey {
    let prefix: Prefix = "tk_live".parse().unwrap();
    let mut policy = KeyPolicy::new("p1".parse().unwrap());
    policy.hourly_limit = limit.map(units);
    engine.mint(&prefix, policy).unwrap()
}

fn units(number: u64) -> Limit {
    Limit::try_from(number).unwrap()
}

fn decide(engine: &Engine, key: &SecretKey, cost: u32, at: u64) -> Decision {
    let request = Request::new(CLIENT)
        .api_key(key.expose().as_bytes())
        .cost(cost);
    engine.decide_at(&request, at)
}

/// Runs one body on each of [`THREADS`] threads, begun together.
fn together<T: Send>(body: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (barrier, body) = (&barrier, &body);
                scope.spawn(move || {
                    barrier.wait();
                    body(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// A small generator, so that each thread's costs differ.
struct Costs(u64);

impl Iterator for Costs {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((self.0 >> 33) as u32 % 5 + 1)
    }
}

#[test]
fn a_budget_is_spent_to_the_unit_by_all_threads_together() {
    let each = turns(100_000);
    for limit in [
        0,
        1,
        each - 1,
        each * THREADS / 2,
        each * THREADS,
        each * THREADS * 2,
    ] {
        let engine = engine(10);
        let key = mint(&engine, Some(limit));
        let admitted = together(|_| {
            (0..each)
                .filter(|_| decide(&engine, &key, 1, NOW).is_allowed())
                .count() as u64
        });
        let admitted: u64 = admitted.iter().sum();
        assert_eq!(admitted, limit.min(each * THREADS), "of {limit}");
        assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(admitted));
    }
}

#[test]
fn what_is_refused_would_not_have_fitted() {
    let each = turns(100_000);
    let limit = each * THREADS;
    let engine = engine(10);
    let key = mint(&engine, Some(limit));
    let counts = together(|number| {
        let (mut admitted, mut least_refused) = (0, u64::MAX);
        for cost in Costs(number).take(each as usize) {
            let decision = decide(&engine, &key, cost, NOW);
            if decision.is_allowed() {
                admitted += u64::from(cost);
            } else {
                // Use only grows, so what was left then was no less than now.
                least_refused = least_refused.min(u64::from(cost));
                let left = decision.budget().unwrap().remaining;
                assert!(left < u64::from(cost), "{left} were left for {cost}");
            }
        }
        (admitted, least_refused)
    });
    let admitted: u64 = counts.iter().map(|(admitted, _)| admitted).sum();
    let least_refused = counts.iter().map(|(_, least)| *least).min().unwrap();
    assert!(admitted <= limit);
    assert!(admitted.saturating_add(least_refused) > limit);
    assert_eq!(engine.used(key.id(), Hour::of(NOW)), Some(admitted));
}

#[test]
fn eight_hours_at_once_keep_a_budget_each() {
    let each = turns(100_000);
    let limit = each / 4;
    let engine = engine(10);
    let key = mint(&engine, Some(limit));
    let admitted = together(|number| {
        let mut admitted = [0_u64; 8];
        for turn in 0..each {
            // Each thread goes through the hours in an order of its own.
            let hour = (turn * (2 * number + 1) + number) % 8;
            let decision = decide(&engine, &key, 1, NOW + hour * HOUR_S);
            admitted[hour as usize] += u64::from(decision.is_allowed());
        }
        admitted
    });
    for hour in 0..8 {
        let sum: u64 = admitted.iter().map(|hours| hours[hour]).sum();
        // Twice as many were asked for.
        assert_eq!(sum, limit, "hour {hour}");
        let used = engine.used(key.id(), Hour::of(NOW + hour as u64 * HOUR_S));
        assert_eq!(used, Some(sum));
    }
}

#[test]
fn no_roll_over_admits_too_much() {
    const HOURS: usize = 40;
    let each = turns(10_000);
    let limit = each / 2;
    let engine = engine(10);
    let key = mint(&engine, Some(limit));
    let admitted = together(|number| {
        let mut admitted = [0_u64; HOURS];
        for turn in 0..each * HOURS as u64 / 4 {
            // All go forward, each now and then back by up to nine hours.
            let front = turn * 4 / each;
            let back = (turn * (number + 3)) % 29;
            let hour = front.saturating_sub(if back < 10 { back } else { 0 });
            let decision = decide(&engine, &key, 1, NOW + hour * HOUR_S);
            admitted[hour as usize] += u64::from(decision.is_allowed());
        }
        admitted
    });
    for hour in 0..HOURS {
        let sum: u64 = admitted.iter().map(|hours| hours[hour]).sum();
        assert!(sum <= limit, "hour {hour}: {sum} of {limit}");
        if let Some(used) = engine.used(key.id(), Hour::of(NOW + hour as u64 * HOUR_S)) {
            assert_eq!(used, sum, "hour {hour}");
        }
    }
}

#[test]
fn exactly_threshold_guesses_are_answered_401() {
    for (round, threshold) in (0..turns(2_000)).zip([1, 2, 10, 11].into_iter().cycle()) {
        let engine_of_round = engine(threshold);
        let client = if round % 2 == 0 {
            CLIENT
        } else {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, round as u16, 0, 0, 0, 1))
        };
        let answers = together(|number| {
            let key: &[u8] = if number % 2 == 0 { b"x" } else { b"tk_live_y" };
            let mut answers = [0_u32; 2];
            for _ in 0..8 {
                let guess = Request::new(client).api_key(key);
                match engine_of_round.decide_at(&guess, NOW).reason() {
                    Reason::MalformedKey => answers[0] += 1,
                    Reason::IpBlocked => answers[1] += 1,
                    other => panic!("{other}"),
                }
            }
            answers
        });
        let unauthorized: u32 = answers.iter().map(|[one, _]| one).sum();
        let blocked: u32 = answers.iter().map(|[_, other]| other).sum();
        assert_eq!(unauthorized, threshold, "round {round}");
        assert_eq!(blocked, 8 * THREADS as u32 - threshold);
        assert_eq!(engine_of_round.stats(NOW).blocked_addresses, 1);
    }
}

/// What a change announces once it has returned, and what readers then see:
/// `publish` makes the change number so many, `check` is handed the number of
/// the last one that had returned before it was called.
fn visible(changes: usize, publish: impl Fn(usize) + Sync, check: impl Fn(usize) + Sync) {
    let (announced, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    together(|number| {
        if number == 0 {
            // Ends the others' turns also where a change panics.
            let _done = SetOnDrop(&done);
            for change in 1..=changes {
                publish(change);
                announced.store(change, Ordering::Release);
            }
        } else {
            while !done.load(Ordering::Acquire) {
                check(announced.load(Ordering::Acquire));
            }
            check(announced.load(Ordering::Acquire));
        }
    });
    check(changes);
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn no_decision_after_a_revocation_allows() {
    let engine = engine(10);
    let keys: Vec<_> = (0..turns(20_000))
        .map(|_| mint(&engine, None))
        .take(4000)
        .collect();
    visible(
        keys.len(),
        |change| {
            engine
                .set_key_state(keys[change - 1].id(), KeyState::Revoked)
                .unwrap();
        },
        |revoked| {
            for (number, key) in keys
                .iter()
                .enumerate()
                .skip(revoked.saturating_sub(2))
                .take(4)
            {
                let reason = decide(&engine, key, 1, NOW).reason();
                if number < revoked {
                    assert_eq!(
                        reason,
                        Reason::RevokedKey,
                        "key {number} of {revoked} revoked"
                    );
                } else {
                    assert!(
                        matches!(reason, Reason::Allowed | Reason::RevokedKey),
                        "{reason}"
                    );
                }
            }
        },
    );
}

#[test]
fn a_minted_key_is_known_to_every_thread() {
    let engine = engine(4000);
    let secrets: Vec<SecretKey> = (0..turns(20_000).min(4000))
        .map(|_| SecretKey::generate(&"tk_live".parse().unwrap()).unwrap())
        .collect();
    visible(
        secrets.len(),
        |change| {
            let secret = &secrets[change - 1];
            let record = engine::KeyRecord {
                id: secret.id(),
                digest: engine.secret().digest_key(secret.expose().as_bytes()),
                policy: KeyPolicy::new("p1".parse().unwrap()),
            };
            engine.insert_keys(vec![record]).unwrap();
        },
        |minted| {
            for secret in secrets[..minted].iter().rev().take(3) {
                assert!(decide(&engine, secret, 1, NOW).is_allowed());
            }
        },
    );
}

#[test]
fn a_limit_counts_from_the_moment_it_is_set() {
    let engine = engine(10);
    let key = mint(&engine, Some(1));
    visible(
        turns(20_000) as usize,
        |change| {
            let limit = Some(units(change as u64));
            engine
                .update_key(key.id(), |policy| policy.hourly_limit = limit)
                .unwrap();
        },
        |raised| {
            let limit = decide(&engine, &key, 0, NOW).budget().unwrap().limit;
            assert!(limit >= raised as u64, "{limit} after {raised}");
        },
    );
}

#[test]
fn an_ended_session_names_no_user_again() {
    let engine = engine(10);
    let key = mint(&engine, None);
    let tokens: Vec<String> = (0..turns(20_000)).map(|i| format!("token-{i}")).collect();
    let lasting = "lasting".to_owned();
    for token in tokens.iter().chain([&lasting]) {
        let session = SessionRecord {
            project: "p1".parse().unwrap(),
            user: "u1".parse().unwrap(),
            expires_at: None,
        };
        engine.put_session(engine.secret().digest_token(token.as_bytes()), session);
    }
    let user_of = |token: &String| {
        let request = Request::new(CLIENT)
            .api_key(key.expose().as_bytes())
            .bearer(token.as_bytes());
        engine.decide_at(&request, NOW).user().is_some()
    };
    visible(
        tokens.len(),
        |change| {
            let token = engine.secret().digest_token(tokens[change - 1].as_bytes());
            assert!(engine.end_session(&token));
        },
        |ended| {
            for token in tokens[..ended].iter().rev().take(3) {
                assert!(!user_of(token), "{token} of {ended}");
            }
            assert!(user_of(&lasting), "after {ended}");
        },
    );
}

#[test]
fn a_decision_sees_wholly_the_old_or_wholly_the_new_key() {
    const ORIGINS: [&str; 2] = ["https://a.example", "https://b.example"];
    let engine = engine(10);
    let key = mint(&engine, None);
    let policies = [0, 1].map(|which| {
        let mut policy = KeyPolicy::new(["pa", "pb"][which].parse().unwrap());
        policy.hourly_limit = Some(units(100 + which as u64));
        policy.origins = OriginList::parse([ORIGINS[which]]).unwrap();
        policy
    });
    let publish = |change: usize| {
        let policy = policies[change % 2].clone();
        engine.update_key(key.id(), |old| *old = policy).unwrap();
    };
    publish(0);
    visible(turns(20_000) as usize, publish, |_| {
        for (which, origin) in ORIGINS.iter().enumerate() {
            let request = Request::new(CLIENT)
                .api_key(key.expose().as_bytes())
                .origin(origin.as_bytes())
                .cost(0);
            let decision = engine.decide_at(&request, NOW);
            let project = engine.project(decision.project().unwrap());
            let limit = decision.budget().map(|budget| budget.limit);
            let seen = (project, limit, decision.allow_origin());
            if decision.is_allowed() {
                assert_eq!(seen, (["pa", "pb"][which], Some(100 + which as u64), true));
            } else {
                assert_eq!(decision.reason(), Reason::OriginDenied);
                assert_eq!(seen, (["pb", "pa"][which], None, false));
            }
        }
    });
}
