//! Lists by pages: every page of every list holds what belongs there, once, and
//! in order. With a million keys, which is run by hand, no page takes long:
//!
//! `cargo test --release -p tokenkit-store --test pages -- --ignored --nocapture`

use std::time::{Duration, Instant};

use engine::{KeyId, KeyPolicy, KeyRecord, KeyState, ServerSecret};
use tokenkit_store::{Actor, Cursor, KeyQuery, StateFilter, Store, StoreError, StoredKey};

const NOW: u64 = 1_790_000_000;
/// More than are looked at one by one.
const MANY: u64 = 6_000;
const LIMIT: usize = 100;
/// What is promised of a page.
const PROMISED: Duration = Duration::from_millis(50);

/// A key: nearly all in one project, a few expired, few disabled, fewer revoked.
fn key(secret: &ServerSecret, number: u64) -> StoredKey {
    let mut random = fastrand::Rng::with_seed(number);
    let id: String = (0..10).map(|_| random.alphanumeric()).collect();
    let project = match number % 1000 {
        0 => "rare",
        1..100 => "some",
        _ => "most",
    };
    let mut policy = KeyPolicy::new(project.parse().unwrap());
    policy.state = match number % 500 {
        3 => KeyState::Revoked,
        4..8 => KeyState::Disabled,
        _ => KeyState::Active,
    };
    policy.expires_at = match number % 50 {
        0 => Some(NOW - number % 7000),
        1 => Some(NOW + 60),
        _ => None,
    };
    let label = match number % 10 {
        0 => String::new(),
        1 => format!("Zürich \"{number}\""),
        _ => format!("customer {} production {number}", number % 97),
    };
    StoredKey {
        record: KeyRecord {
            id: id.parse().unwrap(),
            digest: secret.digest_key(&number.to_le_bytes()),
            policy,
        },
        label: label.parse().unwrap(),
        prefix: "tk_live".parse().unwrap(),
        created_at: NOW,
        revoked_at: (number % 500 == 3).then_some(NOW),
        revoked_reason: None,
        replaces: None,
        revision: 0,
    }
}

fn filled(number: u64) -> (tempfile::TempDir, Store, ServerSecret) {
    let folder = tempfile::tempdir().unwrap();
    let secret = ServerSecret::from_bytes([7; 32]);
    let mut store = Store::create(&folder.path().join("tokenkit.db"), &secret).unwrap();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for number in 0..number {
        writer.add_key(&key(&secret, number)).unwrap();
    }
    writer.commit().unwrap();
    (folder, store, secret)
}

/// All lists, with many texts to search for.
fn lists() -> Vec<KeyQuery<'static>> {
    let projects = [None, Some("rare"), Some("some"), Some("most"), Some("none")];
    let states = [
        None,
        Some(StateFilter::Active),
        Some(StateFilter::Disabled),
        Some(StateFilter::Revoked),
        Some(StateFilter::Expired { now: NOW }),
    ];
    let searches = [
        None,
        Some("prod"),
        Some("PRODUCTION 11"),
        Some("zürich"),
        Some("\"1"),
        Some("h \"11"),
        Some("nowhere"),
        Some("a"),
        Some("a0"),
        Some("A0b"),
        Some("1"),
        Some(" customer 96 "),
    ];
    let mut lists = Vec::new();
    for project in projects {
        for state in states {
            for search in searches {
                lists.push(KeyQuery {
                    project: project.map(|name| name.parse().unwrap()),
                    state,
                    search,
                    after: None,
                    limit: LIMIT,
                });
            }
        }
    }
    lists
}

fn belongs(query: &KeyQuery<'_>, key: &StoredKey) -> bool {
    let policy = &key.record.policy;
    let state = match query.state {
        None => true,
        Some(StateFilter::Active) => policy.state == KeyState::Active,
        Some(StateFilter::Disabled) => policy.state == KeyState::Disabled,
        Some(StateFilter::Revoked) => policy.state == KeyState::Revoked,
        Some(StateFilter::Expired { now }) => {
            policy.state == KeyState::Active && policy.expires_at.is_some_and(|at| at <= now)
        }
    };
    let search = query.search.map(str::trim).is_none_or(|term| {
        let name = key.label.as_str().to_lowercase();
        name.contains(&term.to_lowercase()) || key.record.id.to_string().starts_with(term)
    });
    state
        && search
        && query
            .project
            .is_none_or(|project| project == policy.project)
}

/// How long this thread has worked: so that a page is held to what it takes, and
/// not to what else the machine does.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let worked = told.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(worked.unwrap_or(0))
}

