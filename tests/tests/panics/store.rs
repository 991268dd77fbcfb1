//! Panics over the key store's types.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Engine, KeyId};
use rusqlite::Connection;
use store::{
    Actor, AuditQuery, Changes, Cursor, FollowError, Follower, Following, Idempotent, KeyQuery,
    Scope, SessionChange, SessionId, SessionQuery, Store, StoreError, UsageRow, read_secret_file,
};
use tests::canaries::Canaries;
use tests::panics::{over, over_two};

use crate::NOW;
use crate::tripped::{Secrets, Tripped};

/// The store's types into which no text and no secret goes, but numbers and
/// words of ours.
const NUMBERS_OF_STORE: [&str; 16] = [
    "Actor", // An id, or the name of a user of the machine.
    "AuditQuery",
    "CatchUpError",
    "Exempt",
    "Health",
    "KeyCounts",
    "KeyFilter",
    "Project",
    "ProjectPage",
    "SessionQuery",
    "SessionState",
    "StateFilter",
    "Usage",
    "UsagePage",
    "UsageQuery",
    "UsageRow",
];
/// What else of the store's shows none: the errors have no text, and a source
/// of usage no `Debug`.
const WORDLESS_OF_STORE: [&str; 4] = ["CursorError", "ScopeError", "SessionIdError", "UsageSource"];

