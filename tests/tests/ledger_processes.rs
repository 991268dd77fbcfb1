//! Processes that share a ledger's file: one exact limit, and `kill -9` at any
//! moment, after which all that was charged is there and the directory is whole.
//!
//! This program starts itself again as those processes. `TK_TEST_KILLS` says how
//! many of them are killed, 40 of each kind unless set; `TK_TEST_SECONDS` and
//! `TK_TEST_SEED` as elsewhere.

#![forbid(unsafe_code)]
#![cfg(all(not(miri), target_os = "linux"))]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::{
    Clock, Engine, FailureConfig, Hour, KeyPolicy, KeyRecord, LedgerView, Limit, Reason, Request,
    SecretKey, ServerSecret,
};
use tests::keys;
use tests::long::{Progress, Run};

const NOW: u64 = 1_790_000_000;
const CHILDREN: u64 = 4;
const LIMIT: u64 = 20_000;
/// So many that it takes some dozen processes until they are spent.
const LARGE_LIMIT: u64 = 1_000_000;
/// What is killed at once.
const TOGETHER: u64 = 2;
/// The longest that one is left alive: most have begun to work by a tenth of it.
const LONGEST: Duration = Duration::from_millis(70);

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([7; 32])
}

fn key(number: u64) -> SecretKey {
    keys::key("tk_live", number)
}

fn open(path: &Path) -> Engine {
    let failures = FailureConfig {
        max_addresses: 700,
        ..FailureConfig::default()
    };
    Engine::builder(secret())
        .clock(Clock::manual(NOW))
        .failures(failures)
        .ledger(path)
        .build()
        .unwrap()
}

fn put(engine: &Engine, number: u64, limit: u64) {
    let key = key(number);
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    policy.hourly_limit = Some(Limit::try_from(limit).unwrap());
    let record = KeyRecord {
        id: key.id(),
        digest: secret().digest_key(key.expose().as_bytes()),
        policy,
    };
    engine.put_keys(vec![record]).unwrap();
}

/// Asks with a key, over and over, as long as it is admitted and `each` says so.
fn ask(engine: &Engine, number: u64, mut each: impl FnMut(u64) -> bool) -> u64 {
    let key = key(number);
    let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    let mut admitted = 0;
    while engine.decide(&request).reason() == Reason::Allowed {
        admitted += 1;
        if !each(admitted) {
            break;
        }
    }
    admitted
}

fn used(engine: &Engine, number: u64) -> u64 {
    engine.used(key(number).id(), Hour::of(NOW)).unwrap()
}

/// What a child does; `None` in the parent.
fn child() -> Option<(String, PathBuf)> {
    let what = std::env::var("LEDGER_CHILD").ok()?;
    let path = std::env::var_os("LEDGER_PATH")?;
    Some((what, path.into()))
}

