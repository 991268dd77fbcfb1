//! What can happen to a ledger's file, and what must not come of it.

#![cfg(target_os = "linux")]

mod ledger_support;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use engine::{Clock, Engine, FailureConfig, Hour, LedgerFault, LedgerView, Reason, reset_ledger};
use ledger_support::{
    HOUR, NOW, ask, failures, folder, guess, key, open, open_at, put, record, record_fast, secret,
};

/// Words of the control line: room, lines taken, slots that rest, the machine's
/// start.
const ROOM_AT: u64 = 128;
const TAKEN_AT: u64 = 136;
const BOOT_AT: u64 = 152;
/// Lines that a new file has in its area.
const FIRST_ROOM: u64 = 98_304;
const HEADS: u64 = 65_536;

fn poke(path: &Path, at: u64, word: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&word.to_ne_bytes(), at).unwrap();
}

fn peek(path: &Path, at: u64) -> u64 {
    let mut word = [0; 8];
    File::open(path)
        .unwrap()
        .read_exact_at(&mut word, at)
        .unwrap();
    u64::from_ne_bytes(word)
}

fn area_at(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len() - FIRST_ROOM * 64
}

/// Makes every branch of some lines lead to the first node.
fn bend(path: &Path, lines: std::ops::Range<u64>) {
    for line in lines {
        for word in [2, 3, 6, 7] {
            poke(path, area_at(path) + line * 64 + word * 8, 2 << 32 | 2);
        }
    }
}

/// What it comes to, unless that takes longer than it may.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(time).expect("it ends in time")
}

#[test]
fn counters_of_nonsense_are_errors() {
    let folder = folder();
    for (at, word) in [
        (ROOM_AT, u64::MAX),
        (ROOM_AT, 1 << 40),
        (TAKEN_AT, u64::MAX),
        (TAKEN_AT, 1 << 24),
        (TAKEN_AT, 0),
    ] {
        let path = folder.path().join(format!("{at}-{word}"));
        drop(open(&path));
        let len = fs::metadata(&path).unwrap().len();
        poke(&path, at, word);
        let refused = within(Duration::from_secs(30), {
            let path = path.clone();
            move || {
                open_at(&path, NOW).is_err_and(|error| error.to_string().contains("shorter"))
                    || open(&path).put_keys(vec![record(1, Some(1))]).is_err()
            }
        });
        assert!(refused, "{at}: {word}");
        assert_eq!(fs::metadata(&path).unwrap().len(), len, "{at}: {word}");
    }
}

#[test]
fn circles_end_and_are_told() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    engine
        .put_keys((0..20_000).map(record_fast).collect())
        .unwrap();
    drop(engine);
    // Under every head, and said to be endless.
    let heads = area_at(&path) - HEADS * 4;
    let words = (2_u64 << 32 | 2).to_ne_bytes().repeat(HEADS as usize / 2);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&words, heads).unwrap();
    bend(&path, 1..4);
    poke(&path, TAKEN_AT, 1 << 40);
    let damage = within(Duration::from_secs(30), move || {
        LedgerView::open(&path).unwrap().report(NOW).damage
    });
    assert!(
        damage.iter().any(|what| what.contains("in circles")),
        "{damage:?}"
    );
    assert!(
        damage.iter().any(|what| what.contains("said to be taken")),
        "{damage:?}"
    );
}

/// Such counts look like damage; the report says what else they may be.
#[test]
fn counts_of_a_clock_that_was_ahead_are_told_until_it_is_there_again() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let ahead = NOW + 10 * HOUR;
    let engine = open_at(&path, ahead).unwrap();
    put(&engine, 1, 5);
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    let view = LedgerView::open(&path).unwrap();
    let told = view.report(NOW).damage;
    let [one] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(one.contains("by a clock that was ahead"), "{one}");
    for unix_s in [ahead - HOUR, ahead] {
        assert_eq!(view.report(unix_s).damage, Vec::<String>::new());
    }
}

/// What a child of `fork` has put in is not its parent's to give out.
#[test]
fn keys_put_on_both_sides_of_a_fork_keep_their_counts() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    // One node of two is left over.
    put(&engine, 1, 5);
    // SAFETY: the child calls what takes no lock that another thread of the
    // test may hold, and leaves without running anything of its parent's.
    let child = unsafe { libc::fork() };
    if child == 0 {
        put(&engine, 2, 5);
        let used = (0..3)
            .filter(|_| ask(&engine, 2) == Reason::Allowed)
            .count();
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(used != 3)) };
    }
    let mut status = 0;
    // SAFETY: it is our child, and there is room for its status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    put(&engine, 3, 5);
    let view = LedgerView::open(&path).unwrap();
    let keys = view.keys(Hour::of(NOW));
    let used = |n| {
        keys.iter()
            .find(|found| found.id == key(n).id())
            .unwrap()
            .used
    };
    assert_eq!([1, 2, 3].map(used), [Some(0), Some(3), Some(0)]);
    assert_eq!(view.report(NOW).damage, Vec::<String>::new());
}

