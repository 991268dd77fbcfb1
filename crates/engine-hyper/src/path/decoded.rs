//! Percent codes, and which bytes of a path came out of one.

use super::Unreadable;

/// A path after some decoding, and which of its bytes came out of a code.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) encoded: Vec<bool>,
}

/// What becomes of a `%` that starts no code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    /// The path is not readable.
    MustBeWhole,
    /// It stands for itself: `100%25` is whole, and broken once decoded.
    MayBeBroken,
}

impl Decoded {
    pub(super) fn raw(path: &[u8]) -> Self {
        Self {
            bytes: path.to_vec(),
            encoded: vec![false; path.len()],
        }
    }

    pub(super) fn decode(&self, codes: Codes) -> Result<Self, Unreadable> {
        let mut decoded = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            encoded: Vec::with_capacity(self.bytes.len()),
        };
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let code = match self.bytes.get(at + 1..at + 3) {
                Some(&[high, low]) if byte == b'%' => hex(high).zip(hex(low)),
                _ => None,
            };
            match code {
                Some((high, low)) => {
                    let value = high << 4 | low;
                    let honest = match value {
                        b' ' => true,
                        0xC0 | 0xC1 | 0xF5.. => false,
                        value => !is_control(value),
                    };
                    if !honest {
                        return Err(Unreadable);
                    }
                    decoded.push(value, true);
                    at += 3;
                }
                None if byte == b'%' && codes == Codes::MustBeWhole => return Err(Unreadable),
                None => {
                    decoded.push(byte, self.encoded[at]);
                    at += 1;
                }
            }
        }
        Ok(decoded)
    }

    fn push(&mut self, byte: u8, encoded: bool) {
        self.bytes.push(byte);
        self.encoded.push(encoded);
    }
}

/// Whether a byte never stands in a path as sent: a control or a space.
pub(super) fn is_control(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7F
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
