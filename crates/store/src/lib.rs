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
//! | change | [`Store::write`], then [`Writer::commit`]: all of it or nothing |
//! | change by many keys | [`Store::stage`], then [`Staging::change`]: others write meanwhile |
//! | look | [`Store::key`], [`Store::each_key`], [`Store::each_session`] |
//!
//! What is acknowledged is on the disk (`synchronous=FULL`). One process writes
//! at a time, any number read beside it (WAL). Of a key or a token only the
//! digest is kept, and no error shows one. Every row is sealed under the server
//! secret: one that is not as it was written is [`StoreError::Damaged`].

#![forbid(unsafe_code)]

mod apply;
mod error;
mod file_identity;
mod follow;
mod following;
mod health;
mod record;
mod rows;
mod schema;
mod seal;
mod secret;
mod staging;
mod store;
mod writer;

pub use apply::FollowError;
pub use error::StoreError;
pub use follow::{BATCH, Changes, Follower, SessionChange};
pub use following::{FollowEvent, Following};
pub use health::Health;
pub use record::{
    Label, LabelError, MAX_LABEL_LEN, SessionId, SessionIdError, StoredKey, StoredSession,
};
pub use secret::{SecretFileError, create_secret_file, read_secret_file};
pub use staging::Staging;
pub use store::{KeyFilter, Store};
pub use writer::Writer;
