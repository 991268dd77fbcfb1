//! A key and a session as programs see them (`--json`, exports) and as people
//! do. The names of the members are stable.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use store::{StoredKey, StoredSession};

use super::fields::{NEVER, UNLIMITED};
use crate::error::{Failure, OperatorError};
use crate::when::show_when;

/// A key for programs. Times are unix seconds; `null` is none.
#[derive(Debug, Serialize)]
pub(crate) struct KeyView {
    pub(crate) id: String,
    pub(crate) prefix: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// Units; `null` is unlimited.
    pub(crate) hourly_limit: Option<u64>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) require_origin: bool,
    pub(crate) origins: Vec<String>,
    pub(crate) ips: Vec<String>,
    pub(crate) created_at: u64,
    pub(crate) revoked_at: Option<u64>,
    pub(crate) revoked_reason: Option<String>,
    /// The id of the key in whose place it was made.
    pub(crate) replaces: Option<String>,
    /// The whole key; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The digest in hexadecimal digits; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

impl KeyView {
    /// What may be shown of a key: neither secret nor digest.
    pub(crate) fn of(key: &StoredKey) -> Self {
        let policy = &key.record.policy;
        Self {
            id: key.record.id.to_string(),
            prefix: key.prefix.to_string(),
            project: policy.project.to_string(),
            name: key.label.to_string(),
            state: policy.state.as_str(),
            hourly_limit: policy.hourly_limit.map(engine::Limit::units),
            expires_at: policy.expires_at,
            require_origin: policy.require_origin,
            origins: policy.origins.iter().map(ToString::to_string).collect(),
            ips: policy.ips.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            revoked_reason: key.revoked_reason.as_ref().map(ToString::to_string),
            replaces: key.replaces.map(|id| id.to_string()),
            key: None,
            digest: None,
        }
    }

    /// Everything for people, a line each.
    pub(crate) fn write_lines(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let when = |time: Option<u64>| time.map_or_else(|| NEVER.into(), show_when);
        let list = |entries: &[String]| match entries {
            [] => "any".into(),
            entries => entries.join(", "),
        };
        let mut line = |head: &str, text: &str| match text {
            "" => Ok(()),
            text => writeln!(out, "{head:<14}  {text}"),
        };
        line("id", &self.id)?;
        line("prefix", &self.prefix)?;
        line("project", &self.project)?;
        line("name", &self.name)?;
        line("state", self.state)?;
        line("hourly limit", &limit_text(self.hourly_limit))?;
        line("expires", &when(self.expires_at))?;
        line(
            "require origin",
            if self.require_origin { "yes" } else { "no" },
        )?;
        line("origins", &list(&self.origins))?;
        line("addresses", &list(&self.ips))?;
        line("created", &show_when(self.created_at))?;
        line(
            "revoked",
            &self.revoked_at.map(show_when).unwrap_or_default(),
        )?;
        line("reason", self.revoked_reason.as_deref().unwrap_or_default())?;
        line("replaces", self.replaces.as_deref().unwrap_or_default())
    }

    /// The row of a table; its heads are [`KEY_HEADS`].
    pub(crate) fn row(&self) -> [String; 7] {
        [
            self.id.clone(),
            self.prefix.clone(),
            self.project.clone(),
            self.state.into(),
            limit_text(self.hourly_limit),
            self.expires_at.map_or_else(|| NEVER.into(), show_when),
            self.name.clone(),
        ]
    }
}

/// The heads of [`KeyView::row`].
pub(crate) const KEY_HEADS: [&str; 7] = [
    "ID", "PREFIX", "PROJECT", "STATE", "LIMIT/H", "EXPIRES", "NAME",
];

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or_else(|| UNLIMITED.into(), |units| units.to_string())
}

/// A session for programs. Times are unix seconds; `null` is none.
#[derive(Debug, Serialize)]
pub(crate) struct SessionView {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) user: String,
    /// `active`, `ended` or `expired`.
    pub(crate) state: &'static str,
    pub(crate) expires_at: Option<u64>,
    pub(crate) created_at: u64,
    /// The whole token; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

impl SessionView {
    /// What may be shown of a session, at a time.
    pub(crate) fn of(stored: &StoredSession, now: u64) -> Self {
        let session = &stored.session;
        Self {
            id: stored.id.to_string(),
            project: session.project.to_string(),
            user: session.user.to_string(),
            state: stored.state(now).as_str(),
            expires_at: session.expires_at,
            created_at: stored.created_at,
            token: None,
        }
    }

    /// The row of a table; its heads are [`SESSION_HEADS`].
    pub(crate) fn row(&self) -> [String; 5] {
        [
            self.id.clone(),
            self.project.clone(),
            self.state.into(),
            self.expires_at.map_or_else(|| NEVER.into(), show_when),
            self.user.clone(),
        ]
    }
}

/// The heads of [`SessionView::row`].
pub(crate) const SESSION_HEADS: [&str; 5] = ["ID", "PROJECT", "STATE", "EXPIRES", "USER"];

/// Sees that a secret was shown, `what` having been made: one that nobody has
/// seen is of no use, and the error says how to end it.
pub(super) fn shown_once(
    shown: Result<(), Failure>,
    out: &mut dyn Write,
    what: &dyn Display,
    end: &dyn Display,
) -> Result<(), Failure> {
    shown
        .and_then(|()| Ok(out.flush()?))
        .map_err(|failure| match failure {
            Failure::Output(cause) => OperatorError::new(format_args!(
                "{what} was made but could not be shown ({cause}): run `{end}` and make another"
            ))
            .into(),
            failure => failure,
        })
}

/// Writes one JSON value and a line break.
pub(crate) fn write_json(out: &mut dyn Write, view: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, view).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Writes a JSON array, an element at a time.
pub(crate) struct JsonArray {
    is_empty: bool,
}

impl JsonArray {
    /// Starts an array.
    pub(crate) fn begin(out: &mut dyn Write) -> Result<Self, Failure> {
        write!(out, "[")?;
        Ok(Self { is_empty: true })
    }

    /// Adds an element.
    pub(crate) fn add(
        &mut self,
        out: &mut dyn Write,
        view: &impl Serialize,
    ) -> Result<(), Failure> {
        write!(out, "{}\n  ", if self.is_empty { "" } else { "," })?;
        self.is_empty = false;
        serde_json::to_writer(&mut *out, view).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Ends the array.
    pub(crate) fn end(self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}]", if self.is_empty { "" } else { "\n" })?;
        Ok(())
    }
}
