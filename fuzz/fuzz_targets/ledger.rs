//! A ledger's file with any damage, under an engine that goes on with it: it is
//! refused in words, or gives wrong counts, and nothing worse. Without damage
//! each key is admitted as often as its limit of the moment says, over restarts
//! too, and never is a ledger refused.

#![no_main]

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use arbitrary::Arbitrary;
use engine::{
    CidrList, Clock, Engine, FailureConfig, Hour, KeyId, KeyPolicy, KeyRecord, LedgerView, Limit,
    Reason, Request, SecretKey, ServerSecret,
};
use libfuzzer_sys::fuzz_target;
use tests::keys::key;
use tokenkit_fuzz::small_pages;

const START: u64 = 1_790_000_000;
const KEYS: u8 = 24;
/// So many of them have used one unit at the start.
const USED: usize = 8;

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

/// What lies before the damage: a ledger with a few keys and failures in it.
struct Base {
    file: File,
    path: PathBuf,
    /// Its beginning as far as the heads go, and the beginning of its area; all
    /// else is zeroes.
    front: Vec<u8>,
    area: Vec<u8>,
    keys: Vec<SecretKey>,
}

/// The layout, in bytes: a page, one set of 15 lines, the heads of 4 bytes each,
/// and from a multiple of 64 KiB the area, in lines of 64 bytes.
const HEADS_WORD: usize = 9;
const CONTROL_AT: usize = 128;
const FAILURES_AT: usize = 4096;
const HEADS_AT: usize = FAILURES_AT + 15 * 64;
const FRONT: usize = HEADS_AT + HEADS * 4;
const AREA_AT: usize = 65_536;
/// As many heads as the file says; the engine makes 65,536. So few that keys
/// meet under one, and that a look at all of them is short.
const HEADS: usize = 64;
/// Lines of the area that may be damaged, and for how many there is room.
const LINES: usize = 64;
const ROOM: usize = 1024;
const LEN: usize = AREA_AT + ROOM * 64;
/// How often an input opens the file again: that takes longer than all else that
/// it does, and more often comes to nothing new.
const OPENINGS: usize = 2;

/// The address from which keys are asked with: those that are not there block it
/// for no others.
static OWN: LazyLock<CidrList> =
    LazyLock::new(|| CidrList::parse(["127.0.0.1"]).expect("a good block"));

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([9; 32])
}

