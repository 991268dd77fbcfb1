//! A ledger file that somebody cuts short under an engine that follows a store:
//! a new key touches what is gone, on the thread of the library. One test alone,
//! for what it is about would end the process.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[path = "support/mod.rs"]
mod support;

use std::ffi::c_char;
use std::fs::File;
use std::path::Path;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use engine::{KeyPolicy, Prefix, SecretKey, ServerSecret};
use engine_ffi::*;
use store::{Actor, Store, StoredKey};
use support::{Owned, SECRET, admitting, key, last_error, request};
use tk_result::*;

/// Far more than anything here takes, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: u64 = 1_790_000_000;

/// Adds a key that is limited, so that its counts matter.
fn add(store: &mut Store, secret: &ServerSecret) -> SecretKey {
    let prefix: Prefix = "tk_live".parse().unwrap();
    let key = SecretKey::generate(&prefix).unwrap();
    let mut policy = KeyPolicy::new("p1".parse().unwrap());
    policy.hourly_limit = Some(5.try_into().unwrap());
    let label = "a key".parse().unwrap();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer
        .add_key(&StoredKey::of(&key, secret, prefix, policy, label, NOW))
        .unwrap();
    writer.commit().unwrap();
    key
}

fn reason(engine: &Owned, key: &SecretKey) -> u8 {
    let asked = tk_request {
        api_key: key.expose().into(),
        ..request()
    };
    let mut decision = admitting();
    // SAFETY: whole structs of ours.
    let result = unsafe { tk_decide_at(engine.0, &asked, NOW, &mut decision) };
    assert_eq!(result, TK_OK, "{}", last_error());
    decision.reason
}

fn trouble(engine: &Owned) -> String {
    let mut space = [0 as c_char; TK_SPACE];
    let mut told = tk_str {
        data: ptr::null(),
        len: 0,
    };
    // SAFETY: as much space as is said, and a place for the text.
    let result = unsafe { tk_engine_trouble(engine.0, space.as_mut_ptr(), TK_SPACE, &mut told) };
    assert_eq!(result, TK_OK, "{}", last_error());
    let bytes = space[..told.len].iter().map(|&byte| byte as u8).collect();
    String::from_utf8(bytes).unwrap()
}

/// Where a file lies in this process. To ask the engine instead would touch the
/// pages on this thread, before that of the library comes to them.
fn mapped(file: &Path) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let name = file.to_str().unwrap();
    let lines = maps.lines().filter(|line| line.ends_with(name));
    lines.map(str::to_owned).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
    }
}

fn text(path: &Path) -> tk_bytes {
    path.to_str().unwrap().into()
}

#[test]
fn a_new_key_in_a_ledger_that_was_cut_short_ends_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ledger) = (
        folder.path().join("tokenkit.db"),
        folder.path().join("ledger"),
    );
    let secret = ServerSecret::from_bytes(SECRET);
    let mut store = Store::create(&path, &secret).unwrap();
    let first = add(&mut store, &secret);
    let engine = Owned::with(|config| {
        config.ledger = text(&ledger);
        // Asking for a key before it has come is a guess, and guesses block.
        config.exempt = "192.0.2.0/24".into();
    })
    .unwrap();
    // SAFETY: the path is alive.
    let result = unsafe { tk_engine_follow(engine.0, text(&path)) };
    assert_eq!(result, TK_OK, "{}", last_error());
    assert_eq!(reason(&engine, &first), tk_reason::TK_REASON_ALLOWED as u8);
    // Another of the same file, which has no key of the store yet.
    let late = Owned::with(|config| config.ledger = text(&ledger)).unwrap();

    let whole = mapped(&ledger);
    let file = File::options().write(true).open(&ledger).unwrap();
    file.set_len(4096).unwrap();
    let second = add(&mut store, &secret);
    wait_until("pages are replaced", || mapped(&ledger) != whole);
    // Both the file's fault and what it keeps the new key from are told.
    wait_until("it is told", || trouble(&engine).contains("; "));
    let told = trouble(&engine);
    assert!(told.contains("tokenkit ledger reset"), "{told:?}");
    assert_eq!(
        reason(&engine, &first),
        tk_reason::TK_REASON_HOURLY_LIMIT as u8
    );
    assert_eq!(
        reason(&engine, &second),
        tk_reason::TK_REASON_UNKNOWN_KEY as u8
    );

    // Who asks for what the file cannot give is told that it is the file.
    let third = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    let third = tk_key {
        secret: third.expose().into(),
        ..key()
    };
    // SAFETY: a whole struct, whose texts are alive.
    let result = unsafe { tk_keys_put(engine.0, &third, 1) };
    assert_eq!(result, TK_ERR_LEDGER, "{}", last_error());
    // SAFETY: the path is alive.
    let result = unsafe { tk_engine_follow(late.0, text(&path)) };
    assert_eq!(result, TK_ERR_LEDGER, "{}", last_error());
}
