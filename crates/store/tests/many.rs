//! A store of many keys is filled and loaded in reasonable time: 20,000 in a
//! debug build, a million in a release build, where the time is held to what
//! the design promises.

use std::time::Instant;

use engine::{KeyDigest, KeyPolicy, KeyRecord, ServerSecret};
use tokenkit_store::{Actor, BATCH, Follower, Store, StoreError, StoredKey};

const MANY: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    1_000_000
};
/// Generous, for a machine that does other things besides.
const LOAD_S: f64 = 3.0;

#[test]
fn many_keys_are_filled_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let secret = ServerSecret::from_bytes([7; 32]);
    let mut store = Store::create(&path, &secret).unwrap();
    let policy = KeyPolicy::new("p1".parse().unwrap());

    let started = Instant::now();
    let mut writer = store.write(&Actor::system(), 1_790_000_000).unwrap();
    for i in 0..MANY {
        let digest = secret.digest_key(&i.to_le_bytes());
        // Scattered, as minted ids are.
        let id = format!("{:010}", i * 2_654_435_761 % 9_999_999_967);
        let key = StoredKey {
            record: KeyRecord {
                id: id.parse().unwrap(),
                digest: KeyDigest::from_bytes(*digest.as_bytes()),
                policy: policy.clone(),
            },
            label: "".parse().unwrap(),
            prefix: "tk_live".parse().unwrap(),
            created_at: i,
            revoked_at: None,
            revoked_reason: None,
            replaces: None,
            revision: 0,
        };
        writer.add_key(&key).unwrap();
    }
    writer.commit().unwrap();
    let filled = started.elapsed();

    let mut follower = Follower::open(&path, &secret).unwrap();
    let started = Instant::now();
    let (mut loaded, mut largest) = (0, 0);
    follower
        .poll(|changes| {
            loaded += changes.keys.len() as u64;
            largest = largest.max(changes.keys.len());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let load = started.elapsed();
    let started = Instant::now();
    assert!(!follower.poll(|_| Ok::<_, StoreError>(())).unwrap());
    let poll = started.elapsed();
    eprintln!("{MANY} keys: filled in {filled:?}, loaded in {load:?}, an idle poll takes {poll:?}");
    assert_eq!(loaded, MANY);
    assert!(largest <= BATCH);
    if !cfg!(debug_assertions) {
        assert!(load.as_secs_f64() < LOAD_S, "{load:?}");
    }
}
