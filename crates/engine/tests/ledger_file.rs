//! The ledger in a file: shared by engines of one process, after a restart, and
//! after damage. Processes that share one are in `tests/tests/ledger_processes.rs`.

#![cfg(target_os = "linux")]

mod ledger_support;

use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{
    BuildError, Clock, Engine, FailureConfig, Hour, KeyId, LedgerError, LedgerFault, LedgerView,
    Reason, reset_ledger,
};
use ledger_support::{
    HOUR, NOW, ask, failures, fastrand_like, folder, guess, key, open, open_at, put, record,
    record_fast, secret,
};

#[test]
fn two_engines_share_one_budget_and_one_block() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let (a, b) = (open(&path), open(&path));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for engine in [&a, &b] {
        put(engine, 1, 5);
    }
    let allowed = (0..10).filter(|n| {
        let engine = if n % 2 == 0 { &a } else { &b };
        ask(engine, 1) == Reason::Allowed
    });
    assert_eq!(allowed.count(), 5);
    assert_eq!(b.used(key(1).id(), Hour::of(NOW)), Some(5));
    guess(&a, [192, 0, 2, 1], 2);
    assert_eq!(guess(&b, [192, 0, 2, 1], 1), Reason::MalformedKey);
    assert_eq!(guess(&a, [192, 0, 2, 1], 1), Reason::IpBlocked);
    assert!(b.unblock(IpAddr::from([192, 0, 2, 1]), NOW));
    assert_eq!(guess(&a, [192, 0, 2, 1], 1), Reason::MalformedKey);
}

#[test]
fn a_restart_goes_on_with_what_was_used() {
    let folder = folder();
    let path = folder.path().join("ledger");
    {
        let engine = open(&path);
        put(&engine, 1, 3);
        put(&engine, 2, 3);
        assert_eq!(ask(&engine, 1), Reason::Allowed);
        assert_eq!(ask(&engine, 1), Reason::Allowed);
        guess(&engine, [192, 0, 2, 1], 3);
    }
    let engine = open(&path);
    // In another order than before.
    put(&engine, 2, 3);
    put(&engine, 1, 3);
    assert_eq!(engine.used(key(2).id(), Hour::of(NOW)), Some(0));
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    assert_eq!(ask(&engine, 1), Reason::HourlyLimit);
    assert_eq!(guess(&engine, [192, 0, 2, 1], 1), Reason::IpBlocked);
}

/// A key that is charged while others come.
const CHARGED: u64 = 5_000_000;

