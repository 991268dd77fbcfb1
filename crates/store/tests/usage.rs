//! What was used, as sources tell it and as it is billed.

use std::collections::BTreeMap;

use engine::{KeyDigest, KeyId, KeyPolicy, KeyRecord, ServerSecret};
use tokenkit_store::{
    Actor, Cursor, Follower, KeyQuery, Store, StoreError, StoredKey, Usage, UsageQuery, UsageRow,
    UsageSource,
};

const NOW: u64 = 1_790_000_000;
const HOUR: u32 = (NOW / 3600) as u32;
const ONE: UsageSource = [1; 16];
const TWO: UsageSource = [2; 16];

struct Place {
    folder: tempfile::TempDir,
    store: Store,
    secret: ServerSecret,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let secret = ServerSecret::from_bytes([7; 32]);
    let mut store = Store::create(&folder.path().join("tokenkit.db"), &secret).unwrap();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for number in 0..6 {
        let project = if number < 4 { "shop" } else { "app" };
        let stored = StoredKey {
            record: KeyRecord {
                id: id(number),
                digest: KeyDigest::from_bytes([number; 32]),
                policy: KeyPolicy::new(project.parse().unwrap()),
            },
            label: "".parse().unwrap(),
            prefix: "tk_live".parse().unwrap(),
            created_at: NOW,
            revoked_at: None,
            revoked_reason: None,
            replaces: None,
            revision: 0,
        };
        writer.add_key(&stored).unwrap();
    }
    writer.commit().unwrap();
    Place {
        folder,
        store,
        secret,
    }
}

fn id(number: u8) -> KeyId {
    format!("key000000{number}").parse().unwrap()
}

fn row(number: u8, hour: u32, used: u64) -> UsageRow {
    UsageRow {
        key: id(number),
        hour,
        used,
    }
}

impl Place {
    fn record(&mut self, source: UsageSource, rows: &[UsageRow]) -> usize {
        let recorded = self.store.record_usage(&source, rows, NOW).unwrap();
        assert!(recorded.damaged.is_empty(), "{recorded:?}");
        recorded.grown
    }

    fn all(&self, query: UsageQuery<'_>) -> Vec<Usage> {
        let mut after: Option<Cursor> = None;
        let mut all = Vec::new();
        loop {
            let query = UsageQuery {
                after: after.as_ref(),
                limit: 2,
                ..query
            };
            let page = self.store.usage(&query).unwrap();
            all.extend(page.rows);
            match page.next {
                None => return all,
                Some(next) => after = Some(next.as_str().parse().unwrap()),
            }
        }
    }
}

fn ever() -> UsageQuery<'static> {
    UsageQuery {
        to_hour: u32::MAX,
        limit: 10,
        ..UsageQuery::default()
    }
}

fn briefly(rows: &[Usage]) -> Vec<(String, u64)> {
    rows.iter().map(|row| (row.id(), row.used)).collect()
}

#[test]
fn what_is_told_twice_is_there_once() {
    let mut place = place();
    assert_eq!(place.record(ONE, &[row(0, HOUR, 5), row(1, HOUR, 0)]), 1);
    assert_eq!(place.record(ONE, &[row(0, HOUR, 5)]), 0);
    // An older telling of the same.
    assert_eq!(place.record(ONE, &[row(0, HOUR, 3)]), 0);
    assert_eq!(place.record(ONE, &[row(0, HOUR, 9)]), 1);
    // What another counted comes on top.
    assert_eq!(place.record(TWO, &[row(0, HOUR, 4)]), 1);
    let expected = [(format!("key0000000-{HOUR}"), 13)];
    assert_eq!(briefly(&place.all(ever())), expected);
}

#[test]
fn usage_comes_by_key_project_and_time() {
    let mut place = place();
    let rows: Vec<UsageRow> = (0..6)
        .flat_map(|key| (0..3).map(move |hour| row(key, HOUR + hour, 10 * u64::from(key) + 1)))
        .collect();
    place.record(ONE, &rows);
    place.record(TWO, &rows[..3]);
    assert_eq!(place.all(ever()).len(), 18);
    let one = UsageQuery {
        key: Some(id(0)),
        ..ever()
    };
    let units: Vec<u64> = place.all(one).iter().map(|row| row.used).collect();
    assert_eq!(units, [2, 2, 2]);
    let app = UsageQuery {
        project: Some("app".parse().unwrap()),
        from_hour: HOUR + 1,
        to_hour: HOUR + 2,
        ..ever()
    };
    let found = place.all(app);
    assert_eq!(
        briefly(&found),
        [
            (format!("key0000004-{}", HOUR + 1), 41),
            (format!("key0000005-{}", HOUR + 1), 51)
        ]
    );
    assert_eq!(found[0].project, app.project);
    assert_eq!(place.store.usage_by_hour(&app).unwrap(), [(HOUR + 1, 92)]);
    let top = UsageQuery { limit: 2, ..ever() };
    assert_eq!(
        place.store.usage_by_key(&top).unwrap(),
        [(id(5), 153), (id(4), 123)]
    );
    let none = UsageQuery {
        key: Some(id(0)),
        project: app.project,
        ..ever()
    };
    assert_eq!(place.all(none), []);
}

