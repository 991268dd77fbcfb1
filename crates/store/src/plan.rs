//! How SQLite goes about a query: for the tests that hold lists to their indexes.

use engine::ServerSecret;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::store::Store;

/// A new store.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let secret = ServerSecret::from_bytes([7; 32]);
    let store = Store::create(&path, &secret).unwrap();
    (folder, store)
}

/// Goes through no table or index from end to end and sorts nothing, or says
/// what it does.
pub(crate) fn assert_bounded(connection: &Connection, text: &str, values: Vec<Value>) {
    let plan = plan(connection, text, values);
    let is_bounded = plan.iter().all(|step| {
        let is_search = !step.contains("SCAN") || step.contains("VIRTUAL TABLE INDEX 192:M1<");
        is_search && !step.contains("TEMP B-TREE")
    });
    assert!(is_bounded, "{text}: {plan:#?}");
}

/// The steps of a query.
pub(crate) fn plan(connection: &Connection, text: &str, values: Vec<Value>) -> Vec<String> {
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {text}"))
        .unwrap();
    let steps = explain.query_map(params_from_iter(values), |row| row.get(3));
    steps.unwrap().collect::<Result<_, _>>().unwrap()
}
