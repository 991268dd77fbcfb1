//! An engine kept in step with a store.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use engine::{
    Cidr, CidrList, Clock, Engine, FailureConfig, KeyPolicy, KeyRecord, KeyState, Prefix, Reason,
    Request, SecretKey, ServerSecret, SessionRecord, SessionToken,
};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use tokenkit_store::{
    Actor, BATCH, CatchUpError, FollowEvent, Follower, Following, Scope, SessionId, Store,
    StoredKey, StoredSession, StoredToken,
};

/// Far more than anything here takes, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    secret: ServerSecret,
    store: Store,
    engine: Arc<Engine>,
}

/// A store, and an engine for so many keys that holds what is in it.
fn place(max_keys: u32) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let secret = ServerSecret::from_bytes([7; 32]);
    let store = Store::create(&path, &secret).unwrap();
    // Keys are asked for before they are there, which is guessing.
    let failures = FailureConfig {
        exempt: CidrList::parse(["192.0.2.0/24"]).unwrap(),
        ..FailureConfig::default()
    };
    let engine = Engine::builder(secret.clone())
        .max_keys(max_keys)
        .failures(failures)
        .build()
        .unwrap();
    Place {
        _folder: folder,
        path,
        secret,
        store,
        engine: Arc::new(engine),
    }
}

impl Place {
    fn follower(&self) -> Follower {
        let mut follower = Follower::open(&self.path, &self.secret).unwrap();
        follower.load(&self.engine).unwrap();
        follower
    }

    fn follower_unloaded(&self) -> Follower {
        Follower::open(&self.path, &self.secret).unwrap()
    }

    /// Adds keys in one commit.
    fn add(&mut self, number: usize) -> Vec<SecretKey> {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let keys: Vec<_> = (0..number)
            .map(|_| SecretKey::generate(&prefix).unwrap())
            .collect();
        let mut writer = self.store.write(&Actor::system(), 1_790_000_000).unwrap();
        for key in &keys {
            writer
                .add_key(&StoredKey {
                    record: KeyRecord {
                        id: key.id(),
                        digest: self.secret.digest_key(key.expose().as_bytes()),
                        policy: KeyPolicy::new("p1".parse().unwrap()),
                    },
                    label: "a key".parse().unwrap(),
                    prefix,
                    created_at: 1_790_000_000,
                    revoked_at: None,
                    revoked_reason: None,
                    replaces: None,
                    revision: 0,
                })
                .unwrap();
        }
        writer.commit().unwrap();
        keys
    }

    fn revoke(&mut self, key: &SecretKey) {
        let mut writer = self.store.write(&Actor::system(), 1_790_000_000).unwrap();
        writer
            .change_key(key.id(), None, |key| {
                key.record.policy.state = KeyState::Revoked;
            })
            .unwrap();
        writer.commit().unwrap();
    }

    fn reason(&self, key: &SecretKey) -> Reason {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let request = Request::new(ip).api_key(key.expose().as_bytes());
        self.engine.decide(&request).reason()
    }
}

fn admin_token(server: &ServerSecret) -> StoredToken {
    let secret = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
    StoredToken {
        id: secret.id(),
        digest: server.digest_key(secret.expose().as_bytes()),
        name: "a token".parse().unwrap(),
        scope: Scope::Read,
        created_at: 1_790_000_000,
        expires_at: None,
        revoked_at: None,
    }
}

/// A user's session.
fn session(server: &ServerSecret, token: &SessionToken, expires_at: Option<u64>) -> StoredSession {
    StoredSession {
        token: server.digest_token(token.expose().as_bytes()),
        id: SessionId::of(token),
        session: SessionRecord {
            project: "p1".parse().unwrap(),
            user: "u1".parse().unwrap(),
            expires_at,
        },
        created_at: 1_790_000_000,
        ended: false,
    }
}