#[test]
fn keys_that_outgrow_the_file_find_what_they_used() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let (a, b) = (open(&path), open(&path));
    let before = fs::metadata(&path).unwrap().len();
    let count = 120_000_u64;
    let steps = count / 4000;
    let records = |range: std::ops::Range<u64>| range.map(record_fast).collect();
    for engine in [&a, &b] {
        engine.put_keys(vec![record(CHARGED, None)]).unwrap();
    }
    // Both at once, from both ends, so that they meet; and both decide.
    let grown = AtomicBool::new(false);
    let charge = |engine: &Engine| {
        let mut admitted = 0;
        while !grown.load(Ordering::Relaxed) {
            assert_eq!(ask(engine, CHARGED), Reason::Allowed);
            admitted += 1;
        }
        admitted
    };
    let admitted: u64 = std::thread::scope(|scope| {
        let charge = &charge;
        let charging = [&a, &b].map(|engine| scope.spawn(move || charge(engine)));
        let puts = scope.spawn(|| {
            for step in 0..steps {
                a.put_keys(records(step * 4000..(step + 1) * 4000)).unwrap();
            }
        });
        for step in (0..steps).rev() {
            b.put_keys(records(step * 4000..(step + 1) * 4000)).unwrap();
        }
        puts.join().unwrap();
        grown.store(true, Ordering::Relaxed);
        charging.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert!(admitted > 1000, "{admitted}");
    let used = b.used(key(CHARGED).id(), Hour::of(NOW));
    assert_eq!(used, Some(admitted), "no unit was lost");
    assert!(fs::metadata(&path).unwrap().len() > before);
    let view = LedgerView::open(&path).unwrap();
    let report = view.report(NOW);
    assert_eq!(report.damage, Vec::<String>::new());
    assert_eq!(
        (report.keys, report.resting, report.gone),
        (count + 1, 0, 0)
    );
    // One line each and half a node; of those that lost a race a few are left.
    assert!(report.lines >= count * 3 / 2 && report.lines < count * 3 / 2 + 1000);
    for n in (0..count).step_by(997) {
        let id: KeyId = format!("{n:010}").parse().unwrap();
        assert_eq!(a.used(id, Hour::of(NOW)), Some(0));
    }
}

#[test]
fn a_slot_rests_before_another_key_gets_it() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let clock = Clock::manual(NOW);
    let engine = Engine::builder(secret())
        .clock(clock.clone())
        .failures(failures())
        .ledger(&path)
        .build()
        .unwrap();
    put(&engine, 1, 5);
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    engine.remove_key(key(1).id()).unwrap();
    put(&engine, 1, 5);
    assert_eq!(engine.used(key(1).id(), Hour::of(NOW)), Some(1), "its own");
    engine.remove_key(key(1).id()).unwrap();
    clock.set(NOW + 8 * HOUR);
    put(&engine, 2, 5);
    let lines = || LedgerView::open(&path).unwrap().report(NOW).lines;
    let before = lines();
    let report = LedgerView::open(&path).unwrap().report(NOW);
    assert_eq!((report.keys, report.resting, report.gone), (1, 1, 0));
    // Others are removed, so that more are looked through than one head a turn.
    clock.set(NOW + 9 * HOUR);
    let mut n = 3;
    while LedgerView::open(&path).unwrap().report(NOW).gone == 0 {
        put(&engine, n, 5);
        assert_eq!(
            engine.used(key(n).id(), Hour::of(NOW)),
            Some(0),
            "nothing inherited"
        );
        n += 1;
        assert!(n < 10_000, "never taken again");
    }
    assert!(lines() > before);
    let report = LedgerView::open(&path).unwrap().report(NOW);
    assert_eq!(report.damage, Vec::<String>::new());
    put(&engine, 1, 5);
    assert_eq!(engine.used(key(1).id(), Hour::of(NOW)), Some(0), "long ago");
}

