//! What the fuzz targets share.

#![forbid(unsafe_code)]

pub mod script;
pub mod twins;

/// Has the system give this process small pages alone, for a target that sets up
/// an engine for each input: an engine asks for huge ones, and to clear two MiB
/// takes longer than most inputs do.
pub fn small_pages() {
    // A system that knows no other pages refuses.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Whether bytes hold others. Not by comparing at each place, which the sanitizer
/// and the fuzzer both look into.
pub fn holds(bytes: &[u8], others: &[u8]) -> bool {
    memchr::memmem::find(bytes, others).is_some()
}

/// Whether a text holds what could be a whole key, token or digest: as many
/// letters and digits as the shortest of them in a row.
pub fn shows_a_secret(text: &str) -> bool {
    const SHORTEST: usize = 43;
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|run| run.len() >= SHORTEST)
}

/// Writes the check of what stands before it behind it, so that a fuzzer gets
/// past a sum that it cannot guess: CRC-32 in six base62 digits.
pub fn with_check(mut key: Vec<u8>) -> Vec<u8> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut value = crc32fast::hash(&key) as usize;
    let mut check = [0; 6];
    for digit in check.iter_mut().rev() {
        *digit = DIGITS[value % 62];
        value /= 62;
    }
    key.extend(check);
    key
}
