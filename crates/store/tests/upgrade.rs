//! Stores of older versions are brought to ours once, and say the same.

use std::path::PathBuf;

use engine::{KeyState, ServerSecret};
use rusqlite::Connection;
use tokenkit_store::{Follower, KeyFilter, KeyQuery, SessionChange, Store, StoreError, StoredKey};

/// As tokenkit wrote it when its tables had version 2.
const VERSION_2: &str = include_str!("version_2.sql");
/// What makes of a store one of version 1, which had no seals.
const VERSION_1: &str = "ALTER TABLE keys DROP COLUMN seal; ALTER TABLE sessions DROP COLUMN seal; \
     PRAGMA user_version = 1";

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    secret: ServerSecret,
    raw: Connection,
}

fn place(changes: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(VERSION_2).unwrap();
    raw.execute_batch(changes).unwrap();
    Place {
        _folder: folder,
        path,
        secret: ServerSecret::from_bytes([7; 32]),
        raw,
    }
}

impl Place {
    fn open(&self) -> Store {
        Store::open(&self.path, &self.secret).unwrap()
    }

    fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let mut keys = Vec::new();
        self.open().each_key(&KeyFilter::default(), |key| {
            keys.push(key);
            Ok::<_, StoreError>(())
        })?;
        Ok(keys)
    }

    fn schema(&self) -> Vec<(String, String)> {
        let mut all = self
            .raw
            .prepare("SELECT name, COALESCE(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

#[test]
fn an_older_store_says_the_same() {
    let place = place("");
    let keys = place.keys().unwrap();
    let said: Vec<_> = keys
        .iter()
        .map(|key| {
            let policy = &key.record.policy;
            let project = policy.project.to_string();
            (key.label.as_str(), project, policy.state, key.revoked_at)
        })
        .collect();
    assert_eq!(
        said,
        [
            ("first key", "shop".into(), KeyState::Active, None),
            ("Zweiter Schlüssel", "app".into(), KeyState::Active, None),
            ("", "shop".into(), KeyState::Revoked, Some(1_795_701_096)),
        ]
    );
    assert!(keys.iter().all(|key| key.revoked_reason.is_none()));
    assert_eq!(keys[0].revision, 1);

    let mut sessions = 0;
    Follower::open(&place.path, &place.secret)
        .unwrap()
        .poll(|changes| {
            for (_, change) in changes.sessions {
                assert!(matches!(change, SessionChange::Put(_)));
                sessions += 1;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(sessions, 1);

    // What the lists need is there.
    let store = place.open();
    let projects = store.projects(None, 9).unwrap().projects;
    let projects: Vec<_> = projects
        .iter()
        .map(|project| (project.name.as_str(), project.created_at))
        .collect();
    assert_eq!(
        projects,
        [
            ("app", 1_795_701_095),
            ("shop", 1_795_701_095),
            ("web", 1_795_701_096)
        ]
    );
    let page = store.key_page(&KeyQuery {
        search: Some("SCHLÜSSEL"),
        limit: 9,
        ..KeyQuery::default()
    });
    assert_eq!(page.unwrap().keys.len(), 1);
    let fts = "INSERT INTO keys_search (keys_search) VALUES ('integrity-check')";
    place.raw.execute_batch(fts).unwrap();
}

#[test]
fn an_older_store_becomes_one_like_a_new_one() {
    let older = place("");
    older.open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    drop(Store::create(&path, &older.secret).unwrap());
    let new = Place {
        raw: Connection::open(&path).unwrap(),
        _folder: folder,
        path,
        secret: older.secret.clone(),
    };
    // SQLite keeps the text of a table as it was written.
    let plain = |schema: Vec<(String, String)>| -> Vec<(String, String)> {
        let plain = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        schema
            .into_iter()
            .map(|(name, sql)| (name, plain(sql)))
            .collect()
    };
    assert_eq!(plain(older.schema()), plain(new.schema()));
}

#[test]
fn of_several_at_once_one_does_it() {
    let place = place("");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (path, secret) = (place.path.clone(), place.secret.clone());
                scope.spawn(move || Store::open(&path, &secret).unwrap().keys().unwrap())
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 3);
        }
    });
    assert_eq!(place.keys().unwrap().len(), 3);
}

#[test]
fn it_is_done_under_its_own_secret_only() {
    let place = place("");
    let before = place.schema();
    let other = ServerSecret::from_bytes([8; 32]);
    assert!(matches!(
        Store::open(&place.path, &other),
        Err(StoreError::OtherSecret(_))
    ));
    assert_eq!(place.schema(), before);
}

#[test]
fn what_was_damaged_before_is_damaged_after() {
    for damage in [
        "UPDATE keys SET state = 0 WHERE state = 2",
        "UPDATE keys SET hourly_limit = NULL WHERE slot = 0",
    ] {
        let place = place(damage);
        let error = place.keys().unwrap_err();
        assert!(error.to_string().contains("seal"), "{error}");
    }
}

#[test]
fn what_is_not_sealed_makes_no_project() {
    let place = place(
        "UPDATE keys SET project = 'forged' WHERE slot = 0; UPDATE sessions SET project = 'forged'",
    );
    let projects = place.open().projects(None, 9).unwrap().projects;
    let names: Vec<_> = projects
        .iter()
        .map(|project| project.name.as_str())
        .collect();
    assert_eq!(names, ["app", "shop"]);
}

#[test]
fn rows_without_seals_are_not_sealed() {
    let old = place(VERSION_1);
    let relabelled = place("");
    drop(relabelled.open());
    relabelled.raw.execute_batch(VERSION_1).unwrap();
    for place in [old, relabelled] {
        let before = place.schema();
        let opened = [
            Store::open(&place.path, &place.secret).unwrap_err(),
            Store::create(&place.path, &place.secret).unwrap_err(),
        ];
        for error in opened {
            assert!(matches!(error, StoreError::Unsealed(_)), "{error}");
            assert!(error.to_string().contains("key export"), "{error}");
        }
        assert_eq!(place.schema(), before);
    }
}

#[test]
fn an_older_store_with_other_tables_stays_as_it_is() {
    let place = place("CREATE TRIGGER undo AFTER UPDATE ON keys BEGIN SELECT 1; END");
    let before = place.schema();
    let error = Store::open(&place.path, &place.secret).unwrap_err();
    assert!(matches!(error, StoreError::Altered { .. }), "{error}");
    assert_eq!(place.schema(), before);
    place.raw.execute_batch("DROP TRIGGER undo").unwrap();
    assert_eq!(place.keys().unwrap().len(), 3);
}