#[test]
fn what_does_not_fit_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 5);
    let refused = |change: fn(&mut FailureConfig)| {
        let mut failures = failures();
        change(&mut failures);
        let built = Engine::builder(secret())
            .failures(failures)
            .ledger(&path)
            .build();
        built.unwrap_err().to_string()
    };
    let check = |path: &Path, window_s| {
        let failures = FailureConfig {
            window_s,
            ..failures()
        };
        let builder = Engine::builder(secret()).failures(failures).ledger(path);
        builder.check().map_err(|error| error.to_string())
    };
    check(&path, 300).unwrap();
    assert!(check(&path, 600).unwrap_err().contains("not 600"));
    assert!(check(&path, 601).unwrap_err().contains("multiple of 12"));
    let none = folder.path().join("none");
    check(&none, 600).unwrap();
    assert!(!none.exists());
    let window = refused(|failures| failures.window_s = 600);
    assert!(
        window.contains("made for window_s 300, not 600"),
        "{window}"
    );
    let addresses = refused(|failures| failures.max_addresses = 7000);
    assert!(
        addresses.contains("made for max_addresses 700, not 7000"),
        "{addresses}"
    );

    let not_a_ledger = folder.path().join("other");
    fs::write(&not_a_ledger, "0123456789".repeat(1000)).unwrap();
    let error = open_at(&not_a_ledger, NOW).unwrap_err().to_string();
    assert!(error.contains("is no ledger"), "{error}");
    fs::write(&not_a_ledger, "").unwrap();
    let error = open_at(&not_a_ledger, NOW).unwrap_err().to_string();
    assert!(error.contains("is no ledger"), "{error}");
    let error = open_at(folder.path(), NOW).unwrap_err().to_string();
    assert!(error.contains("cannot open"), "{error}");
    let nowhere = folder.path().join("none/ledger");
    let error = open_at(&nowhere, NOW).unwrap_err().to_string();
    assert!(error.contains("cannot make"), "{error}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
    let error = open_at(&path, NOW).unwrap_err().to_string();
    assert!(error.contains("chmod o-w"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let bytes = fs::read(&path).unwrap();
    for (at, expected) in [
        (8, "layout"),
        (16, "is damaged"),
        (56, "is damaged"),
        (80, "is damaged"),
    ] {
        let copy = folder.path().join("copy");
        fs::write(&copy, &bytes).unwrap();
        let file = OpenOptions::new().write(true).open(&copy).unwrap();
        file.write_all_at(&[bytes[at] ^ 0x40], at as u64).unwrap();
        let error = open_at(&copy, NOW).unwrap_err().to_string();
        assert!(error.contains(expected), "{at}: {error}");
    }
    let copy = folder.path().join("short");
    fs::write(&copy, &bytes[..bytes.len() - 4096]).unwrap();
    let error = open_at(&copy, NOW).unwrap_err().to_string();
    assert!(error.contains("is shorter than its header says"), "{error}");
    assert_eq!(ask(&engine, 1), Reason::Allowed);
}

/// Where anybody may make files, one whom nobody trusts may have left it to be
/// found, and could refill budgets.
#[test]
fn a_stranger_s_file_in_an_open_folder_is_refused() {
    const STRANGER: u32 = 65_534;
    let folder = folder();
    let path = folder.path().join("ledger");
    drop(open_at(&path, NOW).unwrap());
    let open_to = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    open_to(0o1777);
    drop(open_at(&path, NOW).expect("our own"));
    match chown(&path, Some(STRANGER), None) {
        Ok(()) => {}
        // Root alone gives a file away.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
        Err(error) => panic!("{error}"),
    }
    let error = open_at(&path, NOW).unwrap_err().to_string();
    assert!(error.contains("belongs to user 65534"), "{error}");
    open_to(0o755);
    drop(open_at(&path, NOW).expect("who may make files there is trusted"));
}

#[test]
fn a_reset_needs_the_file_alone_and_keeps_the_old_one() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 5);
    put(&engine, 2, 5);
    engine.remove_key(key(2).id()).unwrap();
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    guess(&engine, [192, 0, 2, 1], 3);
    let wider = FailureConfig {
        window_s: 600,
        ..failures()
    };
    let refused = reset_ledger(&path, &wider, true, NOW);
    assert!(matches!(
        refused,
        Err(BuildError::Ledger(LedgerError::InUse(_)))
    ));
    drop(engine);
    let old = reset_ledger(&path, &wider, true, NOW).unwrap();
    assert_eq!(LedgerView::open(&old).unwrap().report(NOW).window_s, 300);
    let view = LedgerView::open(&path).unwrap();
    let report = view.report(NOW);
    assert_eq!((report.window_s, report.keys, report.resting), (600, 1, 1));
    assert_eq!((report.blocked_addresses, report.damage.len()), (0, 0));
    let used = view.keys(Hour::of(NOW));
    let used = used.iter().find(|found| found.id == key(1).id()).unwrap();
    assert_eq!((used.used, used.rests), (Some(1), false));
    drop(view);

    let older = reset_ledger(&path, &failures(), false, NOW).unwrap();
    assert_ne!(older, old);
    let engine = open(&path);
    put(&engine, 1, 5);
    assert_eq!(engine.used(key(1).id(), Hour::of(NOW)), Some(0));
    // A ledger that cannot be read can still be begun anew, and is kept.
    drop(engine);
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let kept = reset_ledger(&path, &failures(), true, NOW);
    assert!(matches!(
        kept,
        Err(BuildError::Ledger(LedgerError::Damaged(_)))
    ));
    let aside = reset_ledger(&path, &failures(), false, NOW).unwrap();
    assert!(fs::read(aside).unwrap() == bytes);
    open(&path);
    fs::write(&path, "").unwrap();
    reset_ledger(&path, &failures(), false, NOW).unwrap();
    open(&path);
    // Any other file is left alone.
    let other = folder.path().join("other");
    fs::write(&other, "a database, perhaps in use").unwrap();
    for keep_hours in [false, true] {
        let refused = reset_ledger(&other, &failures(), keep_hours, NOW);
        assert!(matches!(
            refused,
            Err(BuildError::Ledger(LedgerError::Foreign(_)))
        ));
    }
    assert_eq!(fs::read(&other).unwrap(), b"a database, perhaps in use");
    let missing = reset_ledger(&folder.path().join("none"), &failures(), false, NOW);
    assert!(matches!(
        missing,
        Err(BuildError::Ledger(LedgerError::Missing(_)))
    ));
}

