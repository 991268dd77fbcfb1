//! How much of what a client sends is looked at before others have their turn.
//!
//! A connection of HTTP/2 is read until nothing more is there, and each frame
//! costs about the same whether it holds something or not: whoever keeps sending
//! small ones has all the other clients of its thread wait. With HTTP/1.1 there
//! is one request at a time, after a few of which hyper gives way by itself; what
//! comes before one is counted in [`Pieces`](super::pieces::Pieces).

/// Bytes of HTTP/2 in one turn, without what bodies hold: some ten requests.
const BYTES: usize = 512;

/// How HTTP/2 begins (RFC 9113, section 3.4). What breaks off from it is HTTP/1.1:
/// its methods may begin so too.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests that a client may take back besides every second one.
const FREE_RESETS: u32 = 100;

/// The head of a frame (RFC 9113, section 4.1), and where in it its type and its
/// stream stand.
const HEAD: usize = 9;
const TYPE_AT: usize = 3;
const STREAM_AT: usize = 5;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// A connection's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many bytes of the preface have come, and no other.
    Opening(usize),
    /// It is HTTP/1.1, whose turns are not ours to end.
    Http1,
    /// It is HTTP/2: the bytes that are left, and where in its frames it is.
    Http2(usize, Frames),
}

/// What follows on what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The turn goes on.
    More,
    /// It is over, and another begins.
    Others,
    /// Most requests were taken back. h2 counts those that it has not looked at
    /// by then, of which there are few where others have their turn in between.
    Flood,
}

impl Default for Turn {
    fn default() -> Self {
        Self::Opening(0)
    }
}

impl Turn {
    /// How many bytes may be read in what is left of it; `None` for any number.
    pub(super) fn left(self) -> Option<usize> {
        match self {
            Self::Opening(_) | Self::Http1 => None,
            Self::Http2(left, frames) => Some(left.max(frames.body())),
        }
    }

    /// Notes what was read.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Next {
        match self {
            Self::Http1 => Next::More,
            Self::Opening(known) => {
                let rest = &PREFACE[*known..];
                let more = rest.len().min(bytes.len());
                *self = if bytes[..more] != rest[..more] {
                    Self::Http1
                } else if more < rest.len() {
                    Self::Opening(*known + more)
                } else {
                    Self::Http2(BYTES, Frames::default())
                };
                match self {
                    // What stands behind that counts.
                    Self::Http2(..) => self.read(&bytes[more..]),
                    _ => Next::More,
                }
            }
            Self::Http2(left, frames) => {
                *left = left.saturating_sub(frames.pass(bytes));
                if frames.resets > FREE_RESETS.saturating_add(frames.heads / 2) {
                    Next::Flood
                } else if *left == 0 {
                    *left = BYTES;
                    Next::Others
                } else {
                    Next::More
                }
            }
        }
    }
}

/// A place in a run of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// Bytes of a head that have come.
    head: usize,
    length: usize,
    kind: u8,
    stream: u32,
    /// The last stream that a request was begun on: each has a greater number
    /// than those before, and what else has a head's form is a body's end.
    last: u32,
    /// Bytes of its payload that are yet to come.
    payload: usize,
    /// Requests that were begun, and that were taken back.
    heads: u32,
    resets: u32,
}

impl Frames {
    /// What is yet to come of the body's piece that it is in.
    fn body(self) -> usize {
        if self.kind == DATA { self.payload } else { 0 }
    }

    /// Goes on by some bytes; how many of them are not of a body.
    fn pass(&mut self, mut bytes: &[u8]) -> usize {
        let mut counted = 0;
        while let [first, rest @ ..] = bytes {
            if self.payload > 0 {
                let passed = self.payload.min(bytes.len());
                self.payload -= passed;
                if self.kind != DATA {
                    counted += passed;
                }
                bytes = &bytes[passed..];
                continue;
            }
            match self.head {
                0 => self.length = usize::from(*first),
                at if at < TYPE_AT => self.length = self.length << 8 | usize::from(*first),
                TYPE_AT => self.kind = *first,
                // The bit above the number falls out at the end.
                at if at >= STREAM_AT => self.stream = self.stream << 8 | u32::from(*first),
                _ => {}
            }
            self.head += 1;
            if self.head == HEAD {
                self.head = 0;
                self.payload = self.length;
                let stream = std::mem::take(&mut self.stream) & (u32::MAX >> 1);
                match self.kind {
                    HEADERS if stream > self.last => {
                        self.last = stream;
                        self.heads = self.heads.saturating_add(1);
                    }
                    RST_STREAM => self.resets = self.resets.saturating_add(1),
                    _ => {}
                }
            }
            counted += 1;
            bytes = rest;
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pieces: &[&[u8]]) -> Turn {
        let mut turn = Turn::default();
        for piece in pieces {
            turn.read(piece);
        }
        turn
    }

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        frame_of(1, kind, length)
    }