#[test]
fn no_panic_over_the_stores_types_shows_a_secret() {
    let (secrets, other) = (Secrets::new(), Secrets::new());
    let mut tripped = Tripped::new(&secrets);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let mut store = Store::create(&path, &secrets.server).unwrap();
    let (key, session) = (secrets.stored_key(), secrets.stored_session());
    let token = secrets.stored_token();
    tripped.over("StoredKey", &key);
    tripped.over("StoredSession", &session);
    tripped.over("StoredToken", &token);
    tripped.over_two("SessionId", &session.id, &other.stored_session().id);
    tripped.over("Scope", &token.scope);
    tripped.over("Label", &key.label);

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_key(&key).unwrap();
    writer.add_session(&session).unwrap();
    writer.add_token(&token).unwrap();
    tripped.over("Writer", &writer);
    // What is there already, by its id and by its digest.
    tripped.over_error("StoreError", &writer.add_key(&key).unwrap_err());
    let mut twin = other.stored_key();
    twin.record.digest = key.record.digest;
    tripped.over_error("StoreError", &writer.add_key(&twin).unwrap_err());
    tripped.over_error("StoreError", &writer.add_session(&session).unwrap_err());
    tripped.over_error("StoreError", &writer.add_token(&token).unwrap_err());
    let stranger = other.stored_session();
    let ended = writer.end_session_of(&stranger.token);
    tripped.over_error("StoreError", &ended.unwrap_err());
    // Of a nonce a secret is made.
    let digest = secrets.key_digest();
    let (of_key, of_request) = (digest.as_bytes(), secrets.server.expose());
    let fresh = writer.idempotent(token.id, of_key, of_request).unwrap();
    let Idempotent::Fresh { nonce } = &fresh else {
        panic!("a new request: {fresh:?}");
    };
    let mut of_nonce = Canaries::of_short_pieces();
    of_nonce.add("the nonce", nonce);
    let replay = writer.idempotent(token.id, of_key, of_request).unwrap();
    for said in [over(&fresh), over(&replay), over_two(&fresh, &replay)] {
        assert_eq!(of_nonce.found_in_shown(&said), None, "{said}");
    }
    tripped.over_two("Idempotent", &fresh, &replay);
    writer.commit().unwrap();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for secrets in [&other, &Secrets::new()] {
        writer.add_key(&secrets.stored_key()).unwrap();
        writer.add_session(&secrets.stored_session()).unwrap();
    }
    writer.commit().unwrap();

    tripped.over("Store", &store);
    tripped.over("FileIdentity", &store.file());
    tripped.over("Staging", &store.stage().unwrap());
    let whole = secrets.key.expose();
    let search = KeyQuery {
        search: Some(whole),
        limit: 1,
        ..KeyQuery::default()
    };
    tripped.over("KeyQuery", &search);
    let all = KeyQuery {
        search: None,
        ..search
    };
    for page in [&search, &all].map(|query| store.key_page(query).unwrap()) {
        tripped.over("KeyPage", &page);
        page.keys
            .iter()
            .for_each(|key| tripped.over("ListedKey", key));
    }
    let sessions = SessionQuery {
        limit: 2,
        ..SessionQuery::default()
    };
    let page = store.session_page(&sessions).unwrap();
    let next = page.next.as_ref().expect("three sessions are two pages");
    tripped.over("SessionPage", &page);
    tripped.over("Cursor", next);
    let wrong = KeyQuery {
        after: Some(next),
        ..all
    };
    tripped.over_error("StoreError", &store.key_page(&wrong).unwrap_err());
    let audit = AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    };
    let audit = store.audit(&audit).unwrap();
    tripped.over("AuditPage", &audit);
    let entries = audit.entries.iter();
    entries.for_each(|entry| tripped.over("AuditEntry", entry));
    assert!(audit.entries.len() >= 3);

    let mut follower = Follower::open(&path, &secrets.server).unwrap();
    tripped.over("Follower", &follower);
    let mut brought = Vec::new();
    let polled = follower.poll(|changes: Changes| {
        brought.push(changes);
        Ok::<_, StoreError>(())
    });
    assert!(polled.unwrap());
    for changes in &brought {
        tripped.over("Changes", changes);
    }
    let put = brought.iter().flat_map(|changes| &changes.sessions);
    put.for_each(|(_, change)| tripped.over("SessionChange", change));
    tripped.over("SessionChange", &SessionChange::End);

    // An engine that has no room for a key.
    let engine = Engine::builder(secrets.server.clone()).max_keys(1);
    let engine = Arc::new(engine.build().unwrap());
    let mut follower = Follower::open(&path, &secrets.server).unwrap();
    let full: FollowError = follower.load(&engine).unwrap_err();
    tripped.over_error("FollowError", &full);
    tripped.over("FollowEvent", &store::FollowEvent::Trouble(&full));
    let follower = Follower::open(&path, &secrets.server).unwrap();
    let following = Following::start(follower, Arc::clone(&engine), |_| {}).unwrap();
    tripped.over("Following", &following);
    drop(following);

    tripped.over_error(
        "StoreError",
        &Store::open(&path, &other.server).unwrap_err(),
    );
    for text in secrets.texts() {
        tripped.over_error("SessionIdError", &text.parse::<SessionId>().unwrap_err());
        let cursor = format!("{text}!").parse::<Cursor>();
        tripped.over_error("CursorError", &cursor.unwrap_err());
        tripped.over_error("ScopeError", &text.parse::<Scope>().unwrap_err());
        // A file of something else than the secret, and one that others may read.
        for (name, mode) in [("a.secret", 0o600), ("b.secret", 0o644)] {
            let path = secret_file(&folder.path().join(name), &format!("{text}0"), mode);
            tripped.over_error("SecretFileError", &read_secret_file(&path).unwrap_err());
        }
    }
    // Rows that hold what no writer writes: a key in the place of something else.
    drop(store);
    let text = format!("{whole} {whole}");
    for column in ["prefix", "project", "origins", "ips", "name"] {
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        let was: Option<String> = connection
            .query_row(
                &format!("SELECT {column} FROM keys WHERE slot = 0"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        let set = format!("UPDATE keys SET {column} = ?1 WHERE slot = 0");
        assert_eq!(connection.execute(&set, [&text]).unwrap(), 1);
        let store = Store::open(&path, &secrets.server).unwrap();
        let damaged = store.key(key.record.id).unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged:?}");
        tripped.over_error("StoreError", &damaged);
        drop(store);
        assert_eq!(connection.execute(&set, [&was]).unwrap(), 1);
    }
    over_damaged_usage(&mut tripped, &path, key.record.id, &text);
    tripped.all_of(
        include_str!("../../../crates/store/src/lib.rs"),
        &[&NUMBERS_OF_STORE, &WORDLESS_OF_STORE, &["LabelError"]],
    );
}

/// What is said of a row of usage that holds a key in the place of a project.
fn over_damaged_usage(tripped: &mut Tripped<'_>, path: &Path, key: KeyId, text: &str) {
    let mut store = Store::open(path, &tripped.secrets.server).unwrap();
    let source = [1; 16];
    let used = |used| UsageRow { key, hour: 1, used };
    store.record_usage(&source, &[used(1)], NOW).unwrap();
    let connection = Connection::open(path).unwrap();
    let set = "UPDATE usage SET project = ?1";
    assert_eq!(connection.execute(set, [text]).unwrap(), 1);
    let recorded = store.record_usage(&source, &[used(2)], NOW).unwrap();
    assert_eq!(recorded.damaged.len(), 1, "{recorded:?}");
    tripped.over("RecordedUsage", &recorded);
}

/// A file with a mode.
fn secret_file(path: &Path, text: &str, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.into()
}