/// Starts the following; what it tells comes in words.
fn start(place: &Place, follower: Follower) -> (Following, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let following = Following::start(follower, Arc::clone(&place.engine), move |event| {
        let word = match event {
            FollowEvent::Changed { .. } => "changed".to_owned(),
            FollowEvent::Trouble(error) => error.to_string(),
            FollowEvent::Tokens => "tokens".to_owned(),
            FollowEvent::Recovered => "recovered".to_owned(),
            FollowEvent::Failed => "failed".to_owned(),
            _ => "another".to_owned(),
        };
        let _ = tell.send(word);
    })
    .unwrap();
    (following, told)
}

fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_change_is_in_force_within_100_ms() {
    let mut place = place(64);
    let first = place.add(1).remove(0);
    let follower = place.follower();
    assert_eq!(place.reason(&first), Reason::Allowed);
    let (following, told) = start(&place, follower);
    let mut took: Vec<Duration> = (0..9)
        .map(|_| {
            let key = place.add(1).remove(0);
            let committed = Instant::now();
            while place.reason(&key) != Reason::Allowed {
                assert!(committed.elapsed() < PATIENCE, "the key never came");
                std::thread::yield_now();
            }
            committed.elapsed()
        })
        .collect();
    place.revoke(&first);
    while place.reason(&first) != Reason::RevokedKey {
        assert_eq!(next(&told), "changed");
    }
    // The median: another program may take the processor at any moment.
    took.sort_unstable();
    assert!(took[4] < Duration::from_millis(100), "{took:?}");
    let health = following.health();
    assert!(health.follows());
    assert_eq!((health.errors(), health.trouble()), (0, None));
}

#[test]
fn a_store_out_of_reach_is_told_of_once_and_what_is_known_stays() {
    let mut place = place(64);
    let key = place.add(1).remove(0);
    let follower = place.follower();
    let (following, told) = start(&place, follower);
    let away = place.path.with_extension("away");
    std::fs::rename(&place.path, &away).unwrap();
    let trouble = next(&told);
    assert!(trouble.contains("deleted or replaced"), "{trouble}");
    let health = Arc::clone(following.health());
    let begun = Instant::now();
    while health.errors() < 3 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    assert_eq!(health.trouble(), Some(trouble));
    assert!(health.follows());
    // Two waits between the first and the third failure.
    assert!(health.lag() >= Duration::from_millis(100));
    assert_eq!(place.reason(&key), Reason::Allowed);

    std::fs::rename(&away, &place.path).unwrap();
    assert_eq!(next(&told), "recovered");
    assert_eq!(health.trouble(), None);
    place.revoke(&key);
    assert_eq!(next(&told), "changed");
    assert_eq!(place.reason(&key), Reason::RevokedKey);
}

#[test]
fn a_store_taken_back_in_place_is_told_of_and_what_is_known_stays() {
    let mut place = place(64);
    let key = place.add(1).remove(0);
    let older = place.path.with_extension("older");
    let mut raw = Connection::open(&place.path).unwrap();
    raw.execute("VACUUM INTO ?1", [older.to_str().unwrap()])
        .unwrap();
    let newer = place.add(1).remove(0);
    place.revoke(&key);
    let follower = place.follower();
    let (following, told) = start(&place, follower);
    let older = Connection::open(&older).unwrap();
    Backup::new(&older, &mut raw)
        .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::from_millis(1), None))
        .unwrap();
    let trouble = next(&told);
    assert!(trouble.contains("taken back"), "{trouble}");
    assert_eq!(place.reason(&key), Reason::RevokedKey);
    assert_eq!(place.reason(&newer), Reason::Allowed);

    // As many changes as before make it no newer.
    let missed = place.add(1).remove(0);
    for _ in 0..3 {
        place.add(1);
        let answer = following.catch_up(PATIENCE);
        assert_eq!(answer, Err(CatchUpError::Trouble(trouble.clone())));
    }
    assert_eq!(following.health().trouble(), Some(trouble));
    assert_eq!(place.reason(&missed), Reason::UnknownKey);
    drop(following);

    // A new start takes what is there.
    let engine = Engine::builder(place.secret.clone()).build().unwrap();
    place.engine = Arc::new(engine);
    let _follower = place.follower();
    assert_eq!(place.reason(&key), Reason::Allowed);
    assert_eq!(place.reason(&missed), Reason::Allowed);
    assert_eq!(place.reason(&newer), Reason::UnknownKey);
}

