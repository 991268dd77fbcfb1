//! Decides for every request whether its API key admits it: allowed, 401, 403
//! or 429, and why.

mod decision;
mod hours;
mod key;
mod name;
mod net;
mod origin;
mod policy;
mod project;
mod request;
mod time;

pub use decision::{Budget, Decision, Reason};
pub use key::{
    ID_LEN, KeyDigest, KeyFormError, KeyId, KeyIdError, MAX_KEY_LEN, MAX_PREFIX_LEN, Prefix, PrefixError,
    Prefixes, SecretKey, ServerSecret, SessionToken, TokenDigest,
};
pub use name::{MAX_NAME_LEN, Name, NameError};
pub use net::{Cidr, CidrError, CidrList, ClientAddr};
pub use origin::{OriginError, OriginList, OriginPattern};
pub use policy::{KeyPolicy, KeyRecord, KeyState, Limit, LimitError, SessionRecord};
pub use project::ProjectId;
pub use request::{Credential, Request};
pub use time::{Clock, Hour};
