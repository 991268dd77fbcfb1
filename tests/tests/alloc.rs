//! Deciding allocates nothing, and frees nothing that others left: counted,
//! for every outcome, on a warmed thread, and while another thread publishes
//! changes.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::{
    CidrList, Credential, Decision, Engine, FailureConfig, KeyPolicy, KeyState, Limit, OriginList,
    Reason, Request, SecretKey, ServerSecret, SessionRecord,
};

/// The system's allocator, counting each thread's calls.
struct Counting;

thread_local! {
    /// Blocks made or moved, and blocks freed. Const and without a destructor:
    /// reading it never allocates.
    static CALLS: Cell<Calls> = const { Cell::new(NONE) };
}

/// Calls of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calls {
    made: u64,
    freed: u64,
}

const NONE: Calls = Calls { made: 0, freed: 0 };

fn count(made: u64, freed: u64) {
    // A thread at its very end has no counter left, and nothing to measure.
    let _ = CALLS.try_with(|calls| {
        let so_far = calls.get();
        calls.set(Calls {
            made: so_far.made + made,
            freed: so_far.freed + freed,
        });
    });
}

// SAFETY: every method hands its arguments on to `System`, which keeps the
// contract of `GlobalAlloc`, and counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, 0);
        // SAFETY: the caller's duty, a layout that is not empty, is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, 0);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, 0);
        // SAFETY: the block came from `System`, by way of the methods above,
        // with this layout; the new size is the caller's duty.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, 1);
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls of the allocator that this thread makes in `work`.
fn calls(work: impl FnOnce()) -> Calls {
    let before = CALLS.get();
    work();
    let after = CALLS.get();
    Calls {
        made: after.made - before.made,
        freed: after.freed - before.freed,
    }
}

#[test]
fn the_counter_counts() {
    let of_one_block = Calls { made: 1, freed: 1 };
    assert_eq!(calls(|| ()), NONE);
    assert_eq!(calls(|| drop(black_box(Box::new(1)))), of_one_block);
    assert_eq!(
        calls(|| drop(black_box(vec![0_u8; 100]))),
        of_one_block,
        "zeroed"
    );
    let mut grown = black_box(Vec::<u64>::with_capacity(1));
    assert_ne!(calls(|| grown.extend([1, 2, 3])).made, 0, "moved");
    let elsewhere = std::thread::spawn(|| calls(|| drop(black_box(Box::new(1)))));
    assert_eq!(
        elsewhere.join().unwrap(),
        of_one_block,
        "each thread its own"
    );
}

const NOW: u64 = 1_790_000_000;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const BLOCKED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8));
const ORIGIN: &[u8] = b"https://app.example.com";
const LONG: &[u8] = &[b'a'; 100_000];

/// An engine with a key for each outcome.
struct World {
    engine: Engine,
    open: SecretKey,
    limited: SecretKey,
    spent: SecretKey,
    revoked: SecretKey,
    disabled: SecretKey,
    expired: SecretKey,
    /// Lists origins and addresses.
    strict: SecretKey,
    unknown: SecretKey,
}

fn mint(engine: &Engine, change: impl FnOnce(&mut KeyPolicy)) -> SecretKey {
    let mut policy = KeyPolicy::new("p1".parse().unwrap());
    change(&mut policy);
    engine.mint(&"tk_live".parse().unwrap(), policy).unwrap()
}

fn session() -> SessionRecord {
    SessionRecord {
        project: "p1".parse().unwrap(),
        user: "u1".parse().unwrap(),
        expires_at: None,
    }
}

/// A request with a key.
fn with(key: &SecretKey) -> Request<'_> {
    Request::new(CLIENT).api_key(key.expose().as_bytes())
}

impl World {
    fn new() -> Self {
        let engine = Engine::builder(ServerSecret::from_bytes([1; 32]))
            .failures(FailureConfig {
                // More than two rounds of `asks` have.
                threshold: 10,
                block_s: u32::MAX,
                max_addresses: 1024,
                ..FailureConfig::default()
            })
            .origins(OriginList::parse(["https://console.example.com"]).unwrap())
            // Removed keys give their slots back after hours only.
            .max_keys(if cfg!(miri) { 1 << 10 } else { 1 << 22 })
            .build()
            .unwrap();
        let strict = mint(&engine, |policy| {
            policy.origins =
                OriginList::parse(["https://a.example", "https://*.example.com"]).unwrap();
            policy.ips = CidrList::parse(["10.0.0.0/8", "198.51.100.0/24"]).unwrap();
        });
        let world = Self {
            open: mint(&engine, |_| ()),
            limited: mint(&engine, |policy| policy.hourly_limit = Some(Limit::MAX)),
            spent: mint(&engine, |policy| {
                policy.hourly_limit = Limit::try_from(0).ok();
            }),
            revoked: mint(&engine, |policy| policy.state = KeyState::Revoked),
            disabled: mint(&engine, |policy| policy.state = KeyState::Disabled),
            expired: mint(&engine, |policy| policy.expires_at = Some(NOW)),
            strict,
            unknown: SecretKey::generate(&"tk_live".parse().unwrap()).unwrap(),
            engine,
        };
        let token = world.engine.secret().digest_token(b"token");
        world.engine.put_session(token, session());
        for _ in 0..10 {
            let _ = world
                .engine
                .decide_at(&Request::new(BLOCKED).api_key(b"x"), NOW);
        }
        world
    }

