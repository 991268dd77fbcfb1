//! The readings of a path that is decoded so far: what may be read in two ways
//! is found once, so that a reading takes a step for each such place, whatever
//! lies between them.

use std::ops::Range;

use super::Unreadable;
use super::decoded::Decoded;

/// The most marks of a path that is readable: far more than an honest one has.
/// Bounds what is kept of each.
pub(super) const MOST_MARKS: usize = 1024;

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
/// What it takes for `.`, `;`, `?` or `#` to be more than themselves.
const MARKS: u16 = PARAMETERS | CUT | DOTS;

/// A place in a path that may end a segment.
struct Mark {
    at: usize,
    role: Role,
    /// The bits of the readings in which it does.
    bits: u16,
}

enum Role {
    /// The next segment begins behind it.
    Separates,
    /// What follows does not belong to the segment.
    BeginsParameters,
    /// What follows does not belong to the path.
    EndsPath,
}

impl Mark {
    fn new(decoded: &Decoded, at: usize) -> Option<Self> {
        let (role, bits, encoded) = match decoded.bytes[at] {
            b'/' => (Role::Separates, 0, ENCODED_SEPARATORS),
            b'\\' => (Role::Separates, BACKSLASHES, ENCODED_SEPARATORS),
            b';' => (Role::BeginsParameters, PARAMETERS, ENCODED_MARKS),
            b'?' | b'#' => (Role::EndsPath, CUT, ENCODED_MARKS),
            _ => return None,
        };
        let encoded = if decoded.encoded[at] { encoded } else { 0 };
        let bits = bits | encoded;
        Some(Self { at, role, bits })
    }

    fn acts(&self, reading: u16) -> bool {
        reading & self.bits == self.bits
    }
}

/// A path after some decoding, and what its readings differ in.
pub(super) struct Level {
    decoded: Decoded,
    marks: Vec<Mark>,
    /// The bits that could make a difference.
    present: u16,
}

impl Level {
    pub(super) fn new(decoded: Decoded) -> Result<Self, Unreadable> {
        let separator = |byte: &u8| matches!(byte, b'/' | b'\\');
        let mut marks = Vec::new();
        let mut present = 0;
        // A path starts a segment as a separator does.
        let mut starts_segment = true;
        for (at, byte) in decoded.bytes.iter().enumerate() {
            if *byte == b'.' {
                present |= if starts_segment { DOTS } else { 0 };
                present |= if decoded.encoded[at] {
                    ENCODED_MARKS
                } else {
                    0
                };
            } else if let Some(mark) = Mark::new(&decoded, at) {
                present |= mark.bits;
                // A segment is empty, or is once its parameters are dropped.
                if starts_segment && at > 0 && !matches!(mark.role, Role::EndsPath) {
                    present |= COLLAPSE_EARLY | COLLAPSE_LATE;
                }
                if at == 1 && starts_segment && separator(byte) {
                    present |= AUTHORITY;
                }
                if marks.len() == MOST_MARKS {
                    return Err(Unreadable);
                }
                marks.push(mark);
            }
            starts_segment = separator(byte);
        }
        // Bits that no reading is new by.
        if present & DOTS == 0 {
            present &= !COLLAPSE_LATE;
        }
        if present & MARKS == 0 {
            present &= !ENCODED_MARKS;
        }
        Ok(Self {
            decoded,
            marks,
            present,
        })
    }

    pub(super) fn decoded(&self) -> &Decoded {
        &self.decoded
    }

    /// What stands between the marks.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let ends = |byte: &u8| matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#');
        self.decoded.bytes.split(ends)
    }

    /// The steps that one reading takes.
    pub(super) fn steps(&self) -> usize {
        self.marks.len() + 1
    }

    /// Every reading: each subset of the bits that are present, the empty one
    /// last.
    pub(super) fn readings(&self) -> impl Iterator<Item = u16> {
        let fewer = |reading: &u16| Some(reading.checked_sub(1)? & self.present);
        std::iter::successors(Some(self.present), fewer).filter(|reading| is_new(*reading))
    }

    /// No fewer than there are readings.
    pub(super) fn most_readings(&self) -> usize {
        let subsets = 1 << self.present.count_ones();
        match self.present & COLLAPSE_LATE {
            0 => subsets,
            // Empty segments are not dropped twice.
            _ => subsets / 4 * 3,
        }
    }

    /// The segments of one reading, appended to an empty list.
    pub(super) fn read<'a>(&'a self, reading: u16, segments: &mut Vec<&'a [u8]>) {
        #[cfg(test)]
        crate::steps::took(self.steps());
        let on = |bit| reading & bit != 0;
        let Decoded { bytes, encoded } = &self.decoded;
        let separates = |nth: usize| {
            self.marks.get(nth).is_some_and(|mark| {
                mark.at == nth && matches!(mark.role, Role::Separates) && mark.acts(reading)
            })
        };
        // The slash that every path starts with parts nothing; before the path
        // that follows an authority stand its two slashes and itself.
        let mut left_out = match separates(0) {
            true if on(AUTHORITY) && separates(1) => 3,
            starts => usize::from(starts),
        };
        let mut add = |segment: Range<usize>| {
            if left_out > 0 {
                left_out -= 1;
                return;
            }
            let is_dot = |at: usize| bytes[at] == b'.' && (!encoded[at] || on(ENCODED_MARKS));
            let dots = on(DOTS) && segment.len() <= 2 && segment.clone().all(is_dot);
            match segment.len() {
                0 if on(COLLAPSE_EARLY) => {}
                1 if dots => {}
                2 if dots => {
                    segments.pop();
                }
                _ => segments.push(&bytes[segment]),
            }
        };
        let (mut start, mut parameters, mut end) = (0, None, bytes.len());
        for mark in self.marks.iter().filter(|mark| mark.acts(reading)) {
            match mark.role {
                Role::Separates => {
                    add(start..parameters.take().unwrap_or(mark.at));
                    start = mark.at + 1;
                }
                Role::BeginsParameters => {
                    parameters.get_or_insert(mark.at);
                }
                Role::EndsPath => {
                    end = mark.at;
                    break;
                }
            }
        }
        add(start..parameters.unwrap_or(end));
        if on(COLLAPSE_LATE) {
            segments.retain(|segment| !segment.is_empty());
        }
        // A slash at the end makes no difference.
        if segments.last().is_some_and(|segment| segment.is_empty()) {
            segments.pop();
        }
    }
}

/// Whether a reading differs from those with fewer bits.
fn is_new(reading: u16) -> bool {
    let on = |bits| reading & bits != 0;
    let collapses = match (on(COLLAPSE_EARLY), on(COLLAPSE_LATE)) {
        (true, true) => false,
        // Before or after makes a difference to the resolving alone.
        (false, true) => on(DOTS),
        (_, false) => true,
    };
    collapses && (!on(ENCODED_MARKS) || on(MARKS))
}
