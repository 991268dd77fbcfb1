//! Sessions that come, go, are looked up and purged while the map grows, twice.

use shuttle::sync::Arc;
use shuttle::thread;

use super::*;
use crate::key::ServerSecret;
use crate::shuttle_tests::{History, explore, is_found};
use crate::sync::AtomicU64;
use gate::{Gate, Pass};
use limbo::Limbo;

/// Those that expire before are purged.
const PURGED_AT: u64 = 100;

/// When the session of a token expires; `None` where there is none.
type State = Option<u64>;

fn digest(number: usize) -> TokenDigest {
    ServerSecret::from_bytes([5; 32]).digest_token(&number.to_le_bytes())
}

fn session(number: usize, expires_at: u64) -> Session {
    Session {
        digest: digest(number),
        expires_at,
        project: ProjectId::from_bits(1),
        user: format!("u{number}").parse().unwrap(),
    }
}

/// How a session is put.
type Put = fn(&Sessions, Session);

fn put(sessions: &Sessions, session: Session) {
    sessions.put(session);
}

struct Tokens {
    sessions: Sessions,
    put: Put,
    /// Of each token.
    histories: Vec<History<State>>,
}

/// What becomes of the tokens, by whom: three each of two writers, one that is
/// dead, and one that stays.
const DEAD: usize = 6;
const STAYS: usize = 7;

impl Tokens {
    fn new(put: Put) -> Self {
        let sessions = Sessions::new();
        sessions.put(session(DEAD, 50));
        sessions.put(session(STAYS, 1000));
        // They come, are replaced, end, and come again.
        let changing = |number: u64| {
            let at = 100 * (number + 2);
            History::new([None, Some(at), Some(at + 1), None, Some(at + 2)])
        };
        let mut histories: Vec<_> = (0..6).map(changing).collect();
        histories.push(History::new([Some(50), None]));
        histories.push(History::new([Some(1000)]));
        Self {
            sessions,
            put,
            histories,
        }
    }

    fn change(&self, number: usize) {
        self.histories[number].next(|state| match state {
            Some(expires_at) => (self.put)(&self.sessions, session(number, *expires_at)),
            None => assert!(self.sessions.end(&digest(number)), "{number} was there"),
        });
    }

    /// Each of some tokens takes its way.
    fn change_all(&self, tokens: [usize; 3]) {
        for _ in 0..4 {
            for number in tokens {
                self.change(number);
            }
        }
    }

    fn find(&self, number: usize) -> State {
        let found = self.sessions.find(&digest(number));
        found.map(|session| session.expires_at)
    }

    fn ask(&self) {
        let mut last = [0; 8];
        for _ in 0..2 {
            for (number, last) in last.iter_mut().enumerate() {
                self.histories[number].ask(last, || self.find(number));
            }
        }
    }

    fn purge(&self) {
        self.sessions.reclaim();
        let purged = self.histories[DEAD].next(|_| self.sessions.purge(PURGED_AT));
        assert_eq!(purged, 1);
        self.sessions.reclaim();
    }
}

/// Two put and end, one purges and reclaims, two look up.
fn all_at_once(put: Put) {
    let tokens = Arc::new(Tokens::new(put));
    let works: [fn(&Tokens); 5] = [
        |tokens| tokens.change_all([0, 1, 2]),
        |tokens| tokens.change_all([3, 4, 5]),
        Tokens::purge,
        Tokens::ask,
        Tokens::ask,
    ];
    let threads = works.map(|work| {
        let tokens = tokens.clone();
        thread::spawn(move || work(&tokens))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    for (number, history) in tokens.histories.iter().enumerate() {
        assert_eq!(tokens.find(number), *history.last(), "token {number}");
    }
    assert_eq!(tokens.sessions.len(), 7);
    assert!(tokens.sessions.map.visit().buckets() > 2, "it has grown");
}

/// What is read, by its number, until it is replaced; each says whether it was
/// freed.
struct World {
    gate: Gate,
    limbo: Limbo<Freed>,
    at: AtomicU64,
    freed: Arc<Vec<AtomicU64>>,
}

/// Says so when it is dropped.
struct Freed(Arc<Vec<AtomicU64>>, u64);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0[self.1 as usize].store(1, Ordering::SeqCst);
    }
}

impl World {
    fn replace(&self, number: u64) {
        let before = self.at.swap(number, Ordering::SeqCst);
        self.limbo
            .take(&self.gate, Freed(self.freed.clone(), before));
        self.limbo.reclaim(&self.gate);
    }
}

/// How somebody comes in and finds what is there.
type Enter = for<'w> fn(&'w World) -> (Pass<'w>, u64);

fn enter(world: &World) -> (Pass<'_>, u64) {
    let pass = world.gate.enter();
    (pass, world.at.load(Ordering::SeqCst))
}

/// Three read, twice each, and two replace, twice each.
fn replaced_while_read(enter: Enter) {
    let numbers = || (0..5).map(|_| AtomicU64::new(0)).collect();
    let world = Arc::new(World {
        gate: Gate::new(),
        limbo: Limbo::new(),
        at: AtomicU64::new(0),
        freed: Arc::new(numbers()),
    });
    let replacing = [[1, 2], [3, 4]].map(|numbers| {
        let world = world.clone();
        thread::spawn(move || numbers.into_iter().for_each(|number| world.replace(number)))
    });
    let reading = [(); 3].map(|()| {
        let world = world.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                let (_pass, at) = enter(&world);
                for _ in 0..2 {
                    let freed = world.freed[at as usize].load(Ordering::SeqCst);
                    assert_eq!(freed, 0, "was freed");
                }
            }
        })
    });
    for thread in replacing.into_iter().chain(reading) {
        thread.join().unwrap();
    }
    // Those of the wait under way, then those since.
    world.limbo.reclaim(&world.gate);
    world.limbo.reclaim(&world.gate);
    let freed = world.freed.iter().map(|freed| freed.load(Ordering::SeqCst));
    assert_eq!(freed.sum::<u64>(), 4, "all that was replaced");
}

#[test]
fn sessions_are_found_as_they_are() {
    explore(
        "sessions in a map that grows",
        &[|| all_at_once(put), || replaced_while_read(enter)],
    );
}

/// The broken twin: a bucket is changed as it was found, whatever it is by then.
#[test]
fn finds_the_fault_of_trying_once() {
    is_found(&["of no moment", "token"], || {
        all_at_once(|sessions, session| {
            let visit = sessions.map.visit();
            let seen = visit.to_change(hash(&session.digest));
            let next = seen.bucket().with(session);
            let is_new = seen.bucket().find(&session.digest).is_none();
            if seen.replace(next).is_some() && is_new {
                sessions
                    .len
                    .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                visit.grow_beyond(sessions.len() / LOAD);
            }
        });
    });
}

/// The broken twin: a session is replaced in two steps.
#[test]
fn finds_the_fault_of_replacing_in_two_steps() {
    is_found(&["of no moment", "token"], || {
        all_at_once(|sessions, session| {
            sessions.end(&session.digest);
            sessions.put(session);
        });
    });
}

/// The broken twin: finds what is there, and then comes in.
#[test]
fn finds_the_fault_of_looking_before_entering() {
    is_found(&["was freed"], || {
        replaced_while_read(|world| {
            let at = world.at.load(Ordering::SeqCst);
            (world.gate.enter(), at)
        });
    });
}
