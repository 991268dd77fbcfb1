//! Secrets that are looked for in everything that comes out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use engine::ServerSecret;

/// Bytes that are looked for: so many in a row of a secret, in any form, are
/// too many.
const PIECE: usize = 12;
/// The same in texts of a few lines, where nothing comes out so by chance. In
/// files of megabytes, as in [`PIECE`], it would.
const SHORT_PIECE: usize = 8;
/// The same of numbers in decimal, of which each byte takes up to five.
const NUMBERS: usize = 40;

/// Secrets, each in the forms in which it could come out.
pub struct Canaries {
    pieces: HashMap<Vec<u8>, String>,
    piece: usize,
}

impl Default for Canaries {
    /// For whole files and logs.
    fn default() -> Self {
        Self::of_pieces(PIECE)
    }
}

impl Canaries {
    /// For short texts, such as one message, of which less is too much.
    #[must_use]
    pub fn of_short_pieces() -> Self {
        Self::of_pieces(SHORT_PIECE)
    }

    fn of_pieces(piece: usize) -> Self {
        Self {
            pieces: HashMap::new(),
            piece,
        }
    }

    /// Looks for the secret part of a key, and for the key's digest.
    pub fn key(&mut self, name: &str, key: &str, secret: Option<&ServerSecret>) {
        let hidden = &key[key.len() - 38..];
        self.add(name, hidden.as_bytes());
        if let Some(secret) = secret {
            let digest = secret.digest_key(key.as_bytes());
            self.add(&format!("the digest of {name}"), digest.as_bytes());
        }
    }

    /// Looks for the secret part of a session token, and for its digest. The
    /// first ten characters are the session's id.
    pub fn token(&mut self, name: &str, token: &str, secret: Option<&ServerSecret>) {
        self.add(name, &token.as_bytes()[10..]);
        if let Some(secret) = secret {
            let digest = secret.digest_token(token.as_bytes());
            self.add(&format!("the digest of {name}"), digest.as_bytes());
        }
    }

    /// Looks for bytes: as they are, in hexadecimal, in base64, as numbers, and
    /// backwards.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = format!("{bytes:?}");
        let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
        let mut forms = vec![
            ("plain", bytes.to_vec()),
            ("hex", lower.to_uppercase().into_bytes()),
            ("hex", lower.into_bytes()),
            ("numbers", numbers.into_bytes()),
            ("backwards", backwards),
        ];
        // Base64 depends on where in a group of three a byte stands.
        for before in 0..3 {
            let text = base64(&[&vec![0; before], bytes].concat());
            let inner = text[4..text.len() - 4].to_owned();
            forms.push(("base64", inner.replace('+', "-").replace('/', "_").into()));
            forms.push(("base64", inner.into()));
        }
        for (form, text) in forms {
            let len = if form == "numbers" {
                NUMBERS
            } else {
                self.piece
            };
            for piece in text.windows(len) {
                self.pieces.insert(piece.into(), format!("{name} ({form})"));
            }
        }
    }

    /// What of them is in some bytes.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        [self.piece, NUMBERS]
            .into_iter()
            .flat_map(|len| bytes.windows(len))
            .find_map(|piece| self.pieces.get(piece))
            .map(String::as_str)
    }

    /// Fails if any of them is in some bytes.
    pub fn absent(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.found_in(bytes) {
            let shown = String::from_utf8_lossy(bytes);
            let line = shown
                .lines()
                .find(|line| self.found_in(line.as_bytes()).is_some());
            panic!("{found} in {place}: {}", line.unwrap_or_default());
        }
    }

    /// What of them is in a text of `Debug`, whose alternate form gives each
    /// number a line.
    #[must_use]
    pub fn found_in_shown(&self, text: &str) -> Option<&str> {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.found_in(text.as_bytes())
            .or_else(|| self.found_in(flat.as_bytes()))
    }

    /// Fails if any of them is in a file of a folder or those below. How many
    /// there are.
    pub fn absent_below(&self, folder: &Path, but: &[&str]) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                files += self.absent_below(&path, but);
            } else if !but.contains(&&*name) {
                files += 1;
                self.absent(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
        files
    }
}

/// As RFC 4648 has it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for digit in 0..=group.len() {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[value as usize]));
        }
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn every_form_is_found() {
    let bytes: Vec<u8> = (100..140).collect();
    let mut canaries = Canaries::default();
    canaries.add("it", &bytes);
    assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
    let shown = |prefix: &str| base64(&[prefix.as_bytes(), &bytes].concat());
    for text in [
        format!("{:02x?}", bytes[20]).into_bytes(),
        b"nothing".to_vec(),
    ] {
        assert_eq!(canaries.found_in(&text), None);
    }
    let hex: String = bytes[3..20]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let all: [(Vec<u8>, &str); 7] = [
        ([b"..", &bytes[5..17]].concat(), "it (plain)"),
        (hex.to_uppercase().into(), "it (hex)"),
        (hex.into(), "it (hex)"),
        (format!("{:?}", &bytes[7..]).into(), "it (numbers)"),
        (shown("").into(), "it (base64)"),
        (shown("x").into(), "it (base64)"),
        (shown("xy").into(), "it (base64)"),
    ];
    for (text, found) in all {
        assert_eq!(canaries.found_in(&text), Some(found));
    }
}
