//! The store as its users see it: one file, several connections.

use std::path::{Path, PathBuf};

use engine::{
    CidrList, KeyId, KeyPolicy, KeyState, Limit, OriginList, Prefix, SecretKey, ServerSecret,
    SessionRecord, SessionToken,
};
use tokenkit_store::{
    Actor, Changes, Follower, KeyFilter, KeyQuery, SessionChange, SessionId, Store, StoreError,
    StoredKey, StoredSession, UsageRow,
};

const NOW: u64 = 1_790_000_000;

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    secret: ServerSecret,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    Place {
        _folder: folder,
        path,
        secret: ServerSecret::from_bytes([7; 32]),
    }
}

impl Place {
    fn create(&self) -> Store {
        Store::create(&self.path, &self.secret).unwrap()
    }

    fn follower(&self) -> Follower {
        Follower::open(&self.path, &self.secret).unwrap()
    }

    fn key(&self) -> StoredKey {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let secret = SecretKey::generate(&prefix).unwrap();
        StoredKey::of(
            &secret,
            &self.secret,
            prefix,
            KeyPolicy::new("p1".parse().unwrap()),
            "a key".parse().unwrap(),
            NOW,
        )
    }

    fn session(&self) -> StoredSession {
        let token = SessionToken::generate().unwrap();
        StoredSession {
            token: self.secret.digest_token(token.expose().as_bytes()),
            id: SessionId::of(&token),
            session: SessionRecord {
                project: "p1".parse().unwrap(),
                user: "u1".parse().unwrap(),
                expires_at: Some(NOW + 60),
            },
            created_at: NOW,
            ended: false,
        }
    }
}

fn add(store: &mut Store, key: &StoredKey) {
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_key(key).unwrap();
    writer.commit().unwrap();
}

