//! Every column of every sealed row is under its seal: changed to another good
//! value by somebody without the server secret, the row is damage.
//!
//! Tables and columns come from the schema, so those that are added later are
//! looked at as well.

use std::path::Path;

use engine::{
    CidrList, KeyId, KeyPolicy, KeyRecord, Limit, OriginList, SecretKey, ServerSecret,
    SessionRecord, SessionToken,
};
use rusqlite::Connection;
use serde_json::json;
use tokenkit_store::{
    Actor, AuditQuery, KeyFilter, Scope, SessionId, SessionQuery, Store, StoreError, StoredKey,
    StoredSession, StoredToken, UsageQuery, UsageRow,
};

const NOW: u64 = 1_790_000_000;
/// What a seal leaves out: itself, and by which change the row was written last
/// and where its key is counted, which say nothing of what anybody may do.
const UNSEALED: [&str; 3] = ["seal", "rev", "slot"];
/// By these a row is found: another one is another request's.
const NAMES: [(&str, &str); 2] = [("idempotency", "token"), ("idempotency", "key")];
/// A request that came with an idempotency key: that, and its digest.
const REQUEST: ([u8; 32], [u8; 32]) = ([1; 32], [2; 32]);

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([7; 32])
}

/// A store with a row of each kind, in which no column is empty; the admin
/// token in it.
fn fill(path: &Path) -> KeyId {
    let mut store = Store::create(path, &secret()).unwrap();
    let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    let admin = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
    let token = SessionToken::generate().unwrap();
    let mut policy = KeyPolicy::new("shop".parse().unwrap());
    policy.hourly_limit = Some(Limit::try_from(5).unwrap());
    policy.expires_at = Some(NOW + 100);
    policy.origins = OriginList::parse(["https://app.example"]).unwrap();
    policy.ips = CidrList::parse(["10.0.0.0/8"]).unwrap();
    let mut writer = store.write(&Actor::cli("ann"), NOW).unwrap();
    let shop = "shop".parse().unwrap();
    writer.add_project(shop, &"Shop".parse().unwrap()).unwrap();
    writer
        .add_key(&StoredKey {
            record: KeyRecord {
                id: key.id(),
                digest: secret().digest_key(key.expose().as_bytes()),
                policy,
            },
            label: "a key".parse().unwrap(),
            prefix: key.prefix(),
            created_at: NOW,
            revoked_at: Some(NOW + 50),
            revoked_reason: Some("lost".parse().unwrap()),
            replaces: Some(admin.id()),
            revision: 0,
        })
        .unwrap();
    writer
        .add_session(&StoredSession {
            token: secret().digest_token(token.expose().as_bytes()),
            id: SessionId::of(&token),
            session: SessionRecord {
                project: shop,
                user: "u1".parse().unwrap(),
                expires_at: Some(NOW + 100),
            },
            created_at: NOW,
            ended: false,
        })
        .unwrap();
    writer
        .add_token(&StoredToken {
            id: admin.id(),
            digest: secret().digest_key(admin.expose().as_bytes()),
            name: "ann".parse().unwrap(),
            scope: Scope::Read,
            created_at: NOW,
            expires_at: Some(NOW + 60),
            revoked_at: None,
        })
        .unwrap();
    writer.revoke_token(admin.id()).unwrap();
    // One that is in force, and one that is not any more.
    for (addresses, stays) in [("10.0.0.0/8", true), ("10.1.0.0/16", false)] {
        let addresses = addresses.parse().unwrap();
        writer
            .add_exempt(addresses, &"office".parse().unwrap())
            .unwrap();
        if !stays {
            writer.remove_exempt(&addresses).unwrap();
        }
    }
    let (sent, body) = REQUEST;
    writer.idempotent(admin.id(), &sent, &body).unwrap();
    let outcome = json!({ "id": 7 });
    writer.set_outcome(admin.id(), &sent, &outcome).unwrap();
    writer.commit().unwrap();
    let used = UsageRow {
        key: key.id(),
        hour: (NOW / 3600) as u32,
        used: 3,
    };
    store.record_usage(&[1; 16], &[used], NOW).unwrap();
    admin.id()
}

/// Reads every row of every table.
fn read(path: &Path, token: KeyId) -> Result<(), StoreError> {
    let mut store = Store::open(path, &secret())?;
    store.each_key(&KeyFilter::default(), |_| Ok::<_, StoreError>(()))?;
    store.session_page(&SessionQuery {
        limit: 9,
        ..SessionQuery::default()
    })?;
    store.projects(None, 9)?;
    store.tokens()?;
    store.exempt()?;
    store.audit(&AuditQuery {
        limit: 99,
        ..AuditQuery::default()
    })?;
    store.usage(&UsageQuery {
        to_hour: u32::MAX,
        limit: 9,
        ..UsageQuery::default()
    })?;
    let (sent, body) = REQUEST;
    let mut writer = store.write(&Actor::system(), NOW)?;
    writer.idempotent(token, &sent, &body)?;
    Ok(())
}

/// The sealed columns of all tables, each with its type.
fn columns(path: &Path) -> Vec<(String, String, String)> {
    let store = Connection::open(path).unwrap();
    let mut columns = store
        .prepare(
            "SELECT t.name, c.name, c.type FROM pragma_table_list AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table' AND EXISTS \
             (SELECT 1 FROM pragma_table_info(t.name) AS other WHERE other.name = 'seal')",
        )
        .unwrap();
    let all = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let mut all: Vec<(String, String, String)> = all.unwrap().map(Result::unwrap).collect();
    all.retain(|(table, column, _)| {
        !UNSEALED.contains(&&**column) && !NAMES.contains(&(&**table, &**column))
    });
    all
}

/// Another value of a column, as good as its own.
fn other(column: &str, kind: &str) -> String {
    match (kind, column) {
        ("INTEGER", _) => {
            format!("CASE WHEN {column} IN (0, 1) THEN 1 - {column} ELSE {column} + 1000 END")
        }
        ("BLOB", _) => format!("zeroblob(length({column}))"),
        // JSON, and addresses.
        (_, "details" | "outcome") => format!("{column} || ' '"),
        (_, "origins") => format!("replace({column}, 'app', 'api')"),
        (_, "ips" | "addresses") => format!("replace({column}, '10.', '90.')"),
        // An id is drawn, and may begin with any letter.
        _ => format!("iif(substr({column}, 1, 1) = 'z', 'y', 'z') || substr({column}, 2)"),
    }
}

#[test]
fn no_column_of_a_sealed_row_changes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let token = fill(&path);
    read(&path, token).unwrap();
    let columns = columns(&path);
    for (table, column, kind) in &columns {
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        let raw = Connection::open(&copy).unwrap();
        let value = other(column, kind);
        let changed = raw
            .execute(&format!("UPDATE {table} SET {column} = {value}"), [])
            .unwrap();
        assert!(changed > 0, "{table} is empty");
        drop(raw);
        match read(&copy, token) {
            Err(StoreError::Damaged { what, .. }) => {
                assert!(what.contains("seal"), "{table}.{column}: {what}");
            }
            seen => panic!("{table}.{column}: {seen:?}"),
        }
    }
    assert!(columns.len() > 50, "{}", columns.len());
}
