//! Room for keys that come: blocks that will be too full are split, once, into
//! as many as it takes.
//!
//! Which keys there are does not change by it, so that a change may end here for
//! want of memory: what was split stays so, and every key is found as before.

use super::arena::Arena;
use super::block::{Block, MAX_RECORDS, PLACES};
use super::bulk::AHEAD;
use super::directory::MAX_DEPTH;
use super::error::OutOfMemory;
use super::order::{Order, Slip};
use super::published::Draft;
use super::{Keyring, Writer};
use crate::prefetch::prefetch_at;

/// The keys of one block, or of a part of it: those that are there, and those
/// that come.
#[derive(Clone, Copy)]
struct Full<'s> {
    kept: &'s [Slip],
    own: &'s [Slip],
    /// They agree with this in `depth` bits.
    order: Order,
    depth: u32,
}

/// What splitting takes.
#[derive(Clone, Copy, Default)]
struct Needs {
    blocks: usize,
    depth: u32,
}

impl<'s> Full<'s> {
    /// Both halves, where one block cannot hold it.
    fn halves(self) -> Option<[Self; 2]> {
        let Self {
            kept,
            own,
            order,
            depth,
        } = self;
        // Behind the last bit a block may be fuller. More keys would have to
        // agree in 32 bits of a hash under random seeds than ever can.
        if kept.len() + own.len() <= MAX_RECORDS || depth >= MAX_DEPTH {
            return None;
        }
        let clear = |slip: &Slip| !slip.order().bit(depth);
        let kept = kept.split_at(kept.partition_point(clear));
        let own = own.split_at(own.partition_point(clear));
        let half = |kept, own, order| Self {
            kept,
            own,
            order,
            depth: depth + 1,
        };
        let [clear, set] = order.halves(depth);
        Some([half(kept.0, own.0, clear), half(kept.1, own.1, set)])
    }

    fn needs(self) -> Needs {
        match self.halves() {
            Some(halves) => {
                let [clear, set] = halves.map(Self::needs);
                Needs {
                    blocks: clear.blocks + set.blocks,
                    depth: clear.depth.max(set.depth),
                }
            }
            None => Needs {
                blocks: 1,
                depth: self.depth,
            },
        }
    }
}

impl Keyring {
    /// Splits every block that is too full for what comes: slips in their order.
    pub(super) fn make_room(
        &self,
        writer: &mut Writer,
        mut slips: &[Slip],
    ) -> Result<(), OutOfMemory> {
        while let Some(first) = slips.first() {
            if let Some(later) = slips.get(AHEAD) {
                prefetch_at(self.directory.look(later.order().hash()).block.address());
            }
            let hash = first.order().hash();
            // SAFETY: it is the past of our own writer, whose lock is held.
            let (at, block) = unsafe { self.block(&writer.past, hash) };
            let depth = block.depth();
            let others = |slip: &Slip| !slip.order().agrees(first.order(), depth);
            let end = slips.iter().position(others).unwrap_or(slips.len());
            let (own, later) = slips.split_at(end);
            if block.len() + own.len() > MAX_RECORDS {
                let kept = self.in_order(block);
                let full = Full {
                    kept: &kept,
                    own,
                    order: first.order(),
                    depth,
                };
                // All that it takes before the first half is published: with one
                // alone the other's keys would be in a block that says it holds
                // both.
                let needs = full.needs();
                writer.arena.reserve(needs.blocks)?;
                self.directory.deepen(needs.depth)?;
                self.split(&mut writer.arena, block, full);
                self.replaced(writer, at);
            }
            slips = later;
        }
        Ok(())
    }

    /// The places of a block's records, in the order of the directory.
    fn in_order(&self, block: &Block) -> Vec<Slip> {
        let slip = |place| {
            let record = block.record(place)?;
            Some(Slip::new(Order::of(self.hash(record.id())), place))
        };
        let mut slips: Vec<_> = (0..PLACES).filter_map(slip).collect();
        slips.sort_unstable();
        slips
    }

    /// Makes new blocks of what an old one holds, with room for what comes.
    fn split(&self, arena: &mut Arena, old: &Block, full: Full<'_>) {
        if let Some([clear, set]) = full.halves() {
            self.split(arena, old, clear);
            self.split(arena, old, set);
            return;
        }
        let mut draft = Draft::empty(full.depth, arena);
        let records = full.kept.iter().filter_map(|slip| old.record(slip.at()));
        for record in records {
            let lists = old.lists(record).cloned();
            draft.put(*record, lists, self.hash(record.id()));
        }
        self.publish(draft, full.order.hash());
    }
}
