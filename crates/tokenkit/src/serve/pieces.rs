//! How many pieces the head of a request comes in.
//!
//! Each wakes its connection, whatever it holds: one who sends the heads of many
//! connections a byte at a time has everybody else wait for all of them. After a
//! few pieces a connection waits for its turn before it reads the next
//! ([`Lane`](super::lane::Lane)).

/// Pieces of a head that cost no turn: most come in one, and large ones in some.
const FREE: u32 = 4;

/// The pieces of a connection's newest head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    /// The head's number.
    head: u32,
    /// How many of it there were.
    count: u32,
}

impl Pieces {
    /// Counts a piece of a head, or, with `None`, of what is none; whether others
    /// have their turn before the next.
    pub(super) fn one_more(&mut self, head: Option<u32>) -> bool {
        let Some(head) = head else { return false };
        if self.head != head {
            *self = Self { head, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > FREE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_many_pieces_waits_and_what_is_none_does_not() {
        let mut pieces = Pieces::default();
        for head in 0..3 {
            let waits = |_| pieces.one_more(Some(head));
            let waits: Vec<bool> = (0..6).map(waits).collect();
            assert_eq!(waits, [false, false, false, false, true, true], "{head}");
            assert!((0..100).all(|_| !pieces.one_more(None)));
            assert!(pieces.one_more(Some(head)), "{head} goes on");
        }
        pieces.count = u32::MAX;
        assert!(pieces.one_more(Some(2)));
    }
}
