//! The directory put right after the machine stopped.
//!
//! Pages reach the disk in any order, so what was written last may be there in
//! part: lines that are led to and that the counter does not know of, or a slot
//! that one node has got and the other has not given.

use super::directory::{Area, Directory, NODES_PER_LINE};
use super::node::Node;
use super::place::Place;
use crate::sync::Ordering;
use crate::time::Hour;

/// A slot, and the number of a node that names it.
type Named = (u32, u32);

/// Which of two nodes that name one slot has it: the later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Rests(Hour),
    Holds,
}

impl Standing {
    /// That of a node, if it names the slot.
    fn of(node: Node<'_>, slot: u32) -> Option<Self> {
        match node.found() {
            Place::Held(of) if of == slot => Some(Self::Holds),
            Place::Resting { slot: of, since } if of == slot => Some(Self::Rests(since)),
            _ => None,
        }
    }
}

impl<A: Area> Directory<'_, A> {
    /// Counts the lines again, if the machine was started since they were
    /// counted: then the counter may be older than what leads to lines, and
    /// would give them out a second time; and so may be what is said of their
    /// room, which no line is given out beyond. And takes slots from nodes that
    /// have given them to others. Before any is given out.
    ///
    /// Once for a start of the machine; several processes may do it at once, and
    /// others, who have done it, give slots out meanwhile. Takes as long as a
    /// walk over the directory and a sort of the slots that are named in it, and
    /// while it lasts 8 to 16 bytes for each of these: less than half of the file,
    /// whatever is damaged.
    pub(super) fn recover(&self, boot: Option<u64>) {
        let control = self.control;
        // Acquire pairs with the store below: the lines were counted.
        let counted = control.boot().load(Ordering::Acquire);
        if boot.is_some_and(|boot| boot == counted) {
            return;
        }
        let (mut last, mut resting) = (0, 0_u64);
        let mut named: Vec<Named> = Vec::new();
        let most = self.area.lines();
        // What is damaged leads to no line that could be given out.
        self.each(&mut |number, node| {
            last = last.max(number / NODES_PER_LINE);
            let slot = match node.found() {
                Place::Nowhere => return Ok(true),
                Place::Held(slot) => slot,
                Place::Resting { slot, .. } => {
                    resting += 1;
                    slot
                }
            };
            last = last.max(slot);
            // Only circles name more slots than there are lines. Where there is
            // no memory either, what two name stays so.
            if (named.len() as u64) < most && named.try_reserve(1).is_ok() {
                named.push((slot, number));
            }
            Ok(true)
        });
        let resting = resting.saturating_sub(self.part(named));
        // Not beyond what can be reached: that would be damage.
        let last = u64::from(last).min(self.area.lines().saturating_sub(1));
        // First, so that no more lines are said to be taken than there is room
        // for. A line that is led to was once given out, and the file's length
        // was on the disk before that; of those behind it, which another may be
        // reserving at this moment, nobody knows. Release, as where the file
        // grows: who sees the room finds the file as long.
        control.room().fetch_max(last + 1, Ordering::Release);
        // Relaxed, and for what rests: published by the store behind.
        control.taken().fetch_max(last + 1, Ordering::Relaxed);
        // Relaxed: as above.
        control.resting().fetch_max(resting, Ordering::Relaxed);
        // Release publishes all three to whoever need not count.
        control.boot().store(boot.unwrap_or(0), Ordering::Release);
    }

    /// Takes slots that rest from nodes that have given them to others; how many.
    ///
    /// A slot goes from the one to the other by two swaps, in words that may lie
    /// on two pages. If the second reached the disk alone, both name it, and it
    /// is the other's: it had it last. Two that hold one slot are none of these,
    /// for nine hours lie between: neither can be told to be the wrong one, and
    /// whoever looks at the ledger is told of both.
    fn part(&self, mut named: Vec<Named>) -> u64 {
        named.sort_unstable();
        // A circle shows a node more than once.
        named.dedup();
        let mut parted = 0;
        for of_one in named.chunk_by(|(one, _), (other, _)| one == other) {
            if let [(slot, _), _, ..] = of_one
                && let Some(keeper) = self.keeper(of_one)
            {
                let others = of_one.iter().filter(|(_, number)| *number != keeper);
                let gone = others.filter(|(_, number)| self.let_go(*slot, *number, keeper));
                parted += gone.count() as u64;
            }
        }
        parted
    }

    /// Which of the nodes that name one slot has it.
    fn keeper(&self, of_one: &[Named]) -> Option<u32> {
        let standing = |(slot, number): &Named| {
            let node = self.node(*number).ok()?;
            Some((Standing::of(node, *slot)?, *number))
        };
        let latest = of_one.iter().filter_map(standing).max()?;
        Some(latest.1)
    }

    /// Takes a slot that rests from a node if it is another's: whether it did.
    fn let_go(&self, slot: u32, from: u32, keeper: u32) -> bool {
        let (Ok(from), Ok(keeper)) = (self.node(from), self.node(keeper)) else {
            return false;
        };
        let seen = from.look();
        let rests = matches!(Place::of(seen), Place::Resting { slot: of, .. } if of == slot);
        // In this order. Others may be at work by now, but none of them names a
        // slot in a second node before it is gone from the first. So what both
        // have at one time, as the swap shows, both had when the machine stopped.
        rests && Standing::of(keeper, slot).is_some() && from.replace(seen, Place::Nowhere)
    }
}