fn poll(follower: &mut Follower) -> Changes {
    let mut all = Changes::default();
    follower
        .poll(|mut changes| {
            all.keys.append(&mut changes.keys);
            all.sessions.append(&mut changes.sessions);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    all
}

fn ids(changes: &Changes) -> Vec<KeyId> {
    changes.keys.iter().map(|key| key.id).collect()
}

fn refused(path: &Path, secret: &ServerSecret) -> StoreError {
    Store::open(path, secret).unwrap_err()
}

#[test]
fn a_key_comes_back_as_it_went_in() {
    let place = place();
    let mut store = place.create();
    let plain = place.key();
    let mut full = place.key();
    full.record.policy.hourly_limit = Some(Limit::MAX);
    full.record.policy.expires_at = Some(u64::MAX);
    full.record.policy.state = KeyState::Disabled;
    full.record.policy.require_origin = true;
    full.record.policy.origins =
        OriginList::parse(["https://*.example.com", "null", "http://localhost:3000"]).unwrap();
    full.record.policy.ips = CidrList::parse(["192.0.2.0/24", "2001:db8::/32"]).unwrap();
    add(&mut store, &plain);
    add(&mut store, &full);
    // A time past what a column holds is kept as one that never comes either.
    full.record.policy.expires_at = Some(i64::MAX as u64);
    drop(store);
    let store = Store::open(&place.path, &place.secret).unwrap();
    for key in [&plain, &full] {
        let found = store.key(key.record.id).unwrap();
        assert_eq!(found.record.digest, key.record.digest);
        assert_eq!(found.record.policy, key.record.policy);
        assert_eq!((found.label, found.prefix), (key.label.clone(), key.prefix));
        assert_eq!((found.created_at, found.revoked_at), (NOW, None));
    }
    let followed = poll(&mut place.follower());
    assert_eq!(ids(&followed), [plain.record.id, full.record.id]);
    assert_eq!(followed.keys[1].policy, full.record.policy);
    assert_eq!(followed.keys[1].digest, full.record.digest);
}

#[test]
fn a_follower_gets_everything_once_then_each_change_once() {
    let place = place();
    let mut store = place.create();
    let (first, second) = (place.key(), place.key());
    add(&mut store, &first);
    let mut follower = place.follower();
    assert_eq!(ids(&poll(&mut follower)), [first.record.id]);
    assert_eq!(ids(&poll(&mut follower)), []);

    add(&mut store, &second);
    let mut writer = store.write(&Actor::system(), NOW + 5).unwrap();
    let changed = writer
        .change_key(first.record.id, None, |key| {
            key.record.policy.state = KeyState::Revoked;
        })
        .unwrap();
    assert_eq!(changed.revoked_at, Some(NOW + 5));
    assert_eq!(
        ids(&poll(&mut follower)),
        [second.record.id],
        "nothing is seen before its commit"
    );
    writer.commit().unwrap();
    let changes = poll(&mut follower);
    assert_eq!(ids(&changes), [first.record.id]);
    assert_eq!(changes.keys[0].policy.state, KeyState::Revoked);
    assert_eq!(ids(&poll(&mut follower)), []);
}

#[test]
fn sessions_come_and_end() {
    let place = place();
    let mut store = place.create();
    let mut follower = place.follower();
    let (one, two) = (place.session(), place.session());
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_session(&one).unwrap();
    writer.add_session(&two).unwrap();
    assert!(matches!(
        writer.add_session(&one),
        Err(StoreError::SessionExists(_))
    ));
    writer.commit().unwrap();
    let changes = poll(&mut follower);
    assert_eq!(changes.sessions.len(), 2);
    assert!(
        changes
            .sessions
            .iter()
            .all(|(_, change)| matches!(change, SessionChange::Put(_)))
    );

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.end_session(&one.id).unwrap();
    writer.commit().unwrap();
    let changes = poll(&mut follower);
    assert!(matches!(changes.sessions[..], [(token, SessionChange::End)] if token == one.token));

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.end_session_of(&two.token).unwrap();
    let unknown = place.session();
    assert!(matches!(
        writer.end_session(&unknown.id),
        Err(StoreError::NoSession)
    ));
    assert!(matches!(
        writer.end_session_of(&unknown.token),
        Err(StoreError::NoSession)
    ));
    assert_eq!(writer.forget_sessions(NOW + 60).unwrap(), 0);
    assert_eq!(writer.forget_sessions(NOW + 61).unwrap(), 2);
    writer.commit().unwrap();
    store
        .each_session(|session| -> Result<(), StoreError> { panic!("{session:?} is left") })
        .unwrap();
}

#[cfg(unix)]
#[test]
fn a_store_that_is_moved_deleted_or_replaced_is_noticed() {
    let place = place();
    let mut store = place.create();
    let mut follower = place.follower();
    add(&mut store, &place.key());
    let replaced = |follower: &mut Follower| {
        matches!(
            follower.poll(|changes| -> Result<(), StoreError> { panic!("{changes:?}") }),
            Err(StoreError::Replaced(_))
        )
    };
    let aside = place.path.with_file_name("aside");
    std::fs::rename(&place.path, &aside).unwrap();
    assert!(replaced(&mut follower));
    std::fs::copy(&aside, &place.path).unwrap();
    assert!(replaced(&mut follower), "a copy is another file");
    std::fs::rename(&aside, &place.path).unwrap();
    assert_eq!(poll(&mut follower).keys.len(), 1, "it is back");
    std::fs::remove_file(&place.path).unwrap();
    assert!(replaced(&mut follower));
}

#[cfg(unix)]
#[test]
fn a_store_that_is_moved_deleted_or_replaced_is_neither_written_nor_shown() {
    const SOURCE: [u8; 16] = [1; 16];
    fn is_replaced<T>(outcome: Result<T, StoreError>) -> bool {
        matches!(outcome, Err(StoreError::Replaced(_)))
    }
    let place = place();
    let mut store = place.create();
    let key = place.key();
    add(&mut store, &key);
    let id = key.record.id;
    let row = UsageRow {
        key: id,
        hour: 1,
        used: 1,
    };
    let refuses = |store: &mut Store, what: &str| {
        assert!(is_replaced(store.write(&Actor::system(), NOW)), "{what}");
        let recorded = store.record_usage(&SOURCE, &[row], NOW);
        assert!(is_replaced(recorded), "{what}");
        assert!(is_replaced(store.usage_seen(&SOURCE, NOW)), "{what}");
        assert!(is_replaced(store.usage_ended(&SOURCE)), "{what}");
        assert!(is_replaced(store.forget_requests(NOW)), "{what}");
        assert!(is_replaced(store.key(id)), "{what}");
        assert!(is_replaced(store.key_page(&KeyQuery::default())), "{what}");
        assert!(is_replaced(store.usage_final_before(NOW)), "{what}");
    };
    let aside = place.path.with_file_name("aside");
    std::fs::rename(&place.path, &aside).unwrap();
    refuses(&mut store, "it was moved");
    std::fs::copy(&aside, &place.path).unwrap();
    refuses(&mut store, "another is there");
    std::fs::rename(&aside, &place.path).unwrap();
    add(&mut store, &place.key());
    assert_eq!(store.keys().unwrap(), 2, "it is back");

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_key(&place.key()).unwrap();
    std::fs::remove_file(&place.path).unwrap();
    assert!(is_replaced(writer.commit()), "within the change");
    refuses(&mut store, "it was deleted");
}

/// How many entries the audit log has, and at which change the store is.
fn noted(place: &Place) -> (i64, i64) {
    let raw = rusqlite::Connection::open(&place.path).unwrap();
    let query = "SELECT (SELECT count(*) FROM audit), (SELECT rev FROM meta)";
    raw.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

#[test]
fn where_nothing_changes_nothing_is_noted() {
    let place = place();
    let mut store = place.create();
    let mut follower = place.follower();
    let session = place.session();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_session(&session).unwrap();
    writer.end_session(&session.id).unwrap();
    writer.commit().unwrap();
    assert_eq!(poll(&mut follower).sessions.len(), 1);
    let before = noted(&place);

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.end_session(&session.id).unwrap();
    writer.end_session_of(&session.token).unwrap();
    let SessionRecord { project, user, .. } = session.session;
    assert_eq!(writer.end_sessions_of(&project, &user).unwrap(), 0);
    writer.commit().unwrap();
    assert_eq!(noted(&place), before, "ended twice");

    let patience = std::time::Duration::from_secs(60);
    let staged = store.stage().unwrap();
    let writer = staged.change(&Actor::system(), NOW, patience, || {}, |_, _| {});
    writer.unwrap().commit().unwrap();
    assert_eq!(noted(&place), before, "no key imported");
    assert!(poll(&mut follower).sessions.is_empty());
}

#[test]
fn an_end_is_an_end_where_a_damaged_row_says_that_it_came_before() {
    let place = place();
    let mut store = place.create();
    let mut follower = place.follower();
    let sessions = [(); 3].map(|()| place.session());
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for session in &sessions {
        writer.add_session(session).unwrap();
    }
    writer.commit().unwrap();
    assert_eq!(poll(&mut follower).sessions.len(), 3);
    let raw = rusqlite::Connection::open(&place.path).unwrap();
    raw.execute("UPDATE sessions SET ended = 1", []).unwrap();
    let [one, two, three] = &sessions;
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.end_session(&one.id).unwrap();
    writer.end_session_of(&two.token).unwrap();
    let SessionRecord { project, user, .. } = three.session;
    assert_eq!(writer.end_sessions_of(&project, &user).unwrap(), 1);
    writer.commit().unwrap();
    assert_eq!(poll(&mut follower).sessions.len(), 3);
}

#[test]
fn a_failed_delivery_is_repeated() {
    let place = place();
    let mut store = place.create();
    let key = place.key();
    add(&mut store, &key);
    let mut follower = place.follower();
    let failed = follower.poll(|_| Err(StoreError::NoSession));
    assert!(matches!(failed, Err(StoreError::NoSession)));
    assert_eq!(ids(&poll(&mut follower)), [key.record.id]);
}

#[test]
fn a_change_is_whole_or_never_was() {
    let place = place();
    let mut store = place.create();
    let (one, two) = (place.key(), place.key());
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    assert!(writer.is_first());
    writer.add_key(&one).unwrap();
    drop(writer);
    assert!(matches!(
        store.key(one.record.id),
        Err(StoreError::NoKey(_))
    ));

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    assert!(writer.is_first(), "what was dropped never was");
    writer.add_key(&one).unwrap();
    assert!(matches!(writer.add_key(&one), Err(StoreError::KeyExists(id)) if id == one.record.id));
    let mut twin = two.clone();
    twin.record.digest = one.record.digest;
    assert!(
        matches!(writer.add_key(&twin), Err(StoreError::DigestExists(id)) if id == two.record.id)
    );
    writer.add_key(&two).unwrap();
    writer.commit().unwrap();
    assert!(!store.write(&Actor::system(), NOW).unwrap().is_first());
    assert_eq!(
        ids(&poll(&mut place.follower())),
        [one.record.id, two.record.id]
    );
}

#[test]
fn revoked_is_for_ever_and_a_change_touches_no_identity() {
    let place = place();
    let mut store = place.create();
    let (key, other) = (place.key(), place.key());
    add(&mut store, &key);
    let id = key.record.id;
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    let changed = writer
        .change_key(id, None, |key| {
            let state = key.record.policy.state;
            *key = other.clone();
            key.record.policy.state = state;
            key.record.policy.hourly_limit = Some(Limit::try_from(0).unwrap());
        })
        .unwrap();
    assert_eq!(
        (changed.record.id, changed.record.digest),
        (id, key.record.digest)
    );
    let revoke = |key: &mut StoredKey| key.record.policy.state = KeyState::Revoked;
    writer.commit().unwrap();
    for now in [NOW + 1, NOW + 9] {
        let mut writer = store.write(&Actor::system(), now).unwrap();
        writer.change_key(id, None, revoke).unwrap();
        writer.commit().unwrap();
    }
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for state in [KeyState::Active, KeyState::Disabled] {
        let error = writer
            .change_key(id, None, |key| key.record.policy.state = state)
            .unwrap_err();
        assert!(matches!(error, StoreError::Revoked(found) if found == id));
    }
    assert!(matches!(
        writer.change_key(other.record.id, None, |_| ()),
        Err(StoreError::NoKey(found)) if found == other.record.id
    ));
    writer.commit().unwrap();
    let found = store.key(id).unwrap();
    assert_eq!(found.record.policy.state, KeyState::Revoked);
    assert_eq!(found.record.policy.hourly_limit.map(Limit::units), Some(0));
    assert_eq!(found.revoked_at, Some(NOW + 1), "the first time counts");
}

#[test]
fn keys_are_filtered_and_keep_their_order() {
    let place = place();
    let mut store = place.create();
    let keys: Vec<StoredKey> = (0..6)
        .map(|i| {
            let mut key = place.key();
            key.record.policy.project = if i % 2 == 0 { "even" } else { "odd" }.parse().unwrap();
            if i == 2 {
                key.record.policy.state = KeyState::Disabled;
            }
            key
        })
        .collect();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    keys.iter().for_each(|key| writer.add_key(key).unwrap());
    writer.commit().unwrap();
    let listed = |project: Option<&str>, state| {
        let filter = KeyFilter {
            project: project.map(|name| name.parse().unwrap()),
            state,
        };
        let mut found = Vec::new();
        store
            .each_key(&filter, |key| {
                found.push(
                    keys.iter()
                        .position(|k| k.record.id == key.record.id)
                        .unwrap(),
                );
                Ok::<_, StoreError>(())
            })
            .unwrap();
        found
    };
    assert_eq!(listed(None, None), [0, 1, 2, 3, 4, 5]);
    assert_eq!(listed(Some("even"), None), [0, 2, 4]);
    assert_eq!(listed(Some("even"), Some(KeyState::Active)), [0, 4]);
    assert_eq!(listed(None, Some(KeyState::Disabled)), [2]);
    assert!(listed(Some("none"), None).is_empty());
}

#[test]
fn every_wrong_file_has_its_own_error() {
    let place = place();
    let secret = &place.secret;
    assert!(matches!(
        refused(&place.path, secret),
        StoreError::Missing(_)
    ));
    assert!(!place.path.exists(), "looking makes nothing");
    std::fs::write(&place.path, "").unwrap();
    assert!(matches!(
        refused(&place.path, secret),
        StoreError::Missing(_)
    ));

    drop(place.create());
    let other = ServerSecret::from_bytes([8; 32]);
    assert!(matches!(
        refused(&place.path, &other),
        StoreError::OtherSecret(_)
    ));
    assert!(matches!(
        Store::create(&place.path, &other),
        Err(StoreError::OtherSecret(_))
    ));
    assert!(matches!(
        refused(place.path.parent().unwrap(), secret),
        StoreError::Io { .. }
    ));

    let raw = rusqlite::Connection::open(&place.path).unwrap();
    raw.pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(
        refused(&place.path, secret),
        StoreError::Newer {
            found: 9,
            known: 3,
            ..
        }
    ));
    raw.pragma_update(None, "application_id", 5).unwrap();
    assert!(matches!(
        refused(&place.path, secret),
        StoreError::Foreign {
            application_id: 5,
            ..
        }
    ));
    drop(raw);

    let text = place.path.with_file_name("text");
    std::fs::write(&text, "# A configuration, not a database.\n".repeat(100)).unwrap();
    for error in [
        refused(&text, secret),
        Store::create(&text, secret).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NotADatabase(_)), "{error}");
    }
    let foreign = place.path.with_file_name("foreign");
    rusqlite::Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    for error in [
        refused(&foreign, secret),
        Store::create(&foreign, secret).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                StoreError::Foreign {
                    application_id: 0,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn damage_is_noticed_and_named() {
    let place = place();
    let mut store = place.create();
    let key = place.key();
    add(&mut store, &key);
    drop(store);
    let raw = rusqlite::Connection::open(&place.path).unwrap();
    for (column, bad) in [
        ("id", "'short'"),
        ("digest", "x'00'"),
        ("project", "''"),
        ("hourly_limit", "-1"),
        ("expires_at", "-1"),
        ("state", "3"),
        ("require_origin", "2"),
        ("origins", "'[\"nonsense\"]'"),
        ("origins", "'{'"),
        ("ips", "'[\"1.2.3.4/8\"]'"),
    ] {
        let sql = format!("BEGIN; UPDATE keys SET {column} = {bad}, rev = rev + 1; COMMIT");
        raw.execute_batch(&sql).unwrap();
        let error = place
            .follower()
            .poll(|_| Ok::<_, StoreError>(()))
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { what, .. } if what.contains(column)),
            "{column}: {error}"
        );
        let policy = &key.record.policy;
        raw.execute(
            "UPDATE keys SET id = ?1, digest = ?2, project = ?3, hourly_limit = NULL, expires_at = NULL, \
             state = 0, require_origin = 0, origins = NULL, ips = NULL",
            (key.record.id.to_string(), key.record.digest.as_bytes(), policy.project.as_str()),
        )
        .unwrap();
        poll(&mut place.follower());
    }
    drop(raw);
    // Overwrite everything behind the first page.
    let mut bytes = std::fs::read(&place.path).unwrap();
    bytes[4096..].fill(0xA5);
    std::fs::write(&place.path, bytes).unwrap();
    assert!(matches!(
        refused(&place.path, &place.secret),
        StoreError::Damaged { .. }
    ));
}

#[test]
fn a_second_writer_waits_then_says_so() {
    let place = place();
    let mut store = place.create();
    let mut other = place.create();
    let writer = store.write(&Actor::system(), NOW).unwrap();
    assert!(matches!(
        other.write(&Actor::system(), NOW).map(|_| ()),
        Err(StoreError::Locked(_))
    ));
    // Readers are not held up.
    assert_eq!(ids(&poll(&mut place.follower())), []);
    drop(writer);
    other
        .write(&Actor::system(), NOW)
        .unwrap()
        .commit()
        .unwrap();
}

#[test]
fn a_writer_is_waited_for_as_long_as_is_said() {
    use std::sync::mpsc;
    use std::time::Duration;
    let place = place();
    let mut store = place.create();
    let mut other = place.create();
    let writer = store.write(&Actor::system(), NOW).unwrap();
    let (noticed, notice) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            // Longer than SQLite can wait.
            other
                .write_within(&Actor::system(), NOW, Duration::MAX, || {
                    noticed.send(()).unwrap();
                })
                .map(|_| ())
        });
        // It waits, says so, and comes to its turn.
        notice.recv().unwrap();
        drop(writer);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(notice.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    let mut other = place.create();
    let never = || panic!("nobody is waited for");
    drop(
        other
            .write_within(&Actor::system(), NOW, Duration::from_secs(60), never)
            .unwrap(),
    );
}

