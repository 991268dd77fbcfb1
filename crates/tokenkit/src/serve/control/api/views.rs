//! What the API shows of things. The names of the members are stable; none is a
//! secret or a digest.

use serde::Serialize;
use serde_json::Value;
use store::{AuditEntry, Exempt, ListedKey, Project, StoredKey, StoredSession, StoredToken};

use super::members::shown_time;
use crate::serve::control::work::{BlockedAddress, ExemptBlock};

/// A time, or none.
fn when(time: Option<u64>) -> Option<String> {
    time.map(shown_time)
}

#[derive(Serialize)]
pub(super) struct ProjectView {
    name: String,
    label: String,
    created_at: String,
}

impl ProjectView {
    pub(super) fn of(project: &Project) -> Self {
        Self {
            name: project.name.to_string(),
            label: project.label.to_string(),
            created_at: shown_time(project.created_at),
        }
    }
}

#[derive(Serialize)]
pub(super) struct KeyView {
    id: String,
    prefix: String,
    project: String,
    name: String,
    /// `active`, `disabled` or `revoked`.
    state: &'static str,
    /// Units; `null` is unlimited.
    hourly_limit: Option<u64>,
    expires_at: Option<String>,
    origins: Vec<String>,
    require_origin: bool,
    ips: Vec<String>,
    created_at: String,
    revoked_at: Option<String>,
    revoked_reason: Option<String>,
    /// The key in whose place it was made.
    replaces: Option<String>,
    /// As `ETag` has it, without the quotes.
    revision: String,
}

impl KeyView {
    pub(super) fn of(key: &StoredKey) -> Self {
        let policy = &key.record.policy;
        Self {
            id: key.record.id.to_string(),
            prefix: key.prefix.to_string(),
            project: policy.project.to_string(),
            name: key.label.to_string(),
            state: policy.state.as_str(),
            hourly_limit: policy.hourly_limit.map(engine::Limit::units),
            expires_at: when(policy.expires_at),
            origins: policy.origins.iter().map(ToString::to_string).collect(),
            require_origin: policy.require_origin,
            ips: policy.ips.iter().map(ToString::to_string).collect(),
            created_at: shown_time(key.created_at),
            revoked_at: when(key.revoked_at),
            revoked_reason: key.revoked_reason.as_ref().map(ToString::to_string),
            replaces: key.replaces.map(|id| id.to_string()),
            revision: key.revision.to_string(),
        }
    }
}

/// A key in a list.
#[derive(Serialize)]
pub(super) struct ListedKeyView {
    #[serde(flatten)]
    key: KeyView,
    /// No part of what the revision stands for.
    last_used_at: Option<String>,
}

impl ListedKeyView {
    pub(super) fn of(listed: &ListedKey) -> Self {
        Self {
            key: KeyView::of(&listed.key),
            last_used_at: when(listed.last_used),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SessionView {
    id: String,
    project: String,
    user: String,
    /// `active`, `ended` or `expired`.
    state: &'static str,
    expires_at: Option<String>,
    created_at: String,
}

impl SessionView {
    pub(super) fn of(stored: &StoredSession, now: u64) -> Self {
        let session = &stored.session;
        Self {
            id: stored.id.to_string(),
            project: session.project.to_string(),
            user: session.user.to_string(),
            state: stored.state(now).as_str(),
            expires_at: when(session.expires_at),
            created_at: shown_time(stored.created_at),
        }
    }
}

#[derive(Serialize)]
pub(super) struct TokenView {
    id: String,
    name: String,
    scope: &'static str,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

impl TokenView {
    pub(super) fn of(token: &StoredToken, now: u64) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.to_string(),
            scope: token.scope.as_str(),
            state: crate::admin_token::state(token, now),
            created_at: shown_time(token.created_at),
            expires_at: when(token.expires_at),
            revoked_at: when(token.revoked_at),
        }
    }
}

#[derive(Serialize)]
pub(super) struct BlockedView {
    address: String,
    addresses: String,
    until: String,
}

impl BlockedView {
    pub(super) fn of(blocked: &BlockedAddress) -> Self {
        Self {
            address: blocked.address.to_string(),
            addresses: blocked.addresses.to_string(),
            until: shown_time(blocked.until),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ExemptView {
    addresses: String,
    /// `settings` or `added`.
    source: &'static str,
    note: String,
    created_at: Option<String>,
}

impl ExemptView {
    pub(super) fn of(block: &ExemptBlock) -> Self {
        match &block.added {
            Some(exempt) => Self::added(exempt),
            None => Self {
                addresses: block.addresses.to_string(),
                source: "settings",
                note: String::new(),
                created_at: None,
            },
        }
    }

    pub(super) fn added(exempt: &Exempt) -> Self {
        Self {
            addresses: exempt.addresses.to_string(),
            source: "added",
            note: exempt.note.to_string(),
            created_at: Some(shown_time(exempt.created_at)),
        }
    }
}

#[derive(Serialize)]
pub(super) struct AuditView {
    seq: i64,
    at: String,
    actor: String,
    action: String,
    object: String,
    details: Value,
}

impl AuditView {
    pub(super) fn of(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: shown_time(entry.at),
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
            details: dated(entry.details),
        }
    }
}

/// The details of an entry, their times as those of all answers.
fn dated(mut details: Value) -> Value {
    let members = details.as_object_mut().into_iter().flatten();
    for (_, value) in members.filter(|(name, _)| AuditEntry::is_time(name)) {
        match value {
            Value::Object(change) => change.values_mut().for_each(date),
            value => date(value),
        }
    }
    details
}

/// Shows unix seconds as a time; what are none stays.
fn date(value: &mut Value) {
    if let Some(second) = value.as_u64() {
        *value = shown_time(second).into();
    }
}
