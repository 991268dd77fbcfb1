//! Whoever times answers learns nothing of a key's digest: no classifier tells
//! a guess whose digest is right but for its last byte from one that is wrong
//! from the first.
//!
//! What may be seen is whether there is a key of an id, which is public, and
//! what an answer says anyway: an unknown key is counted as a guess and a
//! revoked one is not. How well those are told apart is printed, not asserted
//! (`--nocapture`).
//!
//! Each guess is made of a class drawn at random, about one and the same key,
//! and each text is a guess of both classes, of either under one of two engines:
//! whoever guesses knows the text, and one takes longer to read than another.
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
use tests::keys::with_check;

const SAMPLES: usize = 100_000;
/// No classifier may do better.
const MOST: f64 = 0.51;
const NOW: u64 = 1_790_000_000;
/// So many that what is odd about where one of them lies does not matter.
const KEYS: usize = 256;

/// The share of times of which the class is told rightly, by the threshold
/// that does so best over every other one, asked about those between: all may
/// become slower or quicker together meanwhile.
fn told(samples: &[(u64, bool)]) -> f64 {
    let every_other = |first| samples.iter().skip(first).step_by(2);
    let mut sorted: Vec<_> = every_other(0).copied().collect();
    sorted.sort_unstable();
    // Right, if all were said to be slow and of the second class.
    let of_second = sorted.iter().filter(|(_, second)| *second).count();
    let mut right = of_second;
    let (mut best, mut threshold, mut slow_is_second) = (0, 0, true);
    for same in sorted.chunk_by(|one, other| one.0 == other.0) {
        // These and all quicker ones are said to be of the first class.
        let of_second = same.iter().filter(|(_, second)| *second).count();
        right = right + (same.len() - of_second) - of_second;
        for (score, direction) in [(right, true), (sorted.len() - right, false)] {
            if score > best {
                (best, threshold, slow_is_second) = (score, same[0].0, direction);
            }
        }
    }
    let is_right =
        |(time, second): &&(u64, bool)| ((*time > threshold) == slow_is_second) == *second;
    every_other(1).filter(is_right).count() as f64 / every_other(1).count() as f64
}

/// Times what is done to one of so many pairs of things, drawn at random. Which
/// it is has been found out before: that may take longer for one of them.
fn samples<T>(
    pairs: usize,
    pick: impl Fn(usize, bool) -> T,
    mut work: impl FnMut(T),
) -> Vec<(u64, bool)> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sample = |_| {
        let (at, second) = (random.usize(..pairs), random.bool());
        let picked = black_box(pick(at, second));
        let begun = Instant::now();
        work(picked);
        (begun.elapsed().as_nanos() as u64, second)
    };
    // Warm up.
    (0..SAMPLES / 10).for_each(|number| {
        sample(number);
    });
    (0..SAMPLES).map(sample).collect()
}

/// Two guesses about one key.
struct Guesses {
    texts: [SecretKey; 2],
    digests: [KeyDigest; 2],
    /// For each guess the digest from which its own differs in the last byte
    /// alone, and that of the other from the first on.
    stored: [KeyDigest; 2],
}

/// A digest that differs in the last byte alone.
fn nearly(digest: &KeyDigest) -> KeyDigest {
    let mut bytes = *digest.as_bytes();
    bytes[31] ^= 1;
    KeyDigest::from_bytes(bytes)
}

/// Has an engine know of a key's id, under any digest.
fn knows(engine: &Engine, key: &SecretKey, digest: KeyDigest) {
    let record = KeyRecord {
        id: key.id(),
        digest,
        policy: KeyPolicy::new("p".parse().unwrap()),
    };
    engine.insert_keys(vec![record]).unwrap();
}

/// Which engine has a key under the digest that a guess is near to: not always
/// the same, for where things lie must not go with the class either.
fn engine_of(key: usize, guess: usize) -> usize {
    (key + guess) % 2
}

