//! A store that is opened by a path of the folder that the process is in, which
//! it then leaves, as daemons do. A test of its own: the folder is the whole
//! process's.

use std::path::Path;

use engine::{Engine, ServerSecret};
use tokenkit_store::{Actor, Follower, Store, StoreError};

#[test]
fn a_process_may_go_to_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let secret = ServerSecret::from_bytes([7; 32]);
    std::env::set_current_dir(folder.path()).unwrap();
    let path = Path::new("tokenkit.db");
    let mut store = Store::create(path, &secret).unwrap();
    let mut follower = Follower::open(path, &secret).unwrap();
    let engine = Engine::builder(secret).max_keys(16).build().unwrap();
    std::env::set_current_dir("/").unwrap();

    let writer = store.write(&Actor::system(), 1_790_000_000).unwrap();
    writer.commit().unwrap();
    assert_eq!(store.keys().unwrap(), 0);
    follower.load(&engine).unwrap();

    // What is told of another file is still true.
    std::fs::remove_file(folder.path().join(path)).unwrap();
    assert!(matches!(store.keys(), Err(StoreError::Replaced(_))));
}
