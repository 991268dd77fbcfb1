//! Blocked and exempt addresses, as people look at them and change them.

use std::net::IpAddr;

use crate::engine::Engine;
use crate::net::{Cidr, CidrList, ClientAddr};
use crate::request::Request;

/// A block: whose, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The address, or the /64 of IPv6 addresses that count as one.
    pub addresses: Cidr,
    /// The second at which the block ends.
    pub until: u64,
}

impl Engine {
    /// Until when an address is blocked at a time; `None` where it is not, or
    /// is exempt. Reads two lines of the table.
    #[must_use]
    pub fn block_of(&self, ip: IpAddr, unix_s: u64) -> Option<u64> {
        let request = Request::new(ClientAddr::from(ip));
        let case = self.case(&request, unix_s);
        self.blocked_until(&case, case.place.look())
    }

    /// The same with all the addresses that are blocked with it.
    #[must_use]
    pub fn block(&self, ip: IpAddr, unix_s: u64) -> Option<Blocked> {
        let until = self.block_of(ip, unix_s)?;
        Some(Blocked {
            addresses: Cidr::of_client(ip.into()),
            until,
        })
    }

    /// The addresses that are blocked at a time, those whose block ends last
    /// first.
    ///
    /// The table of failures holds no address that could be read back. So this
    /// names of the last 4,096 whose block began, or that came while they were
    /// blocked, those that still are, since this engine was built:
    /// [`EngineStats::blocked_addresses`](crate::EngineStats::blocked_addresses)
    /// counts all, and [`block_of`](Self::block_of) tells of any. One that was
    /// blocked before, as a ledger tells, may be left out for another that stays
    /// blocked longer. Where only some of a /64 are exempt, the others are
    /// blocked, and it is named.
    #[must_use]
    pub fn blocks(&self, unix_s: u64) -> Vec<Blocked> {
        let clients = self.lately.all().into_iter();
        let mut blocks: Vec<Blocked> = clients
            .filter_map(|client| self.blocked_with(client, unix_s))
            .collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.until));
        blocks
    }

    /// The block of all that are counted with an address, unless all of them
    /// are exempt.
    fn blocked_with(&self, client: ClientAddr, unix_s: u64) -> Option<Blocked> {
        let until = self.place(client).look().blocked_until(unix_s)?;
        let addresses = Cidr::of_client(client);
        (!self.exempt.contains_all(addresses)).then_some(Blocked { addresses, until })
    }

    /// Ends the block of an address (of its /64, for IPv6); whether there was
    /// one. Its count starts again from nothing.
    pub fn unblock(&self, ip: IpAddr, unix_s: u64) -> bool {
        self.place(ip.into()).unblock(unix_s)
    }

    /// Exempts address blocks besides those that the engine was built with, in
    /// the place of those that an earlier call named: their guesses are not
    /// counted, and whoever of them is blocked is let through. In force when
    /// this returns. Each guess looks through the list: keep it short.
    pub fn set_exempt(&self, blocks: CidrList) {
        self.exempt.set(blocks);
    }

    /// The address blocks that [`set_exempt`](Self::set_exempt) last named.
    #[must_use]
    pub fn exempt(&self) -> CidrList {
        self.exempt.now()
    }
}
