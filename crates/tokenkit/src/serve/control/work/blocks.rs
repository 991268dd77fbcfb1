//! Blocked and exempt addresses of the server that clients speak to.

use std::net::IpAddr;

use engine::Cidr;
use serde_json::json;
use store::{Actor, Exempt, Label, Writer};

use crate::serve::control::{Control, Problem};

/// Exempt blocks that can be named while the server runs: each guess looks
/// through them.
const MAX_EXEMPT: usize = 1000;

/// A blocked address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockedAddress {
    /// The address, or the first of its /64.
    pub(crate) address: IpAddr,
    /// All that are blocked with it.
    pub(crate) addresses: Cidr,
    /// When that ends, in unix seconds.
    pub(crate) until: u64,
}

/// An exempt block.
#[derive(Clone, Debug)]
pub(crate) struct ExemptBlock {
    pub(crate) addresses: Cidr,
    /// How it came in while the server ran; none for those of the settings.
    pub(crate) added: Option<Exempt>,
}

impl Control {
    /// The blocked addresses that can be named, and how many there are in all;
    /// of one address alone whether it is blocked, where it is asked for.
    pub(crate) fn blocked(&self, only: Option<IpAddr>) -> (Vec<BlockedAddress>, usize) {
        let (engine, now) = (self.engine(), self.now());
        let total = engine.stats(now).blocked_addresses;
        let named = match only {
            Some(ip) => engine.block(ip, now).into_iter().collect(),
            None => engine.blocks(now),
        };
        let named = named.into_iter().map(|block| BlockedAddress {
            address: block.addresses.first(),
            addresses: block.addresses,
            until: block.until,
        });
        (named.collect(), total)
    }

    /// Ends the block of an address.
    ///
    /// # Errors
    ///
    /// 404 where it is not blocked; those of [`change`](Self::change).
    pub(crate) async fn unblock(&self, actor: Actor, ip: IpAddr) -> Result<(), Problem> {
        let ip = ip.to_canonical();
        if self.engine().block_of(ip, self.now()).is_none() {
            return Err(Problem::not_found(format!("{ip} is not blocked.")));
        }
        // Written down first: what nobody could know of later is not done. It is
        // no change that would have to come into force.
        let note = move |writer: &mut Writer<'_>| {
            Ok(writer.note("address.unblock", &ip.to_string(), &json!({}))?)
        };
        let control = self.clone();
        let unblock = move |()| {
            control.engine().unblock(ip, control.now());
            Ok(())
        };
        self.keeper().write(actor, self.now(), note, unblock).await
    }

    /// The exempt blocks: those of the settings, then those that were added.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub(crate) async fn exempt(&self) -> Result<Vec<ExemptBlock>, Problem> {
        let added = self.read(|store| Ok(store.exempt()?)).await?;
        let settings = self.settings().failures.exempt.iter();
        let settings = settings.map(|block| ExemptBlock {
            addresses: *block,
            added: None,
        });
        let added = added.into_iter().map(|exempt| ExemptBlock {
            addresses: exempt.addresses,
            added: Some(exempt),
        });
        Ok(settings.chain(added).collect())
    }

    /// Exempts a block, within a change. One that was added before stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// 409 where there are too many.
    pub(crate) fn add_exempt_in(
        &self,
        writer: &mut Writer<'_>,
        addresses: Cidr,
        note: Label,
    ) -> Result<Exempt, Problem> {
        let exempt = writer.add_exempt(addresses, &note)?;
        if writer.count_exempt()? > MAX_EXEMPT {
            return Err(Problem::conflict(
                "full",
                format!("More than {MAX_EXEMPT} exempt blocks: name larger ones."),
            ));
        }
        Ok(exempt)
    }

    /// Ends an exemption.
    ///
    /// # Errors
    ///
    /// 404; 409 where the settings name it; those of [`change`](Self::change).
    pub(crate) async fn remove_exempt(&self, actor: Actor, addresses: Cidr) -> Result<(), Problem> {
        let of_settings = &self.settings().failures.exempt;
        if of_settings.iter().any(|block| *block == addresses) {
            return Err(Problem::conflict(
                "of_settings",
                "The settings name this block (failures.exempt): take it out there.",
            ));
        }
        self.change(actor, move |writer| Ok(writer.remove_exempt(&addresses)?))
            .await
    }
}
