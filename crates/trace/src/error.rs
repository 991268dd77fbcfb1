//! Why a text is no trace, and where.

use std::fmt;

use engine::{CidrError, KeyFormError, LimitError, NameError, OriginError, PrefixError};
use serde_path_to_error::{Path, Segment};
use thiserror::Error;

use crate::model::NONE;

/// Why a text is no trace: the place in it, and what is wrong there.
#[derive(Debug, Error)]
pub struct TraceError {
    place: Place,
    #[source]
    pub(crate) problem: Problem,
}

/// A place in a trace, in words: `step 3: request.ip`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(String);

/// What is wrong.
#[derive(Debug, Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    #[error("trace is {0}, but only version 1 is known")]
    Version(u64),
    #[error("a step has either a request or a do, and this one has {0}")]
    OneOf(&'static str),
    #[error("an expect goes with a request, not with a do")]
    ExpectWithDo,
    #[error(
        "a do has exactly one of revoke, disable, enable, set_limit, add_key, add_session, \
         end_session and unblock, and this one has {0}"
    )]
    OneAction(usize),
    #[error(transparent)]
    Prefix(PrefixError),
    #[error(transparent)]
    Origin(OriginError),
    #[error(transparent)]
    Cidr(CidrError),
    #[error(transparent)]
    Limit(LimitError),
    #[error(transparent)]
    Name(NameError),
    #[error("{NONE:?} stands for a project or user that is left out: leave it out")]
    NoneWrittenOut,
    #[error(transparent)]
    Secret(KeyFormError),
    #[error("{0:?} is no IP address")]
    Ip(String),
    #[error("{0:?} is no state: active, disabled or revoked is wanted")]
    State(String),
    #[error("{0:?} is no reason: one of the words that decisions carry is wanted, such as allowed")]
    Reason(String),
    #[error("a cost of {0} is too large: at most {max}", max = u32::MAX)]
    Cost(u64),
    #[error("no key is called {0:?} by now")]
    UnknownKey(String),
    #[error("the key {0:?} is there already: every key needs a name of its own")]
    NameTwice(String),
    #[error(
        "a key with the id of this secret is there already: every key needs a secret of its own"
    )]
    IdTwice,
}

impl Problem {
    /// The problem at a place.
    pub(crate) fn at(self, place: &Place) -> TraceError {
        TraceError {
            place: place.clone(),
            problem: self,
        }
    }
}

impl Place {
    /// One of a list of the document: `step 3`. Counts from one.
    pub(crate) fn nth(what: &str, index: usize) -> Self {
        Self(format!("{what} {}", index + 1))
    }

    /// A member below.
    pub(crate) fn member(&self, name: &str) -> Self {
        let joint = match self.0.as_str() {
            "" => "",
            own if own.contains(": ") => ".",
            own if own.ends_with(|last: char| last.is_ascii_digit()) => ": ",
            _ => ".",
        };
        Self(format!("{}{joint}{name}", self.0))
    }

    /// An element of a list below.
    pub(crate) fn element(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The place that the JSON reader got to.
    pub(crate) fn of_path(path: &Path) -> Self {
        let mut place = Self::default();
        for segment in path {
            place = match segment {
                Segment::Seq { index } => match place.0.as_str() {
                    "steps" => Self::nth("step", *index),
                    "keys" => Self::nth("key", *index),
                    "sessions" => Self::nth("session", *index),
                    _ => place.element(*index),
                },
                Segment::Map { key } => place.member(key),
                Segment::Enum { .. } | Segment::Unknown => place,
            };
        }
        place
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.0.is_empty() {
            write!(f, "{}: ", self.place.0)?;
        }
        self.problem.fmt(f)
    }
}
