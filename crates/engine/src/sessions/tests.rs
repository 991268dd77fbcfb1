//! The map against a plain one, and under concurrent change while it grows.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::key::ServerSecret;

fn digest(number: u64) -> TokenDigest {
    ServerSecret::from_bytes([5; 32]).digest_token(&number.to_le_bytes())
}

fn session(number: u64, expires_at: u64) -> Session {
    Session {
        digest: digest(number),
        expires_at,
        project: ProjectId::from_bits(1),
        user: format!("u{number}").parse().unwrap(),
    }
}

#[test]
fn behaves_like_a_map() {
    let sessions = Sessions::new();
    let mut model = HashMap::new();
    let mut random = 99_u64;
    let (steps, range) = if cfg!(miri) {
        (400, 200)
    } else {
        (20_000, 2000)
    };
    for step in 0..steps {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let number = (random >> 33) % range;
        match random >> 60 {
            0..=8 => {
                sessions.put(session(number, step));
                model.insert(number, step);
            }
            9..=14 => assert_eq!(
                sessions.end(&digest(number)),
                model.remove(&number).is_some()
            ),
            _ if step % 50 == 0 => {
                let dead = step / 2;
                let before = model.len();
                model.retain(|_, expires_at| dead < *expires_at);
                assert_eq!(sessions.purge(dead), before - model.len());
            }
            _ => {
                let found = sessions.find(&digest(number)).map(|s| s.expires_at);
                assert_eq!(found, model.get(&number).copied());
            }
        }
        assert_eq!(sessions.len(), model.len());
    }
    for number in 0..range {
        let found = sessions.find(&digest(number)).map(|s| s.expires_at);
        assert_eq!(found, model.get(&number).copied());
    }
    assert!(sessions.map.visit().buckets() > 64 || cfg!(miri), "it grew");
}

#[test]
fn what_is_there_is_found_while_others_come_and_go() {
    let sessions = Sessions::new();
    let (stay, pass): (u64, u64) = if cfg!(miri) { (20, 150) } else { (500, 30_000) };
    for number in 0..stay {
        sessions.put(session(number, u64::MAX));
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            while !done.load(Ordering::Relaxed) {
                for number in 0..stay {
                    let found = sessions.find(&digest(number)).expect("it stays");
                    assert_eq!(found.user.as_str(), format!("u{number}"));
                }
            }
        };
        scope.spawn(reader);
        let writers: Vec<_> = (1..=2)
            .map(|writer: u64| {
                let sessions = &sessions;
                scope.spawn(move || {
                    for number in 0..pass {
                        let number = writer << 32 | number;
                        sessions.put(session(number, 10));
                        assert!(sessions.find(&digest(number)).is_some(), "seen at once");
                        if number.is_multiple_of(3) {
                            assert!(sessions.end(&digest(number)));
                            assert!(sessions.find(&digest(number)).is_none(), "gone at once");
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let left = sessions.len();
    assert_eq!(sessions.purge(10), left - stay as usize);
    assert_eq!(sessions.len(), stay as usize);
}

#[test]
fn a_session_ends_with_its_expiry() {
    let ends = session(1, 100);
    assert!(ends.is_live(99));
    assert!(!ends.is_live(100));
    assert!(session(1, NEVER).is_live(u64::MAX));
}

#[test]
fn a_purge_leaves_nothing_in_a_map_that_grows_meanwhile() {
    let rounds = if cfg!(miri) { 3 } else { 2000 };
    for round in 0..rounds {
        let sessions = Sessions::new();
        // Just below where the map grows.
        for number in 0..125 {
            sessions.put(session(number, 10));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1000..1010 {
                    sessions.put(session(number, 100));
                }
            });
            scope.spawn(|| {
                for _ in 0..round % 40 * 20 {
                    std::hint::spin_loop();
                }
                sessions.purge(50);
            });
        });
        assert_eq!(sessions.len(), 10);
    }
}
