//! A ledger's file with any damage, under an engine that goes on with it: it is
//! refused in words, or gives wrong counts, and nothing worse. Without damage
//! no key is admitted more than its limit, over restarts too.

#![no_main]

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use engine::{
    Clock, Engine, FailureConfig, Hour, KeyId, KeyPolicy, KeyRecord, LedgerView, Limit, Prefix,
    Reason, Request, SecretKey, ServerSecret,
};
use libfuzzer_sys::fuzz_target;

const START: u64 = 1_790_000_000;
const KEYS: u8 = 24;

/// A word of the file that is written over.
#[derive(Arbitrary, Debug)]
struct Damage {
    part: Part,
    at: u16,
    word: Word,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Header,
    Control,
    Failures,
    Heads,
    Area,
}

/// What is written: often what could lead somewhere.
#[derive(Arbitrary, Debug)]
enum Word {
    Any(u64),
    Halves(u8, u8),
    Held(u8),
    Resting(u8, u32),
    Ones,
    Zero,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Put(u8, u8),
    Remove(u8),
    Ask(u8),
    Guess(u8),
    Unblock(u8),
    Hours(i8),
    Restart,
    Look,
}

/// What lies before the damage: a file with a few keys and failures in it.
struct Base {
    path: PathBuf,
    bytes: Vec<u8>,
    len: u64,
    /// Where the heads and the area begin.
    parts: [usize; 2],
    keys: Vec<SecretKey>,
}

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([9; 32])
}

fn engine(path: &PathBuf, clock: &Clock) -> Option<Engine> {
    Engine::builder(secret())
        .clock(clock.clone())
        .failures(FailureConfig {
            threshold: 3,
            max_addresses: 7,
            ..FailureConfig::default()
        })
        .max_keys(64)
        .ledger(path)
        .build()
        .ok()
}

fn record(key: &SecretKey, limit: u8) -> KeyRecord {
    let mut policy = KeyPolicy::new("p".parse().expect("a name"));
    policy.hourly_limit = Some(Limit::try_from(u64::from(limit)).expect("a limit"));
    KeyRecord {
        id: key.id(),
        digest: secret().digest_key(key.expose().as_bytes()),
        policy,
    }
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let prefix: Prefix = "tk_live".parse().expect("a prefix");
        let generate = |_| SecretKey::generate(&prefix).expect("random bytes");
        let keys: Vec<_> = (0..KEYS).map(generate).collect();
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        let path = folder.join(format!("tokenkit-fuzz-ledger-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let clock = Clock::manual(START);
        let engine = engine(&path, &clock).expect("a ledger");
        for key in &keys[..8] {
            engine.insert_keys(vec![record(key, 5)]).expect("a new key");
            ask(&engine, key);
        }
        engine.remove_key(keys[7].id()).expect("a key");
        guess(&engine, 1);
        drop(engine);
        let mut bytes = fs::read(&path).expect("the ledger");
        let len = bytes.len() as u64;
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        bytes.truncate(used);
        // The layout: a page, one set of 15 lines, 65,536 heads of 4 bytes, then
        // from a multiple of 64 KiB the area.
        let heads = 4096 + 15 * 64;
        let area = (heads + 65_536 * 4_usize).next_multiple_of(65_536);
        Base {
            path,
            bytes,
            len,
            parts: [heads, area],
            keys,
        }
    })
}

fn ask(engine: &Engine, key: &SecretKey) -> Reason {
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    engine.decide(&request).reason()
}

fn guess(engine: &Engine, ip: u8) {
    let request = Request::new(Ipv4Addr::new(192, 0, 2, ip)).api_key(b"nonsense");
    let _ = engine.decide(&request);
}

impl Damage {
    fn apply(&self, base: &Base, bytes: &mut Vec<u8>) {
        let [heads, area] = base.parts;
        let at = usize::from(self.at);
        let at = match self.part {
            Part::Header => at % 10 * 8,
            Part::Control => 128 + at % 4 * 8,
            Part::Failures => 4096 + at % (15 * 8) * 8,
            Part::Heads => heads + at % (65_536 / 2) * 8,
            Part::Area => area + at % (64 * 8) * 8,
        };
        let word = match self.word {
            Word::Any(word) => word,
            Word::Halves(a, b) => u64::from(a % 64) << 32 | u64::from(b % 64),
            Word::Held(slot) => 1 << 62 | u64::from(slot % 64),
            Word::Resting(slot, hour) => 2 << 62 | u64::from(hour) << 32 | u64::from(slot % 64),
            Word::Ones => u64::MAX,
            Word::Zero => 0,
        };
        if bytes.len() < at + 8 {
            bytes.resize(at + 8, 0);
        }
        bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
    }
}

/// The header's check made right again, so that damage to it goes further.
fn recheck(bytes: &mut [u8]) {
    let sum = crc32fast::hash(&bytes[..80]);
    bytes[80..88].copy_from_slice(&u64::from(sum).to_ne_bytes());
}

fn restore(base: &Base, damage: &[Damage]) {
    let mut bytes = base.bytes.clone();
    for one in damage {
        one.apply(base, &mut bytes);
    }
    recheck(&mut bytes);
    let _ = fs::remove_file(&base.path);
    fs::write(&base.path, &bytes).expect("a file");
    let file = fs::OpenOptions::new().write(true).open(&base.path);
    file.and_then(|file| file.set_len(base.len))
        .expect("a length");
}

fuzz_target!(|input: (Vec<Damage>, Vec<Op>)| {
    let (damage, ops) = input;
    let base = base();
    restore(base, &damage);
    let clock = Clock::manual(START);
    let Some(mut engine_now) = engine(&base.path, &clock) else {
        assert!(!damage.is_empty(), "a whole ledger was refused");
        return;
    };
    let mut admitted: HashMap<(KeyId, Hour), u64> = HashMap::new();
    for op in ops.into_iter().take(64) {
        let key = |n: u8| &base.keys[usize::from(n % KEYS)];
        match op {
            Op::Put(n, limit) => {
                let _ = engine_now.put_keys(vec![record(key(n), limit % 8)]);
            }
            Op::Remove(n) => {
                let _ = engine_now.remove_key(key(n).id());
            }
            Op::Ask(n) => {
                if ask(&engine_now, key(n)) == Reason::Allowed {
                    let hour = Hour::of(clock.now());
                    *admitted.entry((key(n).id(), hour)).or_default() += 1;
                }
            }
            Op::Guess(ip) => guess(&engine_now, ip % 16),
            Op::Unblock(ip) => {
                engine_now.unblock(Ipv4Addr::new(192, 0, 2, ip % 16).into(), clock.now());
            }
            Op::Hours(by) => clock.set(clock.now().saturating_add_signed(i64::from(by) * 3600)),
            Op::Restart => {
                drop(engine_now);
                let Some(again) = engine(&base.path, &clock) else {
                    return;
                };
                engine_now = again;
            }
            Op::Look => {
                let view = LedgerView::open(&base.path);
                if let Ok(view) = view {
                    let report = view.report(START);
                    let _ = view.keys(Hour::of(START));
                    if damage.is_empty() && clock.now() == START {
                        assert!(report.damage.is_empty(), "{report:?}");
                    }
                }
                let _ = engine_now.stats(clock.now());
            }
        }
    }
    if damage.is_empty() {
        for ((key, hour), count) in admitted {
            // No limit is above 7 here, and each hour's ring slot was its own
            // for less than 8 hours.
            assert!(
                count <= 7,
                "{key} was admitted {count} times in hour {hour:?}"
            );
        }
    }
});