/// Keys of which each has two guesses, and which two engines have.
fn guesses(secret: &ServerSecret, engines: &[Engine; 2]) -> Vec<Guesses> {
    let prefix = "tk_live".parse().unwrap();
    (0..KEYS)
        .map(|key| {
            let one = SecretKey::generate(&prefix).unwrap();
            // Of the same id, with the end of another's secret.
            let other = SecretKey::generate(&prefix).unwrap();
            let other = format!("{}{}", &one.expose()[..18], &other.expose()[18..50]);
            let texts: [SecretKey; 2] = [one, with_check(&other).parse().unwrap()];
            let digests = [0, 1].map(|at: usize| secret.digest_key(texts[at].expose().as_bytes()));
            let stored = [0, 1].map(|at: usize| {
                let stored = nearly(&digests[at]);
                knows(&engines[engine_of(key, at)], &texts[at], stored);
                stored
            });
            assert_eq!(texts[0].id(), texts[1].id());
            Guesses {
                texts,
                digests,
                stored,
            }
        })
        .collect()
}

fn world() -> (ServerSecret, [Engine; 2]) {
    let secret = ServerSecret::generate().unwrap();
    // Guesses are not counted: a block would end them.
    let failures = FailureConfig {
        exempt: CidrList::parse(["127.0.0.0/8"]).unwrap(),
        ..FailureConfig::default()
    };
    let engines = [failures.clone(), failures].map(|failures| {
        let engine = Engine::builder(secret.clone()).failures(failures);
        engine.clock(Clock::manual(NOW)).build().unwrap()
    });
    (secret, engines)
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
    let (secret, engines) = world();
    let guesses = guesses(&secret, &engines);
    let pick = |at: usize, near: bool| {
        let (key, near_to) = (at / 2, at % 2);
        let guess = if near { near_to } else { 1 - near_to };
        let Guesses {
            texts,
            digests,
            stored,
        } = &guesses[key];
        (
            (&engines[engine_of(key, near_to)], &texts[guess]),
            [&digests[guess], &stored[near_to]],
        )
    };
    let guess = |(engine, text)| assert_eq!(ask(engine, text), Reason::UnknownKey);
    let told_by_time = told(&samples(2 * KEYS, pick, |(asked, _)| guess(asked)));
    println!("near guesses from far ones: {told_by_time:.4}");

    // The broken twin: the same, and a comparison in haste.
    let told_of_twin = told(&samples(2 * KEYS, pick, |(asked, [digest, stored])| {
        guess(asked);
        black_box(compares_in_haste(digest.as_bytes(), stored.as_bytes()));
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
    let (secret, engines) = world();
    let prefix = "tk_live".parse().unwrap();
    // The id of each is known to one of the engines, under another digest.
    let guesses: Vec<_> = (0..2 * KEYS)
        .map(|at| {
            let key = SecretKey::generate(&prefix).unwrap();
            let stored = nearly(&secret.digest_key(key.expose().as_bytes()));
            knows(&engines[at % 2], &key, stored);
            key
        })
        .collect();
    // Each is revoked in one of them, and unknown to the other.
    let revoked: Vec<_> = (0..2 * KEYS)
        .map(|at| {
            let mut policy = KeyPolicy::new("p".parse().unwrap());
            policy.state = KeyState::Revoked;
            engines[at % 2].mint(&prefix, policy).unwrap()
        })
        .collect();
    let asked = |at: usize, known: bool| &engines[engine_of(at, (!known).into())];
    let a_guess = |at: usize, known: bool| (asked(at, known), &guesses[at]);
    let ids = told(&samples(2 * KEYS, a_guess, |(engine, key)| {
        assert_eq!(ask(engine, key), Reason::UnknownKey);
    }));
    let a_key = |at: usize, known: bool| {
        // The answer says so itself.
        let reason = [Reason::UnknownKey, Reason::RevokedKey][usize::from(known)];
        (asked(at, known), &revoked[at], reason)
    };
    let states = told(&samples(2 * KEYS, a_key, |(engine, key, reason)| {
        assert_eq!(ask(engine, key), reason);
    }));
    println!("ids that exist from ids that don't: {ids:.4}");
    println!("revoked keys from unknown ones: {states:.4}");
}