#[test]
fn a_key_too_many_holds_no_revocation_back() {
    let mut place = place(1);
    let key = place.add(1).remove(0);
    let follower = place.follower();
    let (following, told) = start(&place, follower);
    let further = place.add(1).remove(0);
    let trouble = next(&told);
    assert!(trouble.contains("raise max_keys"), "{trouble}");
    place.revoke(&key);
    let begun = Instant::now();
    while place.reason(&key) != Reason::RevokedKey {
        assert!(begun.elapsed() < PATIENCE, "the revocation never came");
        std::thread::yield_now();
    }
    assert_eq!(place.reason(&further), Reason::UnknownKey);
    assert_eq!(following.health().trouble(), Some(trouble));
}

#[test]
fn sessions_are_there_again_when_a_clock_had_leapt_ahead() {
    const NOW: u64 = 1_790_000_000;
    const DAY: u64 = 86_400;
    let mut place = place(1);
    let clock = Clock::manual(NOW);
    let engine = Engine::builder(place.secret.clone()).clock(clock.clone());
    place.engine = Arc::new(engine.build().unwrap());
    let key = place.add(1).remove(0);
    // One for an hour, one for ever, and one for an hour that is ended meanwhile.
    let tokens = [Some(NOW + 3600), None, Some(NOW + 3600)].map(|expires_at| {
        let token = SessionToken::generate().unwrap();
        let session = session(&place.secret, &token, expires_at);
        let mut writer = place.store.write(&Actor::system(), NOW).unwrap();
        writer.add_session(&session).unwrap();
        writer.commit().unwrap();
        (token, session.id)
    });
    let (following, _told) = start(&place, place.follower());
    let held = || place.engine.stats(NOW).sessions;
    let wait = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
            std::thread::yield_now();
        }
    };
    assert_eq!(held(), 3);
    clock.set(NOW + DAY);
    wait("the clock's word is taken", &|| held() == 1);
    let mut writer = Store::open(&place.path, &place.secret).unwrap();
    let mut writer = writer.write(&Actor::system(), NOW).unwrap();
    writer.end_session(&tokens[2].1).unwrap();
    writer.commit().unwrap();
    following.catch_up(PATIENCE).unwrap();

    clock.set(NOW);
    wait("the clock is right again", &|| held() == 2);
    let reason = |token: &SessionToken| {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let request = Request::new(ip)
            .api_key(key.expose().as_bytes())
            .bearer(token.expose().as_bytes())
            .needs_user(true);
        place.engine.decide(&request).reason()
    };
    let reasons = [0, 1, 2].map(|at: usize| reason(&tokens[at].0));
    let expected = [Reason::Allowed, Reason::Allowed, Reason::BearerInvalid];
    assert_eq!(reasons, expected);
    // What has expired goes still, a minute later.
    clock.set(NOW + 3600 + 59);
    following.catch_up(PATIENCE).unwrap();
    clock.set(NOW + 3600 + 60);
    wait("the one of an hour is gone", &|| held() == 1);
}

/// What waits behind a change that cannot be taken over: a key's revocation, a
/// session's end, an exempt block, an admin token.
struct Behind {
    key: SecretKey,
    session: StoredSession,
    office: Cidr,
}

impl Behind {
    /// What is there before.
    fn begin(place: &mut Place) -> Self {
        let token = SessionToken::generate().unwrap();
        let session = session(&place.secret, &token, None);
        let mut writer = place.store.write(&Actor::system(), 1_790_000_000).unwrap();
        writer.add_session(&session).unwrap();
        writer.commit().unwrap();
        Self {
            key: place.add(1).remove(0),
            session,
            office: "203.0.113.0/24".parse().unwrap(),
        }
    }