/// Whoever opens the ledger while it is reset has the old one, and then it is
/// not replaced, or the new one.
#[test]
fn nobody_has_open_what_a_reset_replaces() {
    let folder = folder();
    let path = folder.path().join("ledger");
    drop(open(&path));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let mut opened = 0;
            while !stop.load(Ordering::Relaxed) {
                // Refused while it is reset.
                std::thread::yield_now();
                let Ok(engine) = open_at(&path, NOW) else {
                    continue;
                };
                opened += 1;
                for _ in 0..20 {
                    assert_eq!(engine.ledger_fault(), None, "replaced while it was open");
                    std::thread::yield_now();
                }
            }
            opened
        });
        let mut resets = 0;
        for turn in 0..20_000 {
            match reset_ledger(&path, &failures(), true, NOW + turn) {
                Ok(aside) => {
                    resets += 1;
                    fs::remove_file(aside).unwrap();
                }
                Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
            }
            if resets == 40 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(opener.join().unwrap() > 0);
        assert!(resets > 0);
    });
}

/// As many pages as this file has, a process may not have mappings.
#[test]
fn a_large_file_cut_short_ends_nobody() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let large = FailureConfig {
        max_addresses: 2_200_000,
        ..FailureConfig::default()
    };
    let built = Engine::builder(secret())
        .clock(Clock::manual(NOW))
        .failures(large);
    let engine = built.ledger(&path).build().unwrap();
    put(&engine, 1, 5);
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    // Reads all of it.
    let _ = engine.stats(NOW);
    let mappings = fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count();
    assert!(mappings < 2000, "{mappings} mappings");
    assert_eq!(engine.ledger_fault(), Some(LedgerFault::CutShort));
    assert_eq!(ask(&engine, 1), Reason::HourlyLimit);
}

#[test]
fn a_file_that_is_gone_or_another_is_told() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 1);
    assert_eq!(engine.ledger_fault(), None);
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    assert_eq!(engine.ledger_fault(), Some(LedgerFault::Replaced));
    let other = open(&path);
    assert_eq!(engine.ledger_fault(), Some(LedgerFault::Replaced));
    assert_eq!(other.ledger_fault(), None);
    fs::remove_file(&path).unwrap();
    assert_eq!(other.ledger_fault(), Some(LedgerFault::Replaced));
}