    fn frame_of(stream: u32, kind: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, 0];
        frame.extend(stream.to_be_bytes());
        frame.resize(HEAD + length, 7);
        frame
    }

    #[test]
    fn the_preface_is_known_however_it_is_cut() {
        let whole = after(&[PREFACE]);
        assert_eq!(whole.left(), Some(BYTES));
        for at in 0..PREFACE.len() {
            assert_eq!(after(&[&PREFACE[..at], b"", &PREFACE[at..]]), whole, "{at}");
        }
        assert_eq!(after(&[b"PR"]), Turn::Opening(2));
        assert_eq!(after(&[b""]), Turn::Opening(0));
    }

    #[test]
    fn other_methods_are_of_http_1() {
        for line in [&b"GET / HTTP/1.1"[..], b"PROPFIND /", b"PRI / HTTP/1.1"] {
            assert_eq!(after(&[line]), Turn::Http1);
            assert_eq!(after(&[&line[..1], &line[1..]]), Turn::Http1);
            assert_eq!(after(&[line]).left(), None);
        }
        let mut turn = after(&[b"GET"]);
        assert_eq!(turn.read(&[0; 10 * BYTES]), Next::More);
        assert_eq!(turn, Turn::Http1);
    }

    #[test]
    fn small_frames_use_a_turn_up() {
        for kind in [DATA, 1, 6, 9] {
            let mut turn = after(&[PREFACE]);
            let ends = (1..)
                .find(|_| turn.read(&frame(kind, 0)) == Next::Others)
                .unwrap();
            assert_eq!(ends, BYTES.div_ceil(HEAD), "{kind}");
            // And the next one.
            let ends = (1..)
                .find(|_| turn.read(&frame(kind, 0)) == Next::Others)
                .unwrap();
            assert_eq!(ends, BYTES.div_ceil(HEAD), "{kind}");
        }
    }

    #[test]
    fn a_body_is_free_however_it_is_cut_and_a_head_is_not() {
        let fresh = after(&[PREFACE]);
        let left = fresh.left().unwrap();
        let body = frame(DATA, 16_384);
        for cut in [1, 3, 4, 9, 10, 5000, body.len() - 1] {
            let mut turn = fresh;
            assert_eq!(turn.read(&body[..cut]), Next::More);
            let rest = (cut >= HEAD).then_some(body.len() - cut);
            let counted = cut.min(HEAD);
            assert_eq!(
                turn.left(),
                Some(rest.unwrap_or(0).max(left - counted)),
                "{cut}"
            );
            assert_eq!(turn.read(&body[cut..]), Next::More);
            assert_eq!(turn.left(), Some(left - HEAD), "{cut}");
        }
        let mut turn = fresh;
        assert_eq!(turn.read(&frame(HEADERS, BYTES)), Next::Others);
    }

    #[test]
    fn who_takes_most_requests_back_floods() {
        let mut turn = after(&[PREFACE]);
        let free = (0..).take_while(|_| turn.read(&frame(RST_STREAM, 4)) != Next::Flood);
        assert_eq!(free.count(), 100);
        // Every second one may be taken back for ever.
        let mut turn = after(&[PREFACE]);
        let mut streams = (1..).step_by(2);
        let mut next = || streams.next().unwrap();
        for _ in 0..10_000 {
            let taken_back = next();
            let frames = [
                (taken_back, HEADERS),
                (next(), HEADERS),
                (taken_back, RST_STREAM),
            ];
            for (stream, kind) in frames {
                assert_ne!(turn.read(&frame_of(stream, kind, 4)), Next::Flood);
            }
        }
        let mut all_of = |frames: &[u8]| {
            let mut turn = turn;
            let all = (0..).take_while(|_| {
                let stream = next();
                let read = |kind: &u8| turn.read(&frame_of(stream, *kind, 4));
                // All of them, whatever the first ones come to.
                frames
                    .iter()
                    .map(read)
                    .filter(|next| *next == Next::Flood)
                    .count()
                    == 0
            });
            all.count()
        };
        assert_eq!(all_of(&[HEADERS, RST_STREAM]), 2 * 100);
        // What ends a body is no request.
        assert_eq!(all_of(&[HEADERS, HEADERS, RST_STREAM]), 2 * 100);
    }
}
