//! Every way in which a service behind may read a path.
//!
//! Proxies and frameworks differ in what they decode, collapse and resolve. A
//! rule that is matched against one reading is bypassed by a path that another
//! party reads otherwise: `/v1/%61dmin`, `/v1//admin`, `/x/..;/v1/admin`. So a
//! path that is not plain is read in each of these ways and in each mixture of
//! them, and the caller takes the strictest outcome:
//!
//! - percent-decoded never, once or twice; an encoded `/`, `\`, `.`, `;`, `?`
//!   or `#` then acting as such or standing for itself
//! - `\` as `/`, or as itself
//! - `;` and what follows in its segment dropped, or kept
//! - `?` and `#` as the end of the path, or as themselves
//! - empty segments kept, or dropped before or after the resolving
//! - `.` and `..` resolved, never above the root, or kept
//! - the first segment after a leading `//` as an authority, or as a segment
//!
//! What no honest client sends (a control character, a broken percent code,
//! a byte that UTF-8 never has, as overlong forms need them) is not readable,
//! nor is a path whose readings would take too long: see [`MAX_WORK`].

/// Bytes that the readings of one path may take together: each costs its
/// length. Bounds the time of a hostile path to a fraction of a millisecond
/// where the rules are few, and leaves an honest one of 16 KiB, full of percent
/// codes, its exact outcome.
const MAX_WORK: usize = 64 * 1024;

/// A path that cannot be read with certainty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Whether every service reads a path alike, letter case and a slash at its
/// end aside.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    let mut before = None;
    path.iter().all(|&byte| {
        let odd = match byte {
            b'%' | b'\\' | b';' | b'?' | b'#' => true,
            b'/' => before == Some(b'/'),
            // A path starts a segment as a separator does.
            b'.' => matches!(before, None | Some(b'/')),
            byte => is_control(byte),
        };
        before = Some(byte);
        !odd
    })
}

/// The segments of a plain path.
pub(crate) fn plain_segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    // Nothing at all would split into one empty segment.
    let wanted = if path.is_empty() { 0 } else { usize::MAX };
    path.split(|&b| b == b'/').take(wanted)
}

/// Hands `see` the segments of every reading of a path.
pub(crate) fn readings(path: &[u8], mut see: impl FnMut(&[&[u8]])) -> Result<(), Unreadable> {
    if path.iter().copied().any(is_control) {
        return Err(Unreadable);
    }
    let raw = Decoded {
        bytes: path.to_vec(),
        encoded: vec![false; path.len()],
    };
    let mut levels = vec![raw];
    if path.contains(&b'%') {
        let once = levels[0].decode(Codes::MustBeWhole)?;
        let twice = once.decode(Codes::MayBeBroken)?;
        let differs = twice.bytes.len() != once.bytes.len();
        levels.push(once);
        if differs {
            levels.push(twice);
        }
    }
    let mut work = 0_usize;
    for level in &levels {
        let readings = 1 << level.oddities().count_ones();
        work = work.saturating_add(level.bytes.len().saturating_mul(readings));
    }
    if work > MAX_WORK {
        return Err(Unreadable);
    }
    let mut segments = Vec::new();
    for level in &levels {
        let present = level.oddities();
        // Every subset of the bits that are present, the empty one last.
        let mut reading = present;
        loop {
            if reading & (COLLAPSE_EARLY | COLLAPSE_LATE) != COLLAPSE_EARLY | COLLAPSE_LATE {
                segments.clear();
                level.read(reading, &mut segments);
                see(&segments);
            }
            if reading == 0 {
                break;
            }
            reading = (reading - 1) & present;
        }
    }
    Ok(())
}

/// Encoded `/` and `\` act as such.
const ENCODED_SEPARATORS: u16 = 1;
/// Encoded `.`, `;`, `?` and `#` act as such.
const ENCODED_MARKS: u16 = 1 << 1;
/// `\` is `/`.
const BACKSLASHES: u16 = 1 << 2;
/// `;` ends its segment.
const PARAMETERS: u16 = 1 << 3;
/// `?` and `#` end the path.
const CUT: u16 = 1 << 4;
/// `.` and `..` are resolved.
const DOTS: u16 = 1 << 5;
/// Empty segments are dropped before that.
const COLLAPSE_EARLY: u16 = 1 << 6;
/// Empty segments are dropped after that.
const COLLAPSE_LATE: u16 = 1 << 7;
/// What follows a leading `//` is an authority.
const AUTHORITY: u16 = 1 << 8;

/// A path after some decoding, and which of its bytes came out of a code.
struct Decoded {
    bytes: Vec<u8>,
    encoded: Vec<bool>,
}

/// What becomes of a `%` that starts no code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Codes {
    /// The path is not readable.
    MustBeWhole,
    /// It stands for itself: `100%25` is whole, and broken once decoded.
    MayBeBroken,
}

