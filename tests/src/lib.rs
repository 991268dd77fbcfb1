//! What the tests of the whole workspace share: further subjects for traces,
//! and what secrets are looked for with.
//!
//! [`oracle::Oracle`] is the slow twin of the engine, [`over_http::OverHttp`]
//! the engine behind its HTTP adapter and a real socket.

#![forbid(unsafe_code)]

pub mod canaries;
pub mod ips;
pub mod keys;
pub mod long;
pub mod oracle;
pub mod oracle_forms;
#[cfg(not(miri))]
pub mod over_http;
pub mod panics;
pub mod public_types;
#[cfg(not(miri))]
pub mod traces;