#[test]
fn others_write_while_keys_are_staged() {
    let place = place();
    let mut store = place.create();
    let mut other = place.create();
    let here = place.key();
    add(&mut other, &here);
    let (one, two, three) = (place.key(), place.key(), place.key());
    let mut staging = store.stage().unwrap();
    staging.add(10, &one).unwrap();
    staging.add(20, &here).unwrap();
    staging.add(30, &two).unwrap();
    // One that is there twice, and one that another brings meanwhile.
    staging.add(40, &one).unwrap();
    let mut twin = place.key();
    twin.record.digest = two.record.digest;
    staging.add(50, &twin).unwrap();
    staging.add(60, &three).unwrap();
    let mut late = place.key();
    late.record.digest = three.record.digest;
    add(&mut other, &late);

    let mut follower = place.follower();
    assert_eq!(poll(&mut follower).keys.len(), 2);
    let mut refused = Vec::new();
    let patience = std::time::Duration::from_secs(60);
    let writer = staging
        .change(
            &Actor::system(),
            NOW,
            patience,
            || {},
            |mark, why| refused.push((mark, why)),
        )
        .unwrap();
    let [(20, a), (40, b), (50, c), (60, d)] = &refused[..] else {
        panic!("{refused:?}");
    };
    for (why, key) in [(a, &here), (b, &one)] {
        assert!(matches!(why, StoreError::KeyExists(id) if *id == key.record.id));
    }
    for (why, key) in [(c, &twin), (d, &three)] {
        assert!(matches!(why, StoreError::DigestExists(id) if *id == key.record.id));
    }
    assert_eq!(writer.keys(), 4);
    assert_eq!(ids(&poll(&mut follower)), [], "nothing before its commit");
    writer.commit().unwrap();
    assert_eq!(ids(&poll(&mut follower)), [one.record.id, two.record.id]);
    assert_eq!(store.keys().unwrap(), 4);
    let found = store.key(one.record.id).unwrap();
    assert_eq!(found.record.policy, one.record.policy);
    assert_eq!((found.label, found.prefix), (one.label, one.prefix));

    // What was staged and dropped never was, and the next starts anew.
    let last = place.key();
    store.stage().unwrap().add(1, &last).unwrap();
    store.stage().unwrap().add(1, &last).unwrap();
    let writer = store
        .stage()
        .unwrap()
        .change(&Actor::system(), NOW, patience, || {}, |_, _| {});
    assert_eq!(writer.unwrap().keys(), 4);
    add(&mut store, &last);
    assert_eq!(store.keys().unwrap(), 5, "slots stay dense");
}

