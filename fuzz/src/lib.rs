//! What the fuzz targets share.

#![forbid(unsafe_code)]

pub mod script;
pub mod twins;

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
