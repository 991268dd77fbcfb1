//! Whoever times answers learns nothing of a key's digest: no classifier tells
//! a guess whose digest is right but for its last byte from one that is wrong
//! from the first.
//!
//! What may be seen is whether there is a key of an id, which is public, and
//! what an answer says anyway: an unknown key is counted as a guess and a
//! revoked one is not. How well those are told apart is printed, not asserted
//! (`--nocapture`).
//!
//! Each guess is made of a class drawn at random, about one and the same key.
//! So where time tells nothing, classes are coins that are thrown: noise of the
//! machine cannot make them come true. Over 50,000 of them 0.51 is more than
//! four standard deviations from one half.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "figures for whoever asks for them")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use engine::{
    CidrList, Clock, Engine, FailureConfig, KeyDigest, KeyPolicy, KeyRecord, KeyState, Reason,
    Request, SecretKey, ServerSecret,
};

const SAMPLES: usize = 100_000;
/// No classifier may do better.
const MOST: f64 = 0.51;
const NOW: u64 = 1_790_000_000;
const KEYS: usize = 64;

/// The share of times of which the class is told rightly, by the threshold
/// that does so best over the first half, asked about the second.
fn told(samples: &[(u64, bool)]) -> f64 {
    let (learnt, asked) = samples.split_at(samples.len() / 2);
    let mut sorted = learnt.to_vec();
    sorted.sort_unstable();
    // Right, if all were said to be slow and of the second class.
    let of_second = sorted.iter().filter(|(_, second)| *second).count();
    let mut right = of_second;
    let (mut best, mut threshold, mut slow_is_second) = (0, 0, true);
    for (time, second) in &sorted {
        // This and all quicker ones are said to be of the first class.
        right = if *second { right - 1 } else { right + 1 };
        for (score, direction) in [(right, true), (sorted.len() - right, false)] {
            if score > best {
                (best, threshold, slow_is_second) = (score, *time, direction);
            }
        }
    }
    let is_right =
        |(time, second): &&(u64, bool)| ((*time > threshold) == slow_is_second) == *second;
    asked.iter().filter(is_right).count() as f64 / asked.len() as f64
}

/// Times what is done to one of two things, drawn at random.
fn samples(mut work: impl FnMut(usize, bool)) -> Vec<(u64, bool)> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sample = |_| {
        let (at, second) = (random.usize(..KEYS), random.bool());
        let begun = Instant::now();
        work(at, second);
        (begun.elapsed().as_nanos() as u64, second)
    };
    // Warm up.
    (0..SAMPLES / 10).for_each(|number| {
        sample(number);
    });
    (0..SAMPLES).map(sample).collect()
}

/// Guesses about one key: the first one's digest differs from the key's in the
/// first byte, the second one's in the last alone.
struct Guesses {
    far: SecretKey,
    near: SecretKey,
    stored: KeyDigest,
}

/// Keys of which each has two guesses, and an engine that has the keys.
fn guesses(secret: &ServerSecret, engine: &Engine) -> Vec<Guesses> {
    let prefix = "tk_live".parse().unwrap();
    (0..KEYS)
        .map(|_| {
            let near = SecretKey::generate(&prefix).unwrap();
            // Of the same id, with the end of another's secret.
            let other = SecretKey::generate(&prefix).unwrap();
            let far = format!("{}{}", &near.expose()[..18], &other.expose()[18..50]);
            let far: SecretKey = with_check(&far).parse().unwrap();
            assert_eq!(far.id(), near.id());
            let mut digest = *secret.digest_key(near.expose().as_bytes()).as_bytes();
            digest[31] ^= 1;
            let stored = KeyDigest::from_bytes(digest);
            let record = KeyRecord {
                id: near.id(),
                digest: stored,
                policy: KeyPolicy::new("p".parse().unwrap()),
            };
            engine.insert_keys(vec![record]).unwrap();
            Guesses { far, near, stored }
        })
        .collect()
}

/// A key's head with its check behind it: CRC-32 in base62.
fn with_check(head: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = !0_u32;
    for byte in head.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{head}{}", std::str::from_utf8(&digits).unwrap())
}

fn world() -> (ServerSecret, Engine) {
    let secret = ServerSecret::generate().unwrap();
    // Guesses are not counted: a block would end them.
    let failures = FailureConfig {
        exempt: CidrList::parse(["127.0.0.0/8"]).unwrap(),
        ..FailureConfig::default()
    };
    let engine = Engine::builder(secret.clone())
        .failures(failures)
        .clock(Clock::manual(NOW));
    (secret, engine.build().unwrap())
}

fn ask(engine: &Engine, key: &SecretKey) -> Reason {
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    black_box(engine.decide_at(black_box(&request), NOW)).reason()
}

/// What a comparison must not be: it ends at the first byte that differs.
#[inline(never)]
fn compares_in_haste(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| black_box(*one) == black_box(*other))
}

#[test]
fn time_tells_nothing_of_a_digest() {
    let (secret, engine) = world();
    let guesses = guesses(&secret, &engine);
    let of = |at: usize, near: bool| {
        let of_key: &Guesses = &guesses[at];
        if near { &of_key.near } else { &of_key.far }
    };
    let told_by_time = told(&samples(|at, near| {
        assert_eq!(ask(&engine, of(at, near)), Reason::UnknownKey);
    }));
    println!("near guesses from far ones: {told_by_time:.4}");

    // The broken twin: the same, and a comparison in haste.
    let digests: Vec<[[u8; 32]; 2]> = guesses
        .iter()
        .map(|of| {
            [&of.far, &of.near].map(|key| *secret.digest_key(key.expose().as_bytes()).as_bytes())
        })
        .collect();
    let told_of_twin = told(&samples(|at, near| {
        assert_eq!(ask(&engine, of(at, near)), Reason::UnknownKey);
        let guess = &digests[at][usize::from(near)];
        black_box(compares_in_haste(guess, guesses[at].stored.as_bytes()));
    }));
    println!("the same, compared in haste: {told_of_twin:.4}");
    assert!(told_by_time <= MOST, "told apart: {told_by_time}");
    assert!(
        told_of_twin > MOST,
        "nothing would be noticed: {told_of_twin}"
    );
}

/// Printed for whoever wants to know: what may be seen.
#[test]
fn what_time_does_tell_is_no_secret() {
    let (secret, engine) = world();
    let guesses = guesses(&secret, &engine);
    let strangers: Vec<_> = (0..KEYS)
        .map(|_| SecretKey::generate(&"tk_live".parse().unwrap()).unwrap())
        .collect();
    let revoked: Vec<_> = (0..KEYS)
        .map(|_| {
            let key = engine
                .mint(
                    &"tk_live".parse().unwrap(),
                    KeyPolicy::new("p".parse().unwrap()),
                )
                .unwrap();
            engine.set_key_state(key.id(), KeyState::Revoked).unwrap();
            key
        })
        .collect();
    let ids = told(&samples(|at, known| {
        let key = if known {
            &guesses[at].far
        } else {
            &strangers[at]
        };
        assert_eq!(ask(&engine, key), Reason::UnknownKey);
    }));
    let states = told(&samples(|at, known| {
        let key = if known { &revoked[at] } else { &strangers[at] };
        let reason = ask(&engine, key);
        // The answer says so itself.
        assert_eq!(reason == Reason::RevokedKey, known);
    }));
    println!("ids that exist from ids that don't: {ids:.4}");
    println!("revoked keys from unknown ones: {states:.4}");
}
