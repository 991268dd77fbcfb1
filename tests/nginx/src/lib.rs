//! The nginx module under the real nginx, on the loopback: what its tests
//! share.
//!
//! They want the module, the program `tokenkit` and nginx itself, which
//! `cargo xtask nginx` builds or looks for; so each is ignored by `cargo test`,
//! and run by that command.

pub mod client;
pub mod hour;
pub mod load;
pub mod nginx;
pub mod place;
pub mod serve;
pub mod service;
pub mod wait;