/// All keys of a list, page by page, and the slowest page.
fn paged(store: &Store, query: &KeyQuery<'_>, most: usize) -> (Vec<KeyId>, Duration) {
    let mut after: Option<Cursor> = query.after.cloned();
    let mut all = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..most {
        let query = KeyQuery {
            after: after.as_ref(),
            ..*query
        };
        let begun = worked();
        let page = store.key_page(&query).unwrap();
        slowest = slowest.max(worked().saturating_sub(begun));
        assert!(page.keys.len() <= LIMIT);
        all.extend(page.keys.iter().map(|listed| listed.key.record.id));
        match page.next {
            None => break,
            // As it travels: as text.
            Some(next) => after = Some(next.as_str().parse().unwrap()),
        }
    }
    (all, slowest)
}

#[test]
fn every_page_holds_what_belongs_there() {
    let (_folder, store, secret) = filled(MANY);
    let keys: Vec<StoredKey> = (0..MANY).rev().map(|number| key(&secret, number)).collect();
    let mut found = 0;
    for query in lists() {
        let mut expected: Vec<&StoredKey> =
            keys.iter().filter(|key| belongs(&query, key)).collect();
        if matches!(query.state, Some(StateFilter::Expired { .. })) {
            expected.sort_by_key(|key| std::cmp::Reverse(key.record.policy.expires_at));
        }
        let expected: Vec<KeyId> = expected.iter().map(|key| key.record.id).collect();
        let (listed, _) = paged(&store, &query, usize::MAX);
        assert!(
            listed == expected,
            "{query:?}: {} and {}",
            listed.len(),
            expected.len()
        );
        found += listed.len();
    }
    assert!(found > 50_000, "{found}");
}

#[test]
fn a_page_says_when_there_is_no_more() {
    let (_folder, store, _) = filled(200);
    let mut query = KeyQuery {
        limit: 100,
        ..KeyQuery::default()
    };
    let first = store.key_page(&query).unwrap();
    query.after = first.next.as_ref();
    let second = store.key_page(&query).unwrap();
    assert_eq!((first.keys.len(), second.keys.len()), (100, 100));
    assert_eq!(second.next, None, "no page is empty without a reason");
    // Of another list.
    query.state = Some(StateFilter::Expired { now: NOW });
    assert!(matches!(
        store.key_page(&query),
        Err(StoreError::OtherCursor)
    ));
    // What no name holds is found in none.
    for search in ["\0\0\0", "a\nb", &"x".repeat(300)] {
        let query = KeyQuery {
            search: Some(search),
            limit: 9,
            ..KeyQuery::default()
        };
        assert!(store.key_page(&query).unwrap().keys.is_empty());
    }
}

#[test]
fn a_key_is_found_by_the_name_that_it_has_now() {
    let (_folder, mut store, secret) = filled(MANY);
    let id = key(&secret, 5).record.id;
    let finds = |store: &Store, search| {
        let query = KeyQuery {
            search: Some(search),
            limit: 9,
            ..KeyQuery::default()
        };
        let page = store.key_page(&query).unwrap();
        page.keys.iter().any(|listed| listed.key.record.id == id)
    };
    for name in ["nightly build", "", "morning build"] {
        let mut writer = store.write(&Actor::system(), NOW).unwrap();
        writer
            .change_key(id, None, |key| key.label = name.parse().unwrap())
            .unwrap();
        writer.commit().unwrap();
        for asked in ["nightly", "morning"] {
            assert_eq!(
                finds(&store, asked),
                name.contains(asked),
                "{asked} in {name:?}"
            );
        }
    }
}

#[test]
#[ignore = "a million keys take minutes to put in"]
fn no_page_of_a_million_takes_long() {
    let begun = Instant::now();
    let (_folder, store, _) = filled(1_000_000);
    eprintln!("filled in {:?}", begun.elapsed());
    let mut times: Vec<_> = lists()
        .into_iter()
        .map(|query| {
            let (found, slowest) = paged(&store, &query, 30);
            (slowest, found.len(), query)
        })
        .collect();
    // The last page of all.
    let last = KeyQuery {
        after: Some(&"k5".parse::<Cursor>().unwrap()),
        limit: LIMIT,
        ..KeyQuery::default()
    };
    let (found, slowest) = paged(&store, &last, 1);
    assert_eq!(found.len(), 5);
    eprintln!("the last page: {slowest:?}");
    let begun = Instant::now();
    let counts = store.key_counts(None).unwrap();
    eprintln!("counts: {counts:?} in {:?}", begun.elapsed());
    times.sort_by_key(|(slowest, ..)| std::cmp::Reverse(*slowest));
    for (slowest, found, query) in &times[..10] {
        eprintln!("{slowest:?} for {found} keys of {query:?}");
    }
    if !cfg!(debug_assertions) {
        assert!(times[0].0 < PROMISED, "{:?}", times[0]);
    }
}
