//! The layer before a service: every row of the decision table and everything
//! that stands beside it on the wire.

mod browser;
mod identity;
mod rig;
mod rows;
mod socket;
