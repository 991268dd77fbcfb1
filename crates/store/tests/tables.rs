//! A store has the tables that tokenkit makes and nothing besides: what reads
//! and writes its rows is not for whoever can write to the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use engine::{Engine, KeyPolicy, KeyState, SecretKey, ServerSecret};
use rusqlite::Connection;
use tokenkit_store::{
    Actor, FollowEvent, Follower, Following, KeyFilter, Store, StoreError, StoredKey, UsageRow,
};

const NOW: u64 = 1_790_000_000;
/// What somebody does to the tables, and how to undo it.
const CHANGES: [(&str, &str, &str); 5] = [
    (
        "CREATE TRIGGER undo AFTER UPDATE OF state ON keys BEGIN
             UPDATE keys SET state = old.state, seal = old.seal WHERE slot = old.slot;
         END",
        "DROP TRIGGER undo",
        "undo",
    ),
    ("CREATE TABLE more (x)", "DROP TABLE more", "more"),
    ("CREATE VIEW more AS SELECT 1", "DROP VIEW more", "more"),
    (
        "CREATE INDEX more ON keys (name)",
        "DROP INDEX more",
        "more",
    ),
    (
        "DROP INDEX keys_replaces",
        "CREATE INDEX keys_replaces ON keys (replaces) WHERE replaces IS NOT NULL",
        "keys_replaces",
    ),
];

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    secret: ServerSecret,
    store: Store,
    raw: Connection,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let secret = ServerSecret::from_bytes([7; 32]);
    let store = Store::create(&path, &secret).unwrap();
    let raw = Connection::open(&path).unwrap();
    Place {
        _folder: folder,
        path,
        secret,
        store,
        raw,
    }
}

impl Place {
    fn add(&mut self) -> Result<(), StoreError> {
        self.add_as(KeyState::Active)
    }

    fn add_as(&mut self, state: KeyState) -> Result<(), StoreError> {
        let prefix = "tk_live".parse().unwrap();
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        policy.state = state;
        let key = SecretKey::generate(&prefix).unwrap();
        let stored = StoredKey::of(&key, &self.secret, prefix, policy, "".parse().unwrap(), NOW);
        let mut writer = self.store.write(&Actor::system(), NOW)?;
        writer.add_key(&stored)?;
        writer.commit()
    }

    /// Opens, reads, writes and follows: all of it, or what of it.
    fn uses(&mut self, follower: &mut Follower) -> Vec<Result<(), StoreError>> {
        let used = UsageRow {
            key: "0123456789".parse().unwrap(),
            hour: 1,
            used: 1,
        };
        vec![
            Store::open(&self.path, &self.secret).map(|_| ()),
            Follower::open(&self.path, &self.secret).map(|_| ()),
            follower.poll(|_| Ok::<_, StoreError>(())).map(|_| ()),
            self.add(),
            self.store.record_usage(&[1; 16], &[used], NOW).map(|_| ()),
            self.store
                .each_key(&KeyFilter::default(), |_| Ok::<_, StoreError>(())),
            self.store.tokens().map(|_| ()),
        ]
    }
}

#[test]
fn what_was_added_or_changed_is_refused_until_it_is_undone() {
    let mut place = place();
    let mut follower = Follower::open(&place.path, &place.secret).unwrap();
    for (change, undo, name) in CHANGES {
        for outcome in place.uses(&mut follower) {
            outcome.unwrap();
        }
        let number = |raw: &Connection| -> i64 {
            raw.query_row("PRAGMA schema_version", [], |row| row.get(0))
                .unwrap()
        };
        let before = number(&place.raw);
        place.raw.execute_batch(change).unwrap();
        for _ in 0..2 {
            for (at, outcome) in place.uses(&mut follower).into_iter().enumerate() {
                match outcome {
                    Err(StoreError::Altered { what, .. }) => {
                        assert!(what.contains(name), "{change}: {what}");
                    }
                    seen => panic!("{change}, use {at}: {seen:?}"),
                }
            }
            // Who changes the tables can set their number back as well.
            place
                .raw
                .pragma_update(None, "schema_version", before)
                .unwrap();
        }
        place.raw.execute_batch(undo).unwrap();
    }
    for outcome in place.uses(&mut follower) {
        outcome.unwrap();
    }
}

/// What such a view says to the seal is what was sealed, and to who asks now and
/// then something else.
#[test]
fn a_view_in_the_place_of_the_keys_is_not_taken() {
    let mut place = place();
    place.add_as(KeyState::Disabled).unwrap();
    place
        .raw
        .execute_batch(
            "ALTER TABLE keys RENAME TO kept;
             CREATE VIEW keys AS SELECT slot, id, digest, prefix, project, hourly_limit,
                 expires_at, iif(random() > 0, state, 0) AS state, require_origin, origins, ips,
                 name, created_at, revoked_at, rev, seal, revoked_reason, replaces FROM kept",
        )
        .unwrap();
    for _ in 0..200 {
        let looked = Store::open(&place.path, &place.secret).and_then(|store| {
            store.each_key(&KeyFilter::default(), |key| {
                assert_eq!(key.record.policy.state, KeyState::Disabled);
                Ok::<_, StoreError>(())
            })
        });
        assert!(matches!(looked, Err(StoreError::Altered { .. })));
    }
}

#[test]
fn a_change_under_a_following_is_told_and_what_is_known_stays() {
    let mut place = place();
    place.add().unwrap();
    let engine = Engine::builder(place.secret.clone()).build().unwrap();
    let engine = Arc::new(engine);
    let mut follower = Follower::open(&place.path, &place.secret).unwrap();
    follower.load(&engine).unwrap();
    let (tell, told) = mpsc::channel();
    let following = Following::start(follower, Arc::clone(&engine), move |event| {
        if let FollowEvent::Trouble(error) = event {
            let _ = tell.send(error.to_string());
        }
    })
    .unwrap();
    place
        .raw
        .execute_batch("CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END")
        .unwrap();
    let trouble = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(trouble.contains("undo"), "{trouble}");
    assert_eq!(following.health().trouble(), Some(trouble));
    assert_eq!(engine.stats(NOW).keys, 1);
    place.raw.execute_batch("DROP TRIGGER undo").unwrap();
    place.add().unwrap();
    following.catch_up(Duration::from_secs(60)).unwrap();
    assert_eq!(engine.stats(NOW).keys, 2);
}

#[test]
fn what_sqlite_makes_for_itself_is_no_change() {
    let mut place = place();
    place.add().unwrap();
    let copy = place.path.with_file_name("copy.db");
    place.raw.execute_batch("ANALYZE; VACUUM").unwrap();
    place
        .raw
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    place.add().unwrap();
    assert_eq!(
        Store::open(&copy, &place.secret).unwrap().keys().unwrap(),
        1
    );
}

/// The tables in which SQLite keeps what is searched are worded by SQLite: one
/// that words them otherwise would take every store for altered.
#[test]
fn sqlite_words_its_own_tables_as_ever() {
    let place = place();
    let mut all = place
        .raw
        .prepare("SELECT sql FROM sqlite_schema WHERE name LIKE 'keys_search_%' ORDER BY name")
        .unwrap();
    let rows = all.query_map([], |row| row.get(0)).unwrap();
    let found: Vec<String> = rows.map(Result::unwrap).collect();
    assert_eq!(
        found,
        [
            "CREATE TABLE 'keys_search_config'(k PRIMARY KEY, v) WITHOUT ROWID",
            "CREATE TABLE 'keys_search_data'(id INTEGER PRIMARY KEY, block BLOB)",
            "CREATE TABLE 'keys_search_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
        ]
    );
}
