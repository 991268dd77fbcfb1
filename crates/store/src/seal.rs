//! The seal of a row: keyed BLAKE3 over all that it says of a key or session.
//!
//! SQLite notices when its pages do not hang together, not when a value in one
//! of them has changed: one flipped bit makes a revoked key an active one. So
//! every row carries a seal, made when it is written and looked at whenever it
//! is read. Its key comes from the server secret, which lies outside the
//! database: who writes to the database without it makes no row that is taken.
//! That a row is gone, or is one of its own earlier ones, no seal tells.
//!
//! It is a function of SQL, so that every statement that writes a row can make
//! it of the row's own columns.

use engine::ServerSecret;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use zeroize::Zeroizing;

/// Bytes of a seal.
const SEAL_LEN: usize = 16;
/// More than a row without lists takes.
const USUAL_LEN: usize = 512;

/// The columns of a key that its seal covers, as arguments of the function.
/// `slot` and `rev` tell nothing of what a key may do.
macro_rules! key_seal {
    () => {
        "row_seal('key', id, digest, prefix, project, hourly_limit, expires_at, state, \
         require_origin, origins, ips, name, created_at, revoked_at, revoked_reason, replaces)"
    };
}
pub(crate) use key_seal;

/// The same in tables of version 2.
macro_rules! key_seal_of_2 {
    () => {
        "row_seal('key', id, digest, prefix, project, hourly_limit, expires_at, state, \
         require_origin, origins, ips, name, created_at, revoked_at)"
    };
}
pub(crate) use key_seal_of_2;

/// The same of a session.
macro_rules! session_seal {
    () => {
        "row_seal('session', digest, id, project, user, expires_at, created_at, ended)"
    };
}
pub(crate) use session_seal;

/// Gives a connection the function `row_seal(kind, column, …)`.
pub(crate) fn install(connection: &Connection, secret: &ServerSecret) -> rusqlite::Result<()> {
    let key = Zeroizing::new(blake3::derive_key(
        "tokenkit 2026-11-25 seal of a stored row v1",
        secret.expose(),
    ));
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("row_seal", -1, flags, move |columns| {
        Ok(seal(&key, columns))
    })
}

/// Each value by its kind, its length and its bytes, so that no two rows say
/// the same.
fn seal(key: &[u8; 32], columns: &Context<'_>) -> [u8; SEAL_LEN] {
    let mut text = Vec::with_capacity(USUAL_LEN);
    for index in 0..columns.len() {
        let (kind, bytes): (u8, &[u8]) = match columns.get_raw(index) {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                text.push(1);
                text.extend(number.to_le_bytes());
                continue;
            }
            // No column is one.
            ValueRef::Real(number) => {
                text.push(2);
                text.extend(number.to_le_bytes());
                continue;
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        text.push(kind);
        text.extend((bytes.len() as u64).to_le_bytes());
        text.extend(bytes);
    }
    let hash = blake3::keyed_hash(key, &text);
    let mut seal = [0; SEAL_LEN];
    seal.copy_from_slice(&hash.as_bytes()[..SEAL_LEN]);
    seal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(secret: u8, columns: &str) -> Vec<u8> {
        let connection = Connection::open_in_memory().unwrap();
        install(&connection, &ServerSecret::from_bytes([secret; 32])).unwrap();
        let query = format!("SELECT row_seal({columns})");
        connection.query_row(&query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn rows_that_differ_have_seals_that_differ() {
        let rows = [
            "'key', 'ab', 'c'",
            "'key', 'a', 'bc'",
            "'key', 'abc'",
            "'key', 'abc', NULL",
            "'key', x'616263'",
            "'session', 'abc'",
            "'key', 0",
            "'key', 1",
            "'key', ''",
        ];
        let seals: std::collections::BTreeSet<_> =
            rows.iter().map(|columns| sealed(1, columns)).collect();
        assert_eq!(seals.len(), rows.len());
        assert!(seals.iter().all(|seal| seal.len() == SEAL_LEN));
        assert_eq!(sealed(1, rows[0]), sealed(1, rows[0]));
        assert_ne!(sealed(1, rows[0]), sealed(2, rows[0]), "by the secret");
    }
}
