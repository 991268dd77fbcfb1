//! Which slot a key has in a ledger that several processes share.
//!
//! A hash trie of four branches that only ever grows: from the key's head, by
//! two bits of its hash a step, to the node that names the key. A node is put
//! in by one compare-and-swap of the empty branch to which the key's path leads.
//! Two that put the same key in meet at the same branch, so a key never has two
//! nodes; and a process that is killed leaves at most a node or a line that
//! nobody uses.
//!
//! What is given out is written over first: if the machine stops, pages reach
//! the disk in any order, and a line may hold what the counter of lines no
//! longer knows of (see `recover`).
//!
//! A node stays its key's for ever. The slot that it names does not: given back,
//! it rests until its ring has run out, and is then anybody's. All that is
//! said of it lies in one word (see [`Place`]), so it goes from one to another
//! by one swap.
//!
//! Lock-free: each turn follows another's success. Nothing here is on the way
//! of a decision. Every number read is checked before it is followed, and every
//! walk is bounded: damage makes an error, or wrong counts, and nothing worse.

use super::node::{Branch, NOWHERE, Node, Path};
use super::place::{Place, rested};
use super::spares::Spares;
use super::{LedgerFault, Line, UsageLine};
use crate::failures::Seeds;
use crate::hours::Ring;
use crate::key::KeyId;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Hour;

/// Nodes in a line.
pub(super) const NODES_PER_LINE: u32 = 2;
/// Heads in a line.
pub(super) const HEADS_PER_LINE: u32 = 16;
/// Steps of a path after which it cannot be one: each but the first 32 follows
/// a collision of all 64 bits.
const MAX_STEPS: usize = 1024;
/// Heads and nodes that are looked at for a slot that has rested, before a fresh
/// line is taken.
const SWEEP_HEADS: usize = if cfg!(loom) { 1 } else { 32 };
const SWEEP_NODES: u64 = 64;

/// The lines of which nodes and rings are made.
pub(super) trait Area {
    /// A line; the first is nobody's.
    fn line(&self, at: u32) -> Result<&Line, LedgerFault>;

    /// Makes room for more lines than `lines`.
    fn grow(&self, lines: u64) -> Result<(), LedgerFault>;

    /// How many lines can be reached by now: what bounds every walk.
    fn lines(&self) -> u64;
}

/// What is counted of the area: one line that all processes share.
#[derive(Clone, Copy)]
pub(super) struct Control<'a>(pub(super) &'a Line);

impl<'a> Control<'a> {
    /// Lines that there is room for.
    pub(super) fn room(self) -> &'a AtomicU64 {
        &self.0.0[0]
    }

    /// Lines that were taken, the first included.
    pub(super) fn taken(self) -> &'a AtomicU64 {
        &self.0.0[1]
    }

    /// Slots that rest, nearly: a process that is killed may leave it off by
    /// one. A hint whether to look for one.
    pub(super) fn resting(self) -> &'a AtomicU64 {
        &self.0.0[2]
    }

    /// Since which start of the machine the lines are counted.
    pub(super) fn boot(self) -> &'a AtomicU64 {
        &self.0.0[3]
    }
}

/// The directory: a view of the ledger's lines.
pub(super) struct Directory<'a, A> {
    pub(super) seeds: Seeds,
    pub(super) control: Control<'a>,
    pub(super) usage: UsageLine<'a>,
    /// So many that their number, with 16 to a line, is a power of two.
    pub(super) heads: &'a [Line],
    pub(super) area: &'a A,
    pub(super) spares: &'a Spares,
}

impl<'a, A: Area> Directory<'a, A> {
    /// How many heads there are.
    fn heads(&self) -> u64 {
        self.heads.len() as u64 * u64::from(HEADS_PER_LINE)
    }

