//! Keys that are the same in every run and every process, so that a seed says
//! all of a run.

use engine::SecretKey;

use crate::oracle_forms::{base62, crc32};

/// Key number `number` under a prefix, whose id is that number.
///
/// # Panics
///
/// Where the prefix is none, or the number has more than ten digits.
#[must_use]
pub fn key(prefix: &str, number: u64) -> SecretKey {
    let head = format!("{prefix}_{number:010}{}", "s".repeat(32));
    with_check(&head).parse().expect("a key of the right form")
}

/// A key's head with its check behind it.
#[must_use]
pub fn with_check(head: &str) -> String {
    format!("{head}{}", base62(crc32(head.as_bytes())))
}