#[test]
fn a_ledger_in_use_is_not_called_damaged() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    let done = AtomicBool::new(false);
    let reports = std::thread::scope(|scope| {
        scope.spawn(|| {
            for step in 0..120 {
                let records = (step * 1000..(step + 1) * 1000).map(record_fast);
                engine.put_keys(records.collect()).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut reports = 0;
        while !done.load(Ordering::Relaxed) {
            let report = LedgerView::open(&path).unwrap().report(NOW);
            assert_eq!(report.damage, Vec::<String>::new());
            reports += 1;
        }
        reports
    });
    assert!(reports > 0);
}

#[test]
fn what_is_refused_takes_no_lines() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let many = open(&path);
    let few = Engine::builder(secret())
        .clock(Clock::manual(NOW))
        .failures(failures());
    let few = few.max_keys(2).ledger(&path).build().unwrap();
    many.put_keys((100..120_000).map(record_fast).collect())
        .unwrap();
    let before = peek(&path, TAKEN_AT);
    for _ in 0..20 {
        let error = few
            .put_keys(vec![record(1, Some(5))])
            .unwrap_err()
            .to_string();
        assert!(error.contains("raise max_keys"), "{error}");
    }
    assert_eq!(peek(&path, TAKEN_AT), before);
    // A new start finds room for as many as it may have.
    drop(few);
    let again = Engine::builder(secret())
        .clock(Clock::manual(NOW))
        .failures(failures());
    let again = again.max_keys(2).ledger(&path).build().unwrap();
    put(&again, 1, 5);
}

#[test]
fn a_reset_through_a_link_leaves_one_ledger() {
    let folder = folder();
    let (path, link) = (folder.path().join("ledger"), folder.path().join("link"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    drop(open(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    reset_ledger(&link, &failures(), false, NOW).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "as before");
    let (one, other) = (open(&path), open(&link));
    put(&one, 1, 1);
    put(&other, 1, 1);
    assert_eq!(ask(&one, 1), Reason::Allowed);
    assert_eq!(ask(&other, 1), Reason::HourlyLimit);
}

/// Of what was written the rings and nodes had reached the disk, the counters
/// and the heads had not.
#[test]
fn no_key_inherits_anything_after_the_machine_stopped() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 5);
    drop(engine);
    let early = fs::read(&path).unwrap();
    let area = area_at(&path) as usize;
    let engine = open(&path);
    for n in 2..8 {
        put(&engine, n, 5);
        assert_eq!(ask(&engine, n), Reason::Allowed);
    }
    drop(engine);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&early[..area], 0).unwrap();
    poke(&path, BOOT_AT, 1);
    let engine = open(&path);
    for n in 101..120 {
        put(&engine, n, 5);
        assert_eq!(engine.used(key(n).id(), Hour::of(NOW)), Some(0));
    }
    assert_eq!(
        LedgerView::open(&path).unwrap().report(NOW).damage,
        Vec::<String>::new()
    );
    put(&engine, 1, 5);
    assert_eq!(guess(&engine, [192, 0, 2, 9], 1), Reason::MalformedKey);
}

/// The file had grown, and all but its first page had reached the disk: what that
/// says of lines and of their room is older than what lies there.
#[test]
fn a_file_that_grew_takes_keys_after_the_machine_stopped() {
    const LATE: u64 = 5_000_000;
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    // They nearly fill the room that a new file has.
    engine
        .put_keys((0..65_000).map(record_fast).collect())
        .unwrap();
    let early = fs::read(&path).unwrap();
    engine
        .put_keys((65_000..70_000).map(record_fast).collect())
        .unwrap();
    put(&engine, LATE, 5);
    for _ in 0..2 {
        assert_eq!(ask(&engine, LATE), Reason::Allowed);
    }
    drop(engine);
    assert!(peek(&path, ROOM_AT) > FIRST_ROOM && peek(&path, TAKEN_AT) > FIRST_ROOM);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&early[..4096], 0).unwrap();
    poke(&path, BOOT_AT, 1);
    let begun_anew = folder.path().join("begun-anew");
    fs::copy(&path, &begun_anew).unwrap();
    let used_late = |path| {
        let keys = LedgerView::open(path).unwrap().keys(Hour::of(NOW));
        let late = keys.into_iter().find(|seen| seen.id == key(LATE).id());
        late.and_then(|late| late.used)
    };
    {
        let engine = open(&path);
        // Those that were there, with some that were not, as at a server's start.
        engine
            .put_keys((0..70_100).map(record_fast).collect())
            .unwrap();
        let view = LedgerView::open(&path).unwrap();
        assert_eq!(view.report(NOW).damage, Vec::<String>::new());
    }
    assert_eq!(used_late(&path), Some(2));
    // And where nobody opens it before it is begun anew.
    reset_ledger(&begun_anew, &failures(), true, NOW).unwrap();
    assert_eq!(used_late(&begun_anew), Some(2));
}

/// A slot had gone from a removed key to another, of which the removed key's word
/// had not reached the disk; then both keys are there.
#[test]
fn no_two_keys_have_one_budget_after_the_machine_stopped() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 5);
    put(&engine, 2, 5);
    for _ in 0..5 {
        assert_eq!(ask(&engine, 2), Reason::Allowed);
    }
    engine.remove_key(key(1).id()).unwrap();
    drop(engine);
    // Both nodes are in the first line of the area, and each word that tells of a
    // slot ends in its number.
    let places = [1, 5].map(|word| area_at(&path) + 64 + word * 8);
    let [first, second] = places.map(|at| peek(&path, at));
    let slot = second as u32;
    assert!(slot > 0 && first as u32 > 0 && first as u32 != slot);
    poke(&path, places[0], first >> 32 << 32 | u64::from(slot));
    poke(&path, BOOT_AT, 1);
    let engine = open(&path);
    put(&engine, 1, 5);
    put(&engine, 2, 5);
    let view = LedgerView::open(&path).unwrap();
    assert_eq!(view.report(NOW).damage, Vec::<String>::new());
    assert_eq!(ask(&engine, 2), Reason::HourlyLimit, "what it used is used");
    assert_eq!(ask(&engine, 1), Reason::Allowed, "and is its own");
}

/// The signal that was ignored before still is, for who sends it. In a process
/// of its own, for signals are the whole process's.
#[test]
fn a_signal_that_is_sent_stays_ignored() {
    const CHILD: &str = "LEDGER_SIGNAL_CHILD";
    if let Some(path) = std::env::var_os(CHILD) {
        // SAFETY: nobody else is in this process.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_IGN) };
        let _engine = open(Path::new(&path));
        // SAFETY: sends a signal to ourselves.
        assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
        return;
    }
    let folder = folder();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_signal_that_is_sent_stays_ignored"])
        .env(CHILD, folder.path().join("ledger"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
}