impl Decoded {
    fn decode(&self, codes: Codes) -> Result<Self, Unreadable> {
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

    /// The bits that could make a difference here.
    fn oddities(&self) -> u16 {
        let separator = |byte: &u8| matches!(byte, b'/' | b'\\');
        let mut bits = 0;
        for (at, byte) in self.bytes.iter().enumerate() {
            // A path starts a segment as a separator does.
            let after_separator = at == 0 || separator(&self.bytes[at - 1]);
            bits |= match byte {
                b'/' | b'\\' if self.encoded[at] => ENCODED_SEPARATORS,
                b'.' | b';' | b'?' | b'#' if self.encoded[at] => ENCODED_MARKS,
                _ => 0,
            };
            bits |= match byte {
                b'\\' => BACKSLASHES,
                b';' => PARAMETERS,
                b'?' | b'#' => CUT,
                b'.' if after_separator => DOTS,
                _ => 0,
            };
            // A segment is empty, or is once its parameters are dropped.
            if after_separator && at > 0 && (separator(byte) || *byte == b';') {
                bits |= COLLAPSE_EARLY | COLLAPSE_LATE;
            }
            if at == 1 && after_separator && separator(byte) {
                bits |= AUTHORITY;
            }
        }
        bits
    }

    /// The segments of one reading, appended to an empty list.
    fn read<'a>(&'a self, reading: u16, segments: &mut Vec<&'a [u8]>) {
        let on = |bit| reading & bit != 0;
        let acts = |at: usize, bit| !self.encoded[at] || on(bit);
        let is_separator = |at: usize| match self.bytes[at] {
            b'/' => acts(at, ENCODED_SEPARATORS),
            b'\\' => on(BACKSLASHES) && acts(at, ENCODED_SEPARATORS),
            _ => false,
        };
        let is_mark = |at: usize, mark: u8| self.bytes[at] == mark && acts(at, ENCODED_MARKS);
        let ends_path = |at: usize| on(CUT) && (is_mark(at, b'?') || is_mark(at, b'#'));
        let end = (0..self.bytes.len()).find(|&at| ends_path(at));
        let end = end.unwrap_or(self.bytes.len());

        let mut start = 0;
        if on(AUTHORITY) && end >= 2 && is_separator(0) && is_separator(1) {
            start = (2..end).find(|&at| is_separator(at)).unwrap_or(end);
        }
        // The slash that every path starts with parts nothing.
        if start < end && is_separator(start) {
            start += 1;
        }
        while start <= end {
            let stop = (start..end).find(|&at| is_separator(at)).unwrap_or(end);
            let ends_segment = |at: &usize| on(PARAMETERS) && is_mark(*at, b';');
            let cut = (start..stop).find(ends_segment).unwrap_or(stop);
            let segment = &self.bytes[start..cut];
            let dots = on(DOTS) && (start..cut).all(|at| is_mark(at, b'.'));
            match segment.len() {
                0 if on(COLLAPSE_EARLY) => {}
                1 if dots => {}
                2 if dots => {
                    segments.pop();
                }
                _ => segments.push(segment),
            }
            start = stop + 1;
        }
        if on(COLLAPSE_LATE) {
            segments.retain(|segment| !segment.is_empty());
        }
        // A slash at the end makes no difference.
        if segments.last().is_some_and(|segment| segment.is_empty()) {
            segments.pop();
        }
    }
}

/// Whether a byte never stands in a path as sent: a control or a space.
fn is_control(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7F
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str) -> Vec<String> {
        let mut found = Vec::new();
        readings(path.as_bytes(), |segments| {
            found.push(String::from_utf8_lossy(&segments.join(&b'|')).into_owned());
        })
        .unwrap();
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn most_paths_are_plain() {
        for path in ["", "/", "*", "/v1/users/7", "/v1/a.b/", "/~a/b-c_d", "/é"] {
            assert!(is_plain(path.as_bytes()), "{path}");
            let segments: Vec<_> = plain_segments(path.as_bytes()).collect();
            let mut seen = 0;
            readings(path.as_bytes(), |reading| {
                assert_eq!(reading, segments);
                seen += 1;
            })
            .unwrap();
            assert_eq!(seen, 1, "{path}");
        }
        for path in [
            "//", "/a//b", "/.", "/a/..", "../a", "/%61", "/a;b", "/a\\b", "/a b", "/a?b", "/a#b",
        ] {
            assert!(!is_plain(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn every_reading_is_seen() {
        assert_eq!(all("/v1/%61"), ["v1|%61", "v1|a"]);
        assert_eq!(all("/%2561"), ["%2561", "%61", "a"]);
        assert_eq!(all("/a%2Fb"), ["a%2Fb", "a/b", "a|b"]);
        assert_eq!(all("/a\\b"), ["a\\b", "a|b"]);
        assert_eq!(all("/a;p=1/b"), ["a;p=1|b", "a|b"]);
        assert_eq!(all("/x/..;/b"), ["b", "x|..;|b", "x|..|b"]);
        assert_eq!(all("/x/%2e%2e/b"), ["b", "x|%2e%2e|b", "x|..|b"]);
        assert_eq!(all("/a/./b/"), ["a|.|b", "a|b"]);
        assert_eq!(all("/../../a"), ["..|..|a", "a"]);
        assert_eq!(all("/a//../b"), ["a|..|b", "a|b", "a||..|b", "b"]);
        assert_eq!(all("/a//..//b"), ["a|..|b", "a|b", "a||..||b", "a||b", "b"]);
        assert_eq!(all("//h/a"), ["a", "h|a", "|h|a"]);
        assert_eq!(all("/a%3Fb"), ["a", "a%3Fb", "a?b"]);
    }

    #[test]
    fn what_no_honest_client_sends_is_not_readable() {
        for path in [
            "/%", "/%4", "/%zz", "/%u0061", "/a%00b", "/%0a", "/%c0%af", "/%2500", "/a\tb",
        ] {
            assert_eq!(readings(path.as_bytes(), |_| {}), Err(Unreadable), "{path}");
        }
        for path in ["/100%25", "/%C3%A9", "/%E9", "/a%20b"] {
            assert_eq!(readings(path.as_bytes(), |_| {}), Ok(()), "{path}");
        }
    }

    #[test]
    fn the_work_is_bounded() {
        let honest = format!("/{}", "%D0%B6".repeat(1000));
        assert_eq!(readings(honest.as_bytes(), |_| {}), Ok(()));
        let hostile = "//x\\..;%2f%3b%3f/".repeat(1000);
        assert_eq!(readings(hostile.as_bytes(), |_| {}), Err(Unreadable));
    }
}