    fn change(&self, place: &mut Place) {
        place.revoke(&self.key);
        let mut writer = place.store.write(&Actor::system(), 1_790_000_000).unwrap();
        writer.end_session(&self.session.id).unwrap();
        writer
            .add_exempt(self.office, &"office".parse().unwrap())
            .unwrap();
        writer.add_token(&admin_token(&place.secret)).unwrap();
        writer.commit().unwrap();
    }

    /// That all of it came, though there is trouble; says which.
    fn came(&self, place: &Place, following: &Following, told: &Receiver<String>) -> String {
        let trouble = next(told);
        assert_eq!(next(told), "tokens");
        assert_eq!(place.reason(&self.key), Reason::RevokedKey);
        let token = &self.session.token;
        assert!(!place.engine.end_session(token), "it had ended");
        assert_eq!(place.engine.exempt(), [self.office].into_iter().collect());
        assert_eq!(following.health().trouble().as_ref(), Some(&trouble));
        assert!(following.health().is_current());
        assert_eq!(
            following.catch_up(PATIENCE),
            Err(CatchUpError::AllBut(trouble.clone()))
        );
        trouble
    }
}

#[test]
fn a_batch_with_a_key_too_many_holds_nothing_behind_it_back() {
    let mut place = place(1);
    let behind = Behind::begin(&mut place);
    let follower = place.follower();

    let further = place.add(BATCH).remove(0);
    behind.change(&mut place);
    let (following, told) = start(&place, follower);
    let trouble = behind.came(&place, &following, &told);
    assert!(trouble.contains("raise max_keys"), "{trouble}");
    assert_eq!(place.reason(&further), Reason::UnknownKey);
}

#[test]
fn a_damaged_row_holds_nothing_behind_it_back() {
    let mut place = place(4);
    let kept = place.add(1).remove(0);
    let behind = Behind::begin(&mut place);
    let other = StoredSession {
        token: place.secret.digest_token(b"another"),
        id: SessionId::of(&SessionToken::generate().unwrap()),
        ..behind.session.clone()
    };
    let follower = place.follower();

    let mut writer = place.store.write(&Actor::system(), 1_790_000_000).unwrap();
    writer.add_session(&other).unwrap();
    writer.commit().unwrap();
    let further = place.add(2).remove(0);
    // As no writer writes them: one that is known, one that is new.
    let database = Connection::open(&place.path).unwrap();
    for (key, digest) in [(&kept, [1; 32]), (&further, [2; 32])] {
        let changed = database.execute(
            "UPDATE keys SET digest = ?1, rev = (SELECT rev FROM meta) WHERE id = ?2",
            (digest, key.id().to_string()),
        );
        assert_eq!(changed, Ok(1));
    }
    let changed = database.execute(
        "UPDATE sessions SET user = 'u2' WHERE id = ?1",
        [other.id.to_string()],
    );
    assert_eq!(changed, Ok(1));
    behind.change(&mut place);
    let (following, told) = start(&place, follower);
    let trouble = behind.came(&place, &following, &told);
    assert!(
        trouble.contains("a row of keys holds no good seal"),
        "{trouble}"
    );
    assert_eq!(place.reason(&further), Reason::UnknownKey);
    assert_eq!(place.reason(&kept), Reason::Allowed, "as it was known");
    assert!(!place.engine.end_session(&other.token), "it never came");
}

#[test]
fn a_store_with_more_keys_than_fit_is_not_loaded() {
    let mut place = place(1);
    place.add(2);
    let mut follower = Follower::open(&place.path, &place.secret).unwrap();
    let error = follower.load(&place.engine).unwrap_err();
    assert!(error.to_string().contains("raise max_keys"), "{error}");
}

#[test]
fn an_end_waits_for_no_pause() {
    let place = place(1);
    let quickest = (0..20)
        .map(|_| {
            let (following, _told) = start(&place, place.follower());
            let health = Arc::clone(following.health());
            let begun = Instant::now();
            following.stop();
            let took = begun.elapsed();
            assert!(!health.follows());
            took
        })
        .min();
    // Just begun, it would have waited 20 ms before its first look.
    assert!(quickest < Some(Duration::from_millis(15)), "{quickest:?}");
}