#[test]
fn many_that_start_at_once_make_one_store() {
    const THREADS: usize = 8;
    // The moments at which one sees half of what another does are short.
    for _ in 0..20 {
        let place = place();
        let start = std::sync::Barrier::new(THREADS);
        let open = || {
            start.wait();
            let mut store = place.create();
            let mut writer = store.write(&Actor::system(), NOW).unwrap();
            let first = writer.is_first();
            writer.add_key(&place.key()).unwrap();
            writer.commit().unwrap();
            usize::from(first)
        };
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(open)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(firsts, 1);
        assert_eq!(poll(&mut place.follower()).keys.len(), THREADS);
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let _store = place.create();
    for suffix in ["", "-wal", "-shm"] {
        let path = place.path.with_file_name(format!("tokenkit.db{suffix}"));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn no_error_and_no_debug_shows_a_digest() {
    let place = place();
    let mut key = place.key();
    key.record.digest = engine::KeyDigest::from_bytes(*b"0123456789abcdef0123456789ABCDEF");
    let mut store = place.create();
    add(&mut store, &key);
    let error = store
        .write(&Actor::system(), NOW)
        .unwrap()
        .add_key(&key)
        .unwrap_err();
    let shown = format!("{error} {error:?} {key:?} {store:?}");
    assert!(
        !shown.contains("0123456789abcdef") && !shown.contains("48, 49, 50"),
        "{shown}"
    );
}