    /// Every way to each outcome that differs in what is looked up.
    fn asks(&self) -> [(Reason, Request<'_>); 23] {
        [
            (Reason::Allowed, with(&self.open)),
            (Reason::Allowed, with(&self.open).bearer(b"token")),
            (
                Reason::Allowed,
                with(&self.open).bearer(b"token").needs_user(true),
            ),
            (
                Reason::Allowed,
                with(&self.open).bearer(b"nope").origin(ORIGIN),
            ),
            (Reason::Allowed, with(&self.limited).cost(3)),
            (Reason::Allowed, with(&self.limited).cost(0)),
            (Reason::Allowed, with(&self.strict).origin(ORIGIN)),
            (Reason::MissingKey, Request::new(CLIENT)),
            (Reason::MissingKey, Request::new(CLIENT).api_key(b" ")),
            (Reason::IpBlocked, Request::new(BLOCKED).api_key(b"x")),
            (Reason::MalformedKey, Request::new(CLIENT).api_key(b"x")),
            (Reason::MalformedKey, Request::new(CLIENT).api_key(LONG)),
            (
                Reason::MalformedKey,
                Request::new(CLIENT).api_key_header(Credential::Repeated),
            ),
            (Reason::UnknownKey, with(&self.unknown)),
            (Reason::RevokedKey, with(&self.revoked)),
            (Reason::DisabledKey, with(&self.disabled)),
            (Reason::ExpiredKey, with(&self.expired)),
            (
                Reason::OriginDenied,
                with(&self.strict).origin(b"https://evil.example:8443"),
            ),
            (
                Reason::IpDenied,
                Request::new(Ipv4Addr::LOCALHOST).api_key(self.strict.expose().as_bytes()),
            ),
            (Reason::BearerRequired, with(&self.open).needs_user(true)),
            (
                Reason::BearerInvalid,
                with(&self.open).needs_user(true).bearer(b"nope"),
            ),
            (
                Reason::BearerInvalid,
                with(&self.open).needs_user(true).bearer(LONG),
            ),
            (Reason::HourlyLimit, with(&self.spent)),
        ]
    }

    /// Decides about every request at a time of its own, so that no guesses
    /// add up; says for each how the allocator was called.
    fn round(&self, number: u64) -> [(Reason, Calls); 23] {
        let at = NOW + number * 300;
        self.asks().map(|(expected, request)| {
            let mut reason = None;
            let calls = calls(|| reason = Some(self.engine.decide_at(&request, at).reason()));
            assert_eq!(reason, Some(expected));
            (expected, calls)
        })
    }

    /// Decides about every request at once, at the time of a round.
    fn batch(&self, number: u64) -> Calls {
        let at = NOW + number * 300;
        let asks = self.asks();
        let requests = asks.map(|(_, request)| request);
        let mut decisions = asks.map(|_| Decision::default());
        let calls = calls(|| self.engine.decide_batch_at(&requests, &mut decisions, at));
        for ((expected, _), decision) in asks.iter().zip(&decisions) {
            assert_eq!(decision.reason(), *expected);
        }
        calls
    }
}

#[test]
fn every_outcome_is_among_the_requests() {
    let world = World::new();
    let asks = world.asks();
    for reason in Reason::ALL {
        assert!(
            asks.iter().any(|(expected, _)| *expected == reason),
            "{reason}"
        );
    }
}

/// One test, since what one leaves to be freed could meet the other.
#[test]
fn no_outcome_allocates() {
    let rounds = if cfg!(miri) { 4 } else { 1000 };
    let world = World::new();
    for number in 0..2 * rounds {
        for (reason, calls) in world.round(number) {
            // The first rounds warm the thread.
            let nothing = Calls { made: 0, freed: 0 };
            assert!(
                calls == nothing || number < rounds,
                "{reason} at rest: {calls:?}"
            );
        }
        assert!(
            world.batch(number) == NONE || number < rounds,
            "a batch at rest"
        );
    }

    let (published, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                publish(&world);
                published.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Tells the publisher to stop also where an assertion fails.
        let _stop = Stop(&done);
        let mut number = 2 * rounds;
        while number < 3 * rounds || published.load(Ordering::Relaxed) < rounds {
            for (reason, calls) in world.round(number) {
                assert_eq!(calls, NONE, "{reason} during a publish");
            }
            assert_eq!(world.batch(number), NONE, "a batch during a publish");
            number += 1;
        }
    });
}

/// Changes keys and sessions of every kind, beside those that are asked about
/// and among them.
fn publish(world: &World) {
    let engine = &world.engine;
    let key = mint(engine, |policy| {
        policy.origins = OriginList::parse(["https://b.example", "https://c.example"]).unwrap();
    });
    engine
        .update_key(world.limited.id(), |policy| {
            policy.hourly_limit = Some(Limit::MAX);
        })
        .unwrap();
    engine.update_key(world.strict.id(), |_| ()).unwrap();
    engine.set_key_state(key.id(), KeyState::Revoked).unwrap();
    engine.remove_key(key.id()).unwrap();
    for token in [&b"token"[..], b"another"] {
        engine.put_session(engine.secret().digest_token(token), session());
    }
    engine.end_session(&engine.secret().digest_token(b"another"));
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