fn engine(path: &Path, clock: &Clock) -> Option<Engine> {
    Engine::builder(secret())
        .clock(clock.clone())
        .failures(FailureConfig {
            threshold: 3,
            max_addresses: 7,
            exempt: OWN.clone(),
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

/// A file of this process alone, in memory where that can be. A fuzzer ends
/// without a word, so each removes what those before it left behind.
fn own_path() -> PathBuf {
    const NAME: &str = "tokenkit-fuzz-ledger-";
    let memory = PathBuf::from("/dev/shm");
    let folder = Some(memory).filter(|memory| memory.is_dir());
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let own = std::process::id().to_string();
    let has_ended = |process: &str| process == own || !Path::new("/proc").join(process).exists();
    for left in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = left.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if process.is_some_and(has_ended) {
            let _ = fs::remove_file(left.path());
        }
    }
    folder.join(format!("{NAME}{own}"))
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let clock = Clock::manual(START);
        let path = own_path();
        drop(engine(&path, &clock).expect("a ledger"));
        let mut front = fs::read(&path).expect("the ledger");
        front.truncate(FRONT);
        // The seeds of its hashes, so that an input that fails does so again.
        (3..7).for_each(|word| put(&mut front, word * 8, word as u64));
        put(&mut front, HEADS_WORD * 8, HEADS as u64);
        put(&mut front, CONTROL_AT, ROOM as u64);

        let mut base = Base {
            file: File::options()
                .read(true)
                .write(true)
                .open(&path)
                .expect("the ledger"),
            path,
            front,
            area: vec![0; LINES * 64],
            keys: (0..KEYS.into()).map(|n| key("tk_live", n)).collect(),
        };
        restore(&base, &[]);
        let engine = engine(&base.path, &clock).expect("a ledger");
        for key in &base.keys[..USED] {
            engine.insert_keys(vec![record(key, 5)]).expect("a new key");
            ask(&engine, key);
        }
        engine.remove_key(base.keys[7].id()).expect("a key");
        guess(&engine, 1);
        drop(engine);
        let parts = [(&mut base.front, 0), (&mut base.area, AREA_AT)];
        for (part, at) in parts {
            base.file.read_exact_at(part, at as u64).expect("a part");
        }
        base
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

/// Writes a word.
fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
}

impl Damage {
    fn apply(&self, front: &mut [u8], area: &mut [u8]) {
        let at = usize::from(self.at);
        let (bytes, at) = match self.part {
            Part::Header => (front, at % 10 * 8),
            Part::Control => (front, CONTROL_AT + at % 4 * 8),
            Part::Failures => (front, FAILURES_AT + at % (15 * 8) * 8),
            Part::Heads => (front, HEADS_AT + at % (HEADS / 2) * 8),
            Part::Area => (area, at % (LINES * 8) * 8),
        };
        let word = match self.word {
            Word::Any(word) => word,
            Word::Halves(a, b) => u64::from(a % 64) << 32 | u64::from(b % 64),
            Word::Held(slot) => 1 << 62 | u64::from(slot % 64),
            Word::Resting(slot, hour) => 2 << 62 | u64::from(hour) << 32 | u64::from(slot % 64),
            Word::Ones => u64::MAX,
            Word::Zero => 0,
        };
        put(bytes, at, word);
    }
}

/// Writes the file anew, damaged. The header's check is made right again, so
/// that damage to it goes further.
fn restore(base: &Base, damage: &[Damage]) {
    let (mut front, mut area) = (base.front.clone(), base.area.clone());
    for one in damage {
        one.apply(&mut front, &mut area);
    }
    let sum = crc32fast::hash(&front[..80]);
    put(&mut front, 80, sum.into());
    let file = &base.file;
    // Cut to nothing first: what was written elsewhere is gone.
    file.set_len(0)
        .and_then(|()| file.write_all_at(&front, 0))
        .and_then(|()| file.write_all_at(&area, AREA_AT as u64))
        .and_then(|()| file.set_len(LEN as u64))
        .expect("a file in memory");
}

/// What a ledger without damage has to keep.
struct Book {
    /// Of the keys that are there.
    limits: HashMap<KeyId, u64>,
    admitted: HashMap<(KeyId, Hour), u64>,
    /// The latest that any clock was: counts of an hour ahead of it are damage.
    latest: u64,
}

impl Book {
    fn new(base: &Base) -> Self {
        let used = base.keys[..USED].iter();
        Self {
            limits: HashMap::new(),
            admitted: used.map(|key| ((key.id(), Hour::of(START)), 1)).collect(),
            latest: START,
        }
    }

    /// Takes a request down; whether it had to be answered so.
    fn asks(&mut self, key: KeyId, hour: Hour, is_admitted: bool) -> bool {
        let admitted = self.admitted.entry((key, hour)).or_default();
        let is_left = self
            .limits
            .get(&key)
            .is_some_and(|limit| *admitted < *limit);
        *admitted += u64::from(is_admitted);
        // An hour that lies further back has lost its place to a later one, or
        // the slot of a removed key is another's.
        let is_kept = Hour::of(self.latest).number() - hour.number() < 8;
        !is_kept || is_admitted == is_left
    }
}

fuzz_target!(init: small_pages(), |input: (Vec<Damage>, Vec<Op>)| {
    let (damage, ops) = input;
    let base = base();
    restore(base, &damage);
    let clock = Clock::manual(START);
    let Some(mut engine_now) = engine(&base.path, &clock) else {
        assert!(!damage.is_empty(), "a whole ledger was refused");
        return;
    };
    let mut book = Book::new(base);
    let mut openings = 0;
    for op in ops.into_iter().take(64) {
        if let Op::Restart | Op::Look = op {
            openings += 1;
            if openings > OPENINGS {
                continue;
            }
        }
        let key = |n: u8| &base.keys[usize::from(n % KEYS)];
        match op {
            Op::Put(n, limit) => {
                let limit = limit % 8;
                let is_put = engine_now.put_keys(vec![record(key(n), limit)]).is_ok();
                assert!(is_put || !damage.is_empty(), "a key was refused");
                if is_put {
                    book.limits.insert(key(n).id(), limit.into());
                }
            }
            Op::Remove(n) => {
                if engine_now.remove_key(key(n).id()).is_ok() {
                    book.limits.remove(&key(n).id());
                }
            }
            Op::Ask(n) => {
                let is_admitted = ask(&engine_now, key(n)) == Reason::Allowed;
                let may_be = book.asks(key(n).id(), Hour::of(clock.now()), is_admitted);
                assert!(may_be || !damage.is_empty(), "{n}: {is_admitted}");
            }
            Op::Guess(ip) => guess(&engine_now, ip % 16),
            Op::Unblock(ip) => {
                engine_now.unblock(Ipv4Addr::new(192, 0, 2, ip % 16).into(), clock.now());
            }
            Op::Hours(by) => {
                clock.set(clock.now().saturating_add_signed(i64::from(by) * 3600));
                book.latest = book.latest.max(clock.now());
            }
            Op::Restart => {
                drop(engine_now);
                let Some(again) = engine(&base.path, &clock) else {
                    assert!(!damage.is_empty(), "a whole ledger was refused");
                    return;
                };
                engine_now = again;
                book.limits.clear();
            }
            Op::Look => {
                let view = LedgerView::open(&base.path);
                assert!(view.is_ok() || !damage.is_empty(), "{:?}", view.err());
                if let Ok(view) = view {
                    let report = view.report(book.latest);
                    let _ = view.keys(Hour::of(book.latest));
                    if damage.is_empty() {
                        assert!(report.damage.is_empty(), "{report:?}");
                    }
                }
                let _ = engine_now.stats(clock.now());
            }
        }
    }
});
