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
//! a byte that UTF-8 never has, as overlong forms need them, a thousand segments)
//! is not readable.
//!
//! A path of some 30 bytes can have hundreds of readings. How much work they are
//! is told before the first is made ([`Odd::work`]), for the caller to do without.

mod decoded;
mod level;

use decoded::{Codes, Decoded, is_control};
use level::Level;

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

/// A path that is not plain, decoded never, once and twice.
pub(crate) struct Odd {
    levels: Vec<Level>,
}

impl Odd {
    pub(crate) fn new(path: &[u8]) -> Result<Self, Unreadable> {
        if path.iter().copied().any(is_control) {
            return Err(Unreadable);
        }
        let mut levels = vec![Level::new(Decoded::raw(path))?];
        if path.contains(&b'%') {
            let once = Level::new(levels[0].decoded().decode(Codes::MustBeWhole)?)?;
            let twice = once.decoded().decode(Codes::MayBeBroken)?;
            let differs = twice.bytes.len() != once.decoded().bytes.len();
            levels.push(once);
            if differs {
                levels.push(Level::new(twice)?);
            }
        }
        Ok(Self { levels })
    }

    /// The words of the path: a segment of a reading that has no separator and
    /// no mark in it is one of them.
    pub(crate) fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.levels.iter().flat_map(Level::words)
    }

    /// The steps that all readings take, if what is done with each takes so
    /// many.
    pub(crate) fn work(&self, steps_of_each: usize) -> usize {
        let work = |level: &Level| {
            let steps = steps_of_each.saturating_add(level.steps());
            level.most_readings().saturating_mul(steps)
        };
        self.levels.iter().map(work).fold(0, usize::saturating_add)
    }

    /// Hands `see` the segments of every reading.
    pub(crate) fn each_reading(&self, mut see: impl FnMut(&[&[u8]])) {
        let mut segments = Vec::new();
        for level in &self.levels {
            for reading in level.readings() {
                segments.clear();
                level.read(reading, &mut segments);
                see(&segments);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::level::MOST_MARKS;
    use super::*;
    use crate::steps::counted;

    fn all(path: &str) -> Vec<String> {
        let mut found = Vec::new();
        Odd::new(path.as_bytes()).unwrap().each_reading(|segments| {
            found.push(String::from_utf8_lossy(&segments.join(&b'|')).into_owned());
        });
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
            Odd::new(path.as_bytes()).unwrap().each_reading(|reading| {
                assert_eq!(reading, segments);
                seen += 1;
            });
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
            assert!(Odd::new(path.as_bytes()).is_err(), "{path}");
        }
        for path in ["/100%25", "/%C3%A9", "/%E9", "/a%20b"] {
            assert!(Odd::new(path.as_bytes()).is_ok(), "{path}");
        }
        let segments = |count| "/a".repeat(count);
        let encoded = |count| "%2fa".repeat(count);
        for path in [segments, encoded] {
            assert!(Odd::new(path(MOST_MARKS).as_bytes()).is_ok());
            assert!(Odd::new(path(MOST_MARKS + 1).as_bytes()).is_err());
        }
    }

    #[test]
    fn the_work_is_told_before_it_is_done() {
        for (path, least, most) in [
            ("/v1/a%20b".to_owned(), 6, 6),
            ("/v1//a".into(), 8, 8),
            (format!("/{}", "%D0%B6".repeat(1000)), 4, 4),
            ("//x\\..;%2f%3b%3f/".into(), 3000, 30_000),
            ("//x\\..;%2f%3b%3f/".repeat(90), 200_000, 2_000_000),
        ] {
            let odd = Odd::new(path.as_bytes()).unwrap();
            let ((), walked) = counted(|| odd.each_reading(|_| {}));
            let told = odd.work(0);
            assert!(walked <= told && told <= 2 * walked, "{walked} {told}");
            assert!((least..=most).contains(&told), "{path} {told}");
            assert_eq!(odd.work(usize::MAX), usize::MAX);
        }
    }

    #[test]
    fn a_segment_without_marks_is_a_word() {
        for path in [
            "//h/%61b;c/d%2fe",
            "/a/..%5cB%3b",
            "/x?y#z/w",
            "a%252fb%25",
            "*",
            "",
            "/.%2e/v",
        ] {
            let odd = Odd::new(path.as_bytes()).unwrap();
            odd.each_reading(|segments| {
                let marked = |segment: &[u8]| segment.iter().any(|byte| b"/\\;?#".contains(byte));
                for segment in segments.iter().filter(|segment| !marked(segment)) {
                    assert!(odd.words().any(|word| word == *segment), "{path}");
                }
            });
        }
    }
}
