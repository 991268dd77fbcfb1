//! Decides for every request whether its API key admits it: allowed, 401, 403
//! or 429, and why.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use engine::{Engine, KeyPolicy, Limit, Request, ServerSecret};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder(ServerSecret::generate()?).build()?;
//! let mut policy = KeyPolicy::new("shop".parse()?);
//! policy.hourly_limit = Some(Limit::try_from(1000)?);
//! let key = engine.mint(&"tk_live".parse()?, policy)?;
//!
//! let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
//! let decision = engine.decide(&request);
//! assert!(decision.is_allowed());
//! assert_eq!(decision.budget().map(|budget| budget.remaining), Some(999));
//! # Ok(())
//! # }
//! ```
//!
//! [`Engine::decide`] allocates nothing, takes no lock and makes no system call
//! but the clock's. It does no I/O and reads no environment; time is an
//! argument ([`Engine::decide_at`]) or one [`Clock`]. What an answer looks like
//! over HTTP is rendered by [`wire`].

mod batch;
mod blocks;
mod builder;
mod decide;
mod decision;
mod engine;
mod exempt;
mod explain;
mod failures;
mod hours;
mod key;
mod keyring;
mod ledger;
mod memory;
mod name;
mod net;
mod origin;
mod policy;
mod prefetch;
mod project;
mod reasons;
mod request;
mod sessions;
mod shadow;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
mod sync;
mod time;
pub mod wire;

pub use blocks::Blocked;
pub use builder::{BuildError, EngineBuilder, FailureConfig};
pub use decision::{Budget, Decision, Reason};
pub use engine::{Engine, EngineStats, MintError};
pub use explain::{Check, Explaining, Explanation, Verdict};
pub use key::{
    ID_LEN, KeyDigest, KeyFormError, KeyId, KeyIdError, MAX_KEY_LEN, MAX_PREFIX_LEN, Prefix,
    PrefixError, Prefixes, SecretKey, ServerSecret, SessionToken, TokenDigest,
};
pub use keyring::KeyChangeError;
pub use ledger::{LedgerError, LedgerFault};
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
pub use ledger::{LedgerKey, LedgerReport, LedgerView, reset_ledger};
pub use name::{MAX_NAME_LEN, Name, NameError};
pub use net::{Cidr, CidrError, CidrList, ClientAddr};
pub use origin::{OriginError, OriginList, OriginPattern};
pub use policy::{KeyPolicy, KeyRecord, KeyState, Limit, LimitError, SessionRecord};
pub use project::ProjectId;
pub use reasons::ReasonSet;
pub use request::{Credential, Request};
pub use shadow::{ShadowError, ShadowPolicy, ShadowScope};
pub use time::{Clock, Hour};

/// The example of the project's README, run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