#[test]
fn an_end_in_a_panic_is_told_as_well() {
    let mut place = place(64);
    let (tell, told) = mpsc::channel();
    let follower = place.follower();
    let following = Following::start(follower, Arc::clone(&place.engine), move |event| {
        if matches!(event, FollowEvent::Failed) {
            tell.send(()).unwrap();
        } else {
            panic!("as a test");
        }
    })
    .unwrap();
    place.add(1);
    told.recv_timeout(PATIENCE).unwrap();
    assert!(!following.health().follows());
}

#[test]
fn what_was_committed_is_in_force_when_it_was_waited_for() {
    let mut place = place(64);
    let follower = place.follower();
    let (following, _told) = start(&place, follower);
    let keys = place.add(8);
    following.catch_up(PATIENCE).unwrap();
    for key in &keys {
        assert_eq!(place.reason(key), Reason::Allowed);
        place.revoke(key);
        following.catch_up(PATIENCE).unwrap();
        assert_eq!(place.reason(key), Reason::RevokedKey);
    }
    // Many may wait at once, and where nothing has changed.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| following.catch_up(PATIENCE).unwrap());
        }
    });
}

#[test]
fn nobody_waits_for_longer_than_is_said() {
    let mut place = place(64);
    let follower = place.follower();
    let (go_on, held) = mpsc::channel::<()>();
    let engine = Arc::clone(&place.engine);
    // Whoever is told of a change takes long over it.
    let following = Following::start(follower, engine, move |_| {
        let _ = held.recv();
    })
    .unwrap();
    place.add(1);
    let short = Duration::from_millis(1);
    assert_eq!(
        following.catch_up(short),
        Err(CatchUpError::TimedOut(short))
    );
    drop(go_on);
    following.catch_up(PATIENCE).unwrap();
}

#[test]
fn who_waits_is_told_why_it_is_in_vain() {
    let mut place = place(1);
    let follower = place.follower();
    let (following, told) = start(&place, follower);
    // One fits, and is in force by the same look.
    let keys = place.add(2);
    let left = following.catch_up(PATIENCE).unwrap_err();
    assert!(matches!(&left, CatchUpError::AllBut(text) if next(&told) == *text));
    assert!(left.to_string().starts_with("all is in force here but"));
    assert_eq!(place.reason(&keys[0]), Reason::Allowed);
    assert_eq!(place.reason(&keys[1]), Reason::UnknownKey);

    let aside = place.path.with_extension("aside");
    std::fs::rename(&place.path, &aside).unwrap();
    let trouble = following.catch_up(PATIENCE).unwrap_err();
    std::fs::rename(&aside, &place.path).unwrap();
    assert!(matches!(&trouble, CatchUpError::Trouble(text) if next(&told) == *text));
    assert!(
        trouble
            .to_string()
            .starts_with("the change is in the store")
    );

    // The thread ends by a panic of who is told, with somebody waiting for it.
    let follower = place.follower_unloaded();
    let engine = Arc::clone(&place.engine);
    let following = Following::start(follower, engine, |event| match event {
        FollowEvent::Failed => {}
        _ => panic!("as this test wants it"),
    });
    assert_eq!(
        following.unwrap().catch_up(PATIENCE),
        Err(CatchUpError::Ended)
    );
}

#[test]
fn new_admin_tokens_are_told_of_before_who_waits() {
    let mut place = place(64);
    let follower = place.follower();
    let (following, told) = start(&place, follower);
    let mut writer = place.store.write(&Actor::system(), 1_790_000_000).unwrap();
    writer.add_token(&admin_token(&place.secret)).unwrap();
    writer.commit().unwrap();
    following.catch_up(PATIENCE).unwrap();
    let words: Vec<String> = told.try_iter().collect();
    assert_eq!(words, ["changed", "tokens"]);
    place.add(1);
    following.catch_up(PATIENCE).unwrap();
    let words: Vec<String> = told.try_iter().collect();
    assert_eq!(words, ["changed"], "no token is another");
}
