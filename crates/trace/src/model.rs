//! A checked trace: every value of it is of its type, every name is known.

use std::collections::HashMap;
use std::net::IpAddr;

use engine::{
    FailureConfig, KeyId, KeyPolicy, KeyState, Limit, OriginList, Prefixes, SecretKey,
    SessionRecord,
};

use crate::answer::Answer;

/// What stands for a project or a user that a trace leaves out. A trace may
/// not write it out, so that it never meets one of that name.
pub(crate) const NONE: &str = "(none)";

/// A trace, checked.
pub struct Trace {
    /// What it shows.
    pub name: Option<String>,
    /// How the subject is set up.
    pub config: Config,
    /// The keys that are there from the start.
    pub keys: Vec<Key>,
    /// The sessions that are there from the start.
    pub sessions: Vec<Session>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What each key that ever appears is called, if it is called anything.
    pub(crate) names: HashMap<KeyId, Option<String>>,
}

impl Trace {
    /// What a key is called in reports; `None` for a key of the trace without
    /// a name.
    pub(crate) fn key_name(&self, id: KeyId) -> Option<String> {
        match self.names.get(&id) {
            Some(name) => name.clone(),
            None => Some(format!("{id}, which is not of this trace")),
        }
    }

    /// Every step's request.
    pub fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Decide { ask, .. } => Some(ask),
            StepKind::Do(_) => None,
        })
    }
}

/// How a trace's subject is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The prefixes that it takes.
    pub prefixes: Prefixes,
    /// The server's own list of origins.
    pub origins: OriginList,
    /// How guesses are counted.
    pub failures: FailureConfig,
}

/// A key of a trace. Its secret is in the file for all to read, yet is shown
/// no more than any other.
pub struct Key {
    /// What steps call it.
    pub name: Option<String>,
    /// The whole key.
    pub secret: SecretKey,
    /// What it may do.
    pub policy: KeyPolicy,
}

/// A session of a trace.
pub struct Session {
    /// The whole token.
    pub token: String,
    /// Whose it is.
    pub record: SessionRecord,
}

/// One step.
pub struct Step {
    /// The unix second at which it happens; may be before that of the step
    /// above.
    pub at: u64,
    /// What happens.
    pub kind: StepKind,
}

/// What happens in a step.
pub enum StepKind {
    /// A decision is asked for.
    Decide {
        /// The request.
        ask: Ask,
        /// What must be answered.
        expect: Answer,
    },
    /// Keys, sessions or blocks change.
    Do(Action),
}

/// What a `do` step does.
pub enum Action {
    /// Adds a key of a new name and id.
    AddKey(Key),
    /// Adds a session, or replaces that of the same token.
    AddSession(Session),
    /// Changes what is there.
    Change(Change),
}

/// A change to what is there.
pub enum Change {
    /// Asks for a key's state; a revoked one stays revoked.
    SetState(KeyId, KeyState),
    /// Sets a key's hourly limit; `None` is unlimited.
    SetLimit(KeyId, Option<Limit>),
    /// Ends the session of a token, if there is one.
    EndSession(String),
    /// Ends the block of an address, if there is one.
    Unblock(IpAddr),
}

/// One request of a trace.
pub struct Ask {
    /// The `api-key` header; `None` where it is not sent.
    pub api_key: Option<String>,
    /// The client's address.
    pub ip: IpAddr,
    /// The `Origin` header; `None` where it is not sent.
    pub origin: Option<String>,
    /// The bearer token; `None` where none is sent.
    pub bearer: Option<String>,
    /// Whether the endpoint wants a user.
    pub needs_user: bool,
    /// The units that the request costs.
    pub cost: u32,
}
