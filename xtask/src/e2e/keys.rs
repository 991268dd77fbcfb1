//! The keys of all subjects, each in the form that the subject reads.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sha2::{Digest, Sha256};

use crate::shell::Failure;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Units an hour that no run uses up.
const AMPLE: u64 = 1_000_000_000;
/// The second from which keys are refused: in the year 2100.
const LATE: u64 = 4_102_444_800;
const PROJECT: &str = "shop";

/// Keys in files.
pub(super) struct Keys {
    /// What `tokenkit key import` reads.
    pub(super) csv: PathBuf,
    /// HAProxy's map.
    pub(super) map: PathBuf,
    /// What nginx.lua reads.
    pub(super) lines: PathBuf,
    /// The keys alone, for the load.
    pub(super) plain: PathBuf,
    /// One of them.
    pub(super) good: String,
    /// One that was good until 1970.
    pub(super) expired: String,
    /// One with a single unit an hour for each subject that has it.
    pub(super) single: Vec<String>,
    /// One that nobody has.
    pub(super) unknown: String,
}

impl Keys {
    /// Draws `count` keys, and `single` more of one unit an hour, into a folder.
    pub(super) fn draw(folder: &Path, count: usize, single: usize) -> Result<Self, Failure> {
        let mut rng = Rng::with_seed(count as u64);
        let mut texts = Texts::default();
        let mut plain = String::new();
        let mut good = String::new();
        for _ in 0..count {
            good = key(&mut rng);
            texts.add(&good, AMPLE, LATE);
            plain.push_str(&good);
            plain.push('\n');
        }
        let expired = key(&mut rng);
        texts.add(&expired, AMPLE, 1);
        let single: Vec<String> = (0..single).map(|_| key(&mut rng)).collect();
        for key in &single {
            texts.add(key, 1, LATE);
        }
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map(|()| path)
        };
        let write = || -> io::Result<Self> {
            fs::create_dir_all(folder)?;
            let csv = format!("key,project,hourly_limit,expires_at\n{}", texts.csv);
            Ok(Self {
                csv: file("keys.csv", &csv)?,
                map: file("keys.map", &texts.map)?,
                lines: file("keys.lines", &texts.lines)?,
                plain: file("keys.plain", &plain)?,
                good,
                expired,
                single,
                unknown: key(&mut rng),
            })
        };
        write().map_err(|error| {
            Failure::found(format!(
                "cannot write keys into {}: {error}",
                folder.display()
            ))
        })
    }
}

/// The three forms in which keys are handed out, under way. Writing to a
/// string cannot fail.
#[derive(Default)]
struct Texts {
    csv: String,
    map: String,
    lines: String,
}

impl Texts {
    fn add(&mut self, key: &str, limit: u64, expiry: u64) {
        let id = &key[8..18];
        let _ = writeln!(self.csv, "{key},{PROJECT},{limit},{expiry}");
        let _ = writeln!(self.lines, "{key},{id},{PROJECT},{limit},{expiry}");
        for byte in Sha256::digest(key) {
            let _ = write!(self.map, "{byte:02X}");
        }
        let _ = writeln!(self.map, " {id}:{PROJECT}:{limit}:{expiry}");
    }
}

/// Draws a key: `tk_live_`, ten characters of id, 32 of secret, and the check.
fn key(rng: &mut Rng) -> String {
    let mut key = String::from("tk_live_");
    for _ in 0..10 + 32 {
        key.push(DIGITS[rng.usize(..62)].into());
    }
    let check = check(&key);
    key.extend(check.map(char::from));
    key
}

/// The CRC-32 of what stands before it, in six base62 digits.
fn check(covered: &str) -> [u8; 6] {
    let mut value = crc32fast::hash(covered.as_bytes()) as usize;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[value % 62];
        value /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_every_key() {
        let folder = std::env::temp_dir().join(format!("xtask-keys-{}", std::process::id()));
        let keys = Keys::draw(&folder, 3, 2).unwrap();
        let count = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
        assert_eq!(count(&keys.csv), 1 + 3 + 1 + 2);
        assert_eq!((count(&keys.map), count(&keys.lines)), (6, 6));
        assert_eq!(count(&keys.plain), 3);
        let map = fs::read_to_string(&keys.map).unwrap();
        assert!(map.lines().all(|line| line.find(' ') == Some(64)), "{map}");
        assert!(!map.contains(&keys.good) && !map.contains(&keys.unknown));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_check_is_that_of_the_project() {
        // One that README shows.
        let known = "tk_live_0LOEvO2oVV5Amn7Q4Al1wdhhHzmCwUEIDqYNcmUBlQ3Tpci6";
        let (covered, sent) = known.split_at(50);
        assert_eq!(check(covered), sent.as_bytes());
        assert_eq!(key(&mut Rng::with_seed(1)).len(), known.len());
    }
}