fn start(what: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("LEDGER_CHILD", what)
        .env("LEDGER_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Where a child says how much it was admitted: a file of one number, counted
/// up after each.
fn tally(path: &Path, child: u32) -> PathBuf {
    path.with_extension(format!("tally-{child}"))
}

/// What it said: nothing if it was killed before its first word.
fn told(path: &Path, child: u32) -> u64 {
    let mut admitted = [0; 8];
    match fs::File::open(tally(path, child)) {
        Ok(file) if file.read_exact_at(&mut admitted, 0).is_ok() => u64::from_le_bytes(admitted),
        _ => 0,
    }
}

/// Runs in the children alone.
#[test]
fn as_a_child() {
    let Some((what, path)) = child() else { return };
    let engine = open(&path);
    let say = |file: &fs::File, admitted: u64| file.write_all_at(&admitted.to_le_bytes(), 0);
    match what.as_str() {
        "until refused" => {
            put(&engine, 1, LIMIT);
            let file = fs::File::create(tally(&path, std::process::id())).unwrap();
            say(&file, ask(&engine, 1, |_| true)).unwrap();
        }
        // Until killed: each admitted one is told after it was charged.
        "until killed" => {
            put(&engine, 2, LARGE_LIMIT);
            let file = fs::File::create(tally(&path, std::process::id())).unwrap();
            ask(&engine, 2, |admitted| say(&file, admitted).is_ok());
            // All is spent: it waits for its end, or its parent's.
            let _ = std::io::stdin().read(&mut [0]);
        }
        // Puts in keys, new and known, until killed.
        "keys" => {
            let mut random = fastrand::Rng::new();
            loop {
                let number = random.u64(10..5000);
                put(&engine, number, 5);
                if number.is_multiple_of(3) {
                    engine.remove_key(key(number).id()).unwrap();
                }
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn one_exact_limit_over_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let children: Vec<_> = (0..CHILDREN)
        .map(|_| start("until refused", &path))
        .collect();
    let mut sum = 0;
    for mut child in children {
        assert!(child.wait().unwrap().success());
        sum += told(&path, child.id());
    }
    assert_eq!(sum, LIMIT);
    let engine = open(&path);
    put(&engine, 1, LIMIT);
    assert_eq!(used(&engine, 1), LIMIT);
}

/// Starts some children and kills them at any moment, that in which they open
/// the ledger among them.
fn killed(what: &str, path: &Path, random: &mut fastrand::Rng) -> Vec<u32> {
    let children: Vec<_> = (0..TOGETHER).map(|_| start(what, path)).collect();
    // That it may end early matters nothing.
    std::thread::park_timeout(LONGEST.mul_f64(random.f64()));
    let kill = |mut child: Child| {
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself");
        child.id()
    };
    children.into_iter().map(kill).collect()
}

#[test]
fn kill_9_loses_nothing_that_was_charged() {
    let run = Run::from_env("TK_TEST_KILLS", 40);
    let mut progress = Progress::new("kills of who charges", run);
    let mut charged = 0;
    while progress.goes_on() {
        // A ledger for a budget, until that is spent.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut random = fastrand::Rng::with_seed(progress.next_seed());
        let (mut admitted, mut kills) = (0, 0);
        while progress.goes_on() {
            for child in killed("until killed", &path, &mut random) {
                admitted += told(&path, child);
            }
            kills += TOGETHER;
            let engine = open(&path);
            put(&engine, 2, LARGE_LIMIT);
            let used = used(&engine, 2);
            // What was charged and not yet told is one unit for each killed.
            assert!(
                (admitted..=admitted + kills).contains(&used),
                "{admitted} told, {used} charged, {kills} killed"
            );
            progress.add(TOGETHER);
            if used == LARGE_LIMIT {
                break;
            }
        }
        charged += admitted;
    }
    assert!(charged > 0, "each was killed before it charged anything");
}

#[test]
fn kill_9_while_keys_come_leaves_a_whole_directory() {
    let run = Run::from_env("TK_TEST_KILLS", 40);
    let mut progress = Progress::new("kills of who brings keys", run);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    {
        // Of what the children bring some was used before.
        let engine = open(&path);
        for number in 10..60 {
            put(&engine, number, 5);
            ask(&engine, number, |admitted| admitted < number % 6);
        }
    }
    let mut random = fastrand::Rng::with_seed(progress.next_seed());
    let mut before = BTreeMap::new();
    while progress.goes_on() {
        killed("keys", &path, &mut random);
        let view = LedgerView::open(&path).unwrap();
        assert_eq!(view.report(NOW).damage, Vec::<String>::new());
        let keys = view.keys(Hour::of(NOW)).into_iter();
        let now: BTreeMap<_, _> = keys.map(|key| (key.id, key.used)).collect();
        // A removed key's slot rests: in this hour none is lost, nor what was used.
        for (id, used) in &before {
            assert_eq!(now.get(id), Some(used), "{id}");
        }
        before = now;
        progress.add(TOGETHER);
    }
    let used = before.values().flatten().filter(|used| **used > 0);
    assert_eq!(used.count(), 50);
    assert!(before.len() > 50, "each was killed before it brought a key");
}