/// In milliseconds, which nobody should count in, it is the last that has a name.
#[test]
fn a_reset_keeps_the_last_of_all_hours() {
    const LATE: u64 = NOW * 1000;
    let folder = folder();
    let path = folder.path().join("ledger");
    {
        let engine = open_at(&path, LATE).unwrap();
        put(&engine, 1, 2);
        assert_eq!([ask(&engine, 1), ask(&engine, 1)], [Reason::Allowed; 2]);
    }
    reset_ledger(&path, &failures(), true, LATE).unwrap();
    let engine = open_at(&path, LATE).unwrap();
    put(&engine, 1, 2);
    assert_eq!(ask(&engine, 1), Reason::HourlyLimit);
}

#[test]
fn damage_gives_wrong_counts_and_nothing_worse() {
    let folder = folder();
    let path = folder.path().join("ledger");
    {
        let engine = open(&path);
        for n in 0..200 {
            put(&engine, n, 50);
            ask(&engine, n);
        }
        for last in 0..100 {
            guess(&engine, [192, 0, 2, last], 3);
        }
    }
    let bytes = fs::read(&path).unwrap();
    let mut random = fastrand_like(1);
    for round in 0..60 {
        let copy = folder.path().join("copy");
        let _ = fs::remove_file(&copy);
        let mut spoilt = bytes.clone();
        // Of the header only what counts: the rest is checked.
        for _ in 0..2000 {
            let at = 128 + (random() as usize) % (spoilt.len() - 128);
            spoilt[at] = random() as u8;
        }
        if round % 3 == 0 {
            // And where most of it lies.
            let start = spoilt.len() - 98_304 * 64;
            for byte in &mut spoilt[start..start + 40_000] {
                *byte = random() as u8;
            }
        }
        fs::write(&copy, &spoilt).unwrap();
        let Ok(engine) = open_at(&copy, NOW) else {
            continue;
        };
        for n in 0..210 {
            // Either it is refused in words, or it counts somewhere.
            match engine.put_keys(vec![record(n, Some(2))]) {
                Ok(()) => drop((ask(&engine, n), ask(&engine, n), ask(&engine, n))),
                Err(error) => assert!(error.to_string().contains("ledger"), "{error}"),
            }
            let _ = engine.remove_key(key(n).id());
        }
        for last in 0..100 {
            guess(&engine, [192, 0, 2, last], 3);
        }
        let view = LedgerView::open(&copy).unwrap();
        let _ = (
            view.report(NOW),
            view.keys(Hour::of(NOW)),
            engine.stats(NOW),
        );
    }
}

#[test]
fn a_file_cut_within_a_page_refuses_what_lay_behind_the_cut() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 1);
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    // The last line that is not empty is that of the key's hours.
    let bytes = fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len((last & !63) as u64).unwrap();
    // The rest of the page has become zeroes, and nobody is told until asked.
    for _ in 0..2 {
        assert_eq!(engine.ledger_fault(), Some(LedgerFault::CutShort));
        assert_eq!(ask(&engine, 1), Reason::HourlyLimit);
    }
}

#[test]
fn a_file_cut_short_refuses_limited_keys() {
    let folder = folder();
    let path = folder.path().join("ledger");
    let engine = open(&path);
    put(&engine, 1, 50);
    engine.put_keys(vec![record(2, None)]).unwrap();
    assert_eq!(ask(&engine, 1), Reason::Allowed);
    assert_eq!(engine.ledger_fault(), None);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(4096).unwrap();
    assert_eq!(engine.ledger_fault(), Some(LedgerFault::CutShort));
    assert_eq!(ask(&engine, 1), Reason::HourlyLimit);
    assert_eq!(ask(&engine, 2), Reason::Allowed, "unlimited");
    assert_eq!(guess(&engine, [192, 0, 2, 1], 1), Reason::MalformedKey);
    let refused = engine.put_keys(vec![record(3, Some(1))]).unwrap_err();
    assert!(refused.to_string().contains("ledger"), "{refused}");
    assert_eq!(engine.ledger_fault(), Some(LedgerFault::CutShort));
}