#[test]
fn a_row_belongs_to_one_project_for_ever() {
    let mut place = place();
    place.record(ONE, &[row(0, HOUR, 1)]);
    let mut writer = place.store.write(&Actor::system(), NOW).unwrap();
    writer
        .change_key(id(0), None, |key| {
            key.record.policy.project = "app".parse().unwrap();
        })
        .unwrap();
    writer.commit().unwrap();
    place.record(ONE, &[row(0, HOUR, 2)]);
    place.record(TWO, &[row(0, HOUR, 1), row(0, HOUR + 1, 1)]);
    // One that the store does not know is kept all the same.
    let stranger = UsageRow {
        key: "stranger00".parse().unwrap(),
        ..row(0, HOUR, 7)
    };
    place.record(ONE, &[stranger]);
    let projects: BTreeMap<String, Option<String>> = place
        .all(ever())
        .into_iter()
        .map(|row| (row.id(), row.project.map(|name| name.to_string())))
        .collect();
    assert_eq!(
        projects,
        BTreeMap::from([
            (format!("key0000000-{HOUR}"), Some("shop".into())),
            (format!("key0000000-{}", HOUR + 1), Some("app".into())),
            (format!("stranger00-{HOUR}"), None),
        ])
    );
}

#[test]
fn a_key_was_used_when_it_was_seen_to_be() {
    let mut place = place();
    assert_eq!(place.store.last_used(id(0)).unwrap(), None);
    let seen = |place: &mut Place, hour, used, at| {
        place
            .store
            .record_usage(&ONE, &[row(0, hour, used)], at)
            .unwrap();
        place.store.last_used(id(0)).unwrap().unwrap()
    };
    assert_eq!(seen(&mut place, HOUR, 1, NOW), NOW);
    assert_eq!(seen(&mut place, HOUR, 1, NOW + 9), NOW, "it did not grow");
    assert_eq!(seen(&mut place, HOUR, 2, NOW + 9), NOW + 9);
    // What is read out late was used in its hour.
    let end = (u64::from(HOUR) + 1) * 3600 - 1;
    assert_eq!(seen(&mut place, HOUR, 3, NOW + 90_000), end);
    assert_eq!(seen(&mut place, HOUR - 1, 3, NOW + 90_000), end);
    let page = place.store.key_page(&KeyQuery {
        limit: 9,
        ..KeyQuery::default()
    });
    let used: Vec<_> = page.unwrap().keys.iter().map(|key| key.last_used).collect();
    assert_eq!(used, [None, None, None, None, None, Some(end)]);
}

#[test]
fn an_hour_is_final_when_all_have_told_of_it() {
    let mut place = place();
    let end = (u64::from(HOUR) + 1) * 3600;
    let last = |place: &Place, now| place.store.usage_final_before(now).unwrap();
    assert_eq!(last(&place, NOW), None);
    place.store.usage_seen(&ONE, end + 9).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR), "one may still be late");
    place.store.usage_seen(&ONE, end + 10).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR + 1));
    place.store.usage_seen(&TWO, end - 1).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR));
    // Whose clock was ahead has not told of what came since.
    place.store.usage_seen(&TWO, end + 90_000).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR + 1));
    place.store.usage_seen(&TWO, end).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR));
    place.store.usage_seen(&TWO, end + 20).unwrap();
    assert_eq!(last(&place, end + 99), Some(HOUR + 1));
    // One that has ended waits for nobody.
    let mut other = self::place();
    other.store.usage_seen(&ONE, NOW).unwrap();
    other.store.usage_ended(&ONE).unwrap();
    other.store.usage_seen(&ONE, NOW).unwrap();
    assert_eq!(last(&other, end + 99), Some(HOUR + 1));
    other.store.usage_seen(&TWO, NOW).unwrap();
    assert_eq!(last(&other, end + 99), Some(HOUR));
    // A source that is gone holds nothing open; the last of all still does.
    place.store.usage_seen(&ONE, end + 90_000).unwrap();
    assert_eq!(last(&place, end + 90_000), Some(HOUR + 25));
    assert_eq!(last(&place, end + 900_000), Some(HOUR + 25));
}

#[test]
fn nobody_follows_usage_and_nobody_forges_it() {
    let mut place = place();
    let path = place.folder.path().join("tokenkit.db");
    let mut follower = Follower::open(&path, &place.secret).unwrap();
    follower.poll(|_| Ok::<_, StoreError>(())).unwrap();
    place.record(ONE, &[row(0, HOUR, 5), row(1, HOUR, 6)]);
    let changed = follower.poll(|changes| -> Result<(), StoreError> { panic!("{changes:?}") });
    assert!(!changed.unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("UPDATE usage SET used = 4 WHERE used = 5")
        .unwrap();
    // The forged row is not the one that fits.
    let one = UsageQuery { limit: 1, ..ever() };
    let damaged = |outcome: Result<(), StoreError>| matches!(outcome, Err(StoreError::Damaged { what, .. }) if what.contains("usage"));
    assert!(damaged(place.store.usage(&ever()).map(|_| ())));
    assert!(damaged(place.store.usage_by_hour(&ever()).map(|_| ())));
    assert!(damaged(place.store.usage_by_key(&one).map(|_| ())));
    // It stays as it is, and keeps no other from growing.
    let told = [row(0, HOUR, 9), row(1, HOUR, 7), row(2, HOUR, 1)];
    let recorded = place.store.record_usage(&ONE, &told, NOW).unwrap();
    assert_eq!(recorded.grown, 2);
    let [(left, why)] = &recorded.damaged[..] else {
        panic!("{recorded:?}");
    };
    assert_eq!(*left, told[0]);
    let which = format!("{}-{HOUR}", id(0));
    assert!(why.to_string().contains(&which), "{why}");
    let shown = place.store.usage(&ever()).unwrap_err().to_string();
    assert!(shown.contains(&which), "{shown}");
    let of_one = UsageQuery {
        key: Some(id(1)),
        ..ever()
    };
    assert_eq!(place.store.usage(&of_one).unwrap().rows[0].used, 7);
}
