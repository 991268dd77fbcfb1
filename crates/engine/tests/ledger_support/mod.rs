//! What the tests of the ledger's file share.

#![allow(dead_code, reason = "each of the tests uses a part")]

use std::net::Ipv4Addr;
use std::path::Path;

use engine::{
    BuildError, Clock, Engine, FailureConfig, KeyPolicy, KeyRecord, Limit, Reason, Request,
    SecretKey, ServerSecret,
};

pub(crate) const NOW: u64 = 1_790_000_000;
pub(crate) const HOUR: u64 = 3600;

pub(crate) fn secret() -> ServerSecret {
    ServerSecret::from_bytes([7; 32])
}

pub(crate) fn failures() -> FailureConfig {
    FailureConfig {
        threshold: 3,
        max_addresses: 700,
        ..FailureConfig::default()
    }
}

pub(crate) fn open_at(path: &Path, now: u64) -> Result<Engine, BuildError> {
    Engine::builder(secret())
        .clock(Clock::manual(now))
        .failures(failures())
        .ledger(path)
        .build()
}

pub(crate) fn open(path: &Path) -> Engine {
    open_at(path, NOW).unwrap()
}

/// Key number `n`, the same in every process.
pub(crate) fn key(n: u64) -> SecretKey {
    let id = format!("{n:010}");
    let secret = "s".repeat(32);
    let body = format!("tk_live_{id}{secret}");
    let mut check = crc32(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
            [(check % 62) as usize];
        check /= 62;
    }
    let check = std::str::from_utf8(&digits).unwrap();
    format!("{body}{check}").parse().unwrap()
}

/// As zlib has it, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

pub(crate) fn record(n: u64, limit: Option<u64>) -> KeyRecord {
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    policy.hourly_limit = limit.map(|limit| Limit::try_from(limit).unwrap());
    KeyRecord {
        id: key(n).id(),
        digest: secret().digest_key(key(n).expose().as_bytes()),
        policy,
    }
}

pub(crate) fn put(engine: &Engine, n: u64, limit: u64) {
    engine.put_keys(vec![record(n, Some(limit))]).unwrap();
}

pub(crate) fn ask(engine: &Engine, n: u64) -> Reason {
    let key = key(n);
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    engine.decide(&request).reason()
}

/// So many guesses from an address.
pub(crate) fn guess(engine: &Engine, ip: [u8; 4], times: usize) -> Reason {
    let request = Request::new(Ipv4Addr::from(ip)).api_key(b"nonsense");
    let mut last = Reason::Allowed;
    for _ in 0..times {
        last = engine.decide(&request).reason();
    }
    last
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A record whose digest nobody needs.
pub(crate) fn record_fast(n: u64) -> KeyRecord {
    KeyRecord {
        id: format!("{n:010}").parse().unwrap(),
        digest: secret().digest_key(&n.to_le_bytes()),
        policy: KeyPolicy::new("p".parse().unwrap()),
    }
}

/// Numbers that look random, the same for one seed.
pub(crate) fn fastrand_like(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}
