//! Keys and sessions of tokenkit, kept in one SQLite file, and the server
//! secret, kept in a file beside it.
//!
//! The face is narrow, so that another database can stand behind it:
//!
//! | what | how |
//! |---|---|
//! | make or open | [`Store::create`], [`Store::open`] |
//! | load all into an engine, then keep it in step | [`Follower::load`], then [`Following::start`] |
//! | the same, for something else | [`Follower::poll`]: its first call brings everything |
//! | have a change in force before it is acknowledged | [`Following::catch_up`] |
//! | change | [`Store::write`], then [`Writer::commit`]: all of it or nothing |
//! | change by many keys | [`Store::stage`], then [`Staging::change`]: others write meanwhile |
//! | look | [`Store::key`], [`Store::each_key`], [`Store::each_session`] |
//! | look a page at a time | [`Store::key_page`], [`Store::session_page`], [`Store::projects`] |
//! | see who changed what | [`Store::audit`] |
//! | keep what was used, and look at it | [`Store::record_usage`], [`Store::usage`] |
//!
//! What is acknowledged is on the disk (`synchronous=FULL`). One process writes
//! at a time, any number read beside it (WAL). Of a key or a token only the
//! digest is kept, and no error shows one. Every row is sealed under the server
//! secret: one that is not as it was written is [`StoreError::Damaged`].

#![forbid(unsafe_code)]

mod actor;
mod apply;
mod audit;
mod catch_up;
mod change_keys;
mod change_sessions;
mod cursor;
mod error;
mod exempt;
mod file_identity;
mod follow;
mod followed;
mod following;
mod health;
mod idempotency;
mod key_page;
mod opened;
#[cfg(test)]
mod plan;
mod project;
mod record;
mod rows;
mod schema;
mod seal;
mod secret;
mod session_page;
mod staging;
mod store;
mod tables;
mod tidy;
mod token;
mod usage;
mod writer;

pub use actor::Actor;
pub use apply::FollowError;
pub use audit::{AuditEntry, AuditPage, AuditQuery};
pub use catch_up::CatchUpError;
pub use cursor::{Cursor, CursorError};
pub use error::StoreError;
pub use exempt::Exempt;
pub use file_identity::FileIdentity;
pub use follow::{BATCH, Changes, Follower, SessionChange};
pub use following::{FollowEvent, Following};
pub use health::Health;
pub use idempotency::{IDEMPOTENCY_S, Idempotent};
pub use key_page::{KeyPage, KeyQuery, ListedKey, StateFilter};
pub use project::{KeyCounts, Project, ProjectPage};
pub use record::{
    Label, LabelError, MAX_LABEL_LEN, SessionId, SessionIdError, SessionState, StoredKey,
    StoredSession,
};
pub use secret::{SecretFileError, create_secret_file, read_secret_file};
pub use session_page::{SessionPage, SessionQuery};
pub use staging::Staging;
pub use store::{KeyFilter, Store};
pub use token::{MAX_TOKENS_IN_USE, Scope, ScopeError, StoredToken};
pub use usage::{LATE_S, RecordedUsage, Usage, UsagePage, UsageQuery, UsageRow, UsageSource};
pub use writer::Writer;