    fn head(&self, at: u64) -> Branch<'a> {
        let at = (at % self.heads()) as usize;
        let line = &self.heads[at / HEADS_PER_LINE as usize];
        Branch::of(&line.0, at % HEADS_PER_LINE as usize)
    }

    fn way_to(&self, id: KeyId) -> (Branch<'a>, Path) {
        let hash = self.seeds.mix(id.to_bits());
        (self.head(hash), Path(hash >> self.heads().ilog2()))
    }

    /// Asks for where the way to a key begins.
    pub(super) fn expect(&self, id: KeyId) {
        let (head, _) = self.way_to(id);
        crate::prefetch::prefetch(head.word);
    }

    pub(super) fn node(&self, number: u32) -> Result<Node<'a>, LedgerFault> {
        let line = self.area.line(number / NODES_PER_LINE)?;
        let (nodes, _) = line.0.as_chunks();
        Ok(Node(&nodes[(number % NODES_PER_LINE) as usize]))
    }

    /// The node of a key, if it has one.
    fn find(&self, id: KeyId) -> Result<Option<Node<'a>>, LedgerFault> {
        let (mut branch, mut path) = self.way_to(id);
        for _ in 0..MAX_STEPS {
            let number = branch.load();
            if number == NOWHERE {
                return Ok(None);
            }
            let node = self.node(number)?;
            if node.id_bits() == Some(id.to_bits()) {
                return Ok(Some(node));
            }
            branch = node.branch(path.turn());
        }
        Err(LedgerFault::Damaged)
    }

    /// The node of a key, put in if it has none.
    fn find_or_insert(&self, id: KeyId) -> Result<Node<'a>, LedgerFault> {
        let (mut branch, mut path) = self.way_to(id);
        let mut mine = None;
        for _ in 0..MAX_STEPS {
            let mut number = branch.load();
            if number == NOWHERE {
                let new = mine.map_or_else(|| self.new_node(id), Ok)?;
                match branch.lead(new) {
                    Ok(()) => return self.node(new),
                    Err(anothers) => number = anothers,
                }
                mine = Some(new);
            }
            let node = self.node(number)?;
            if node.id_bits() == Some(id.to_bits()) {
                mine.into_iter().for_each(|mine| self.spares.put_node(mine));
                return Ok(node);
            }
            branch = node.branch(path.turn());
        }
        Err(LedgerFault::Damaged)
    }

    /// A node that nobody is led to yet.
    fn new_node(&self, id: KeyId) -> Result<u32, LedgerFault> {
        let number = match self.spares.node() {
            Some(spare) => spare,
            None => {
                let first = self.new_line()? * NODES_PER_LINE;
                self.spares.put_node(first + 1);
                first
            }
        };
        self.node(number)?.name(id);
        Ok(number)
    }

    /// A line that nobody had.
    fn new_line(&self) -> Result<u32, LedgerFault> {
        let control = self.control;
        loop {
            // Relaxed: a line is zeroes until it is given out, and what is
            // made of it is published by whoever leads to it.
            let taken = control.taken().load(Ordering::Relaxed);
            // Acquire pairs with the end of `grow`: the room is there.
            if taken >= control.room().load(Ordering::Acquire) {
                self.area.grow(taken)?;
                continue;
            }
            // Nodes are counted by twos. Line 0 leads nowhere, should damage
            // ever name it.
            let line = u32::try_from(taken).ok();
            let line = line.filter(|line| (1..u32::MAX / NODES_PER_LINE).contains(line));
            let line = line.ok_or(LedgerFault::Damaged)?;
            // Before it is taken: one that cannot be reached would be lost.
            self.area.line(line)?;
            // Relaxed: as above; one swap, so one taker.
            let swapped = control.taken().compare_exchange_weak(
                taken,
                taken + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if swapped.is_ok() {
                return Ok(line);
            }
        }
    }

    /// The slot of a key: its own, for as long as any of those who share the
    /// ledger holds the key, and until another took it after that.
    pub(super) fn claim(&self, id: KeyId, now: Hour) -> Result<u32, LedgerFault> {
        let node = self.find_or_insert(id)?;
        let mut mine = None;
        loop {
            let seen = node.look();
            let place = Place::of(seen);
            let slot = match place {
                Place::Held(slot) => {
                    mine.into_iter().for_each(|mine| self.spares.put_slot(mine));
                    return self.checked(slot);
                }
                Place::Resting { slot, .. } => slot,
                Place::Nowhere => match mine {
                    Some(slot) => slot,
                    None => *mine.insert(self.free_slot(now)?),
                },
            };
            let slot = self.checked(slot)?;
            if node.replace(seen, Place::Held(slot)) {
                if place == Place::Nowhere {
                    mine = None;
                } else {
                    self.count_resting(-1);
                }
                mine.into_iter().for_each(|mine| self.spares.put_slot(mine));
                return Ok(slot);
            }
        }
    }

    /// Gives a key's slot back: it rests from now on.
    pub(super) fn give_back(&self, id: KeyId, now: Hour) -> Result<(), LedgerFault> {
        let Some(node) = self.find(id)? else {
            return Ok(());
        };
        loop {
            let seen = node.look();
            let place = Place::of(seen);
            let (Place::Held(slot) | Place::Resting { slot, .. }) = place else {
                return Ok(());
            };
            if node.replace(seen, Place::Resting { slot, since: now }) {
                if matches!(place, Place::Held(_)) {
                    self.count_resting(1);
                }
                return Ok(());
            }
        }
    }

    /// A slot whose ring is empty, that no node names.
    fn free_slot(&self, now: Hour) -> Result<u32, LedgerFault> {
        if let Some(spare) = self.spares.slot() {
            return Ok(spare);
        }
        // Relaxed: a hint.
        if self.control.resting().load(Ordering::Relaxed) > 0
            && let Some(slot) = self.rested_slot(now)?
        {
            return Ok(slot);
        }
        let slot = self.new_line()?;
        // Relaxed: published by whoever names it.
        Ring(self.area.line(slot)?).begin();
        Ok(slot)
    }

    /// A slot that has rested, if a short look finds one. All heads are looked
    /// at once an hour by each process, until one turns up.
    fn rested_slot(&self, now: Hour) -> Result<Option<u32>, LedgerFault> {
        let mut nodes = SWEEP_NODES;
        for _ in 0..SWEEP_HEADS {
            let Some(at) = self.spares.next_head(now, self.heads()) else {
                return Ok(None);
            };
            if let Some(slot) = self.rested_under(self.head(at), now, &mut nodes)? {
                self.spares.found_rested(self.heads());
                return Ok(Some(slot));
            }
            if nodes == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// A slot that has rested, of a node under a head: taken from it, and its
    /// ring cleared.
    fn rested_under(
        &self,
        head: Branch<'a>,
        now: Hour,
        nodes: &mut u64,
    ) -> Result<Option<u32>, LedgerFault> {
        let mut taken = None;
        let mut left = self.most_nodes();
        self.each_under(head, &mut left, &mut |_, node| {
            *nodes = nodes.saturating_sub(1);
            let seen = node.look();
            let Place::Resting { slot, since } = Place::of(seen) else {
                return Ok(true);
            };
            let ring = Ring(self.area.line(slot)?);
            if since > now {
                // Given back by a clock that was ahead: it might else be kept
                // away for years.
                node.replace(seen, Place::Resting { slot, since: now });
                return Ok(true);
            }
            // Somebody may still hold the key and charge it.
            let idle_since = since.max(ring.newest());
            if !rested(idle_since, now) || !node.replace(seen, Place::Nowhere) {
                return Ok(true);
            }
            self.count_resting(-1);
            ring.clear(self.usage);
            taken = Some(slot);
            Ok(false)
        })?;
        Ok(taken)
    }

    /// More nodes than so many there cannot be.
    fn most_nodes(&self) -> u64 {
        self.area.lines().saturating_mul(u64::from(NODES_PER_LINE))
    }

    /// Shows every node under a head, with its number, until told to stop; no
    /// more than are `left`.
    fn each_under(
        &self,
        head: Branch<'a>,
        left: &mut u64,
        show: &mut impl FnMut(u32, Node<'a>) -> Result<bool, LedgerFault>,
    ) -> Result<(), LedgerFault> {
        // Most heads lead nowhere in a ledger of few keys: nothing is allocated.
        if head.load() == NOWHERE {
            return Ok(());
        }
        let mut ahead = vec![head];
        while let Some(branch) = ahead.pop() {
            let number = branch.load();
            if number == NOWHERE {
                continue;
            }
            *left = left.checked_sub(1).ok_or(LedgerFault::Damaged)?;
            let node = self.node(number)?;
            if !show(number, node)? {
                break;
            }
            ahead.extend((0..4).map(|at| node.branch(at)));
        }
        Ok(())
    }

    /// Shows every node, with its number, head by head; a head under which
    /// something is damaged is passed over from there on. Whether all was whole.
    pub(super) fn each(
        &self,
        show: &mut impl FnMut(u32, Node<'a>) -> Result<bool, LedgerFault>,
    ) -> bool {
        let mut whole = true;
        // In all, for every head may lead into one circle.
        let mut left = self.most_nodes();
        for at in 0..self.heads() {
            whole &= self.each_under(self.head(at), &mut left, show).is_ok();
            // Others put in nodes meanwhile.
            left = left.min(self.most_nodes());
        }
        whole
    }

    /// Where the slot of a key is.
    pub(super) fn place_of(&self, id: KeyId) -> Result<Place, LedgerFault> {
        Ok(self.find(id)?.map_or(Place::Nowhere, Node::found))
    }

    /// A slot, if there is such a line.
    fn checked(&self, slot: u32) -> Result<u32, LedgerFault> {
        if slot == NOWHERE {
            return Err(LedgerFault::Damaged);
        }
        self.area.line(slot).map(|_| slot)
    }

    fn count_resting(&self, by: i64) {
        // Never below zero, whatever was lost on the way.
        let step = |seen: u64| Some(seen.saturating_add_signed(by));
        // Relaxed: a hint.
        let _ = self
            .control
            .resting()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }
}
