//! The engine: all parts together, and the face that embedders see.
//!
//! How a request is decided is in [`decide`](crate::decide).

use std::fmt;

use crate::builder::EngineBuilder;
use crate::exempt::Exempt;
use crate::failures::{Lately, Recent, Window};
use crate::key::{Forms, KeyId, Prefix, Prefixes, SecretKey, ServerSecret, TokenDigest};
use crate::keyring::{Existing, KeyChangeError, Keyring};
use crate::ledger::{Ledger, LedgerFault};
use crate::name::Name;
use crate::origin::OriginList;
use crate::policy::{KeyPolicy, KeyRecord, KeyState, SessionRecord};
use crate::project::{ProjectId, Projects};
use crate::sessions::{Session, Sessions};
use crate::shadow::Shadow;
use crate::time::{Clock, Hour, NEVER};

/// Decides about requests; holds the keys, the sessions and their counters.
///
/// Shared by reference or `Arc` among any number of threads. Deciding takes no
/// lock; changes to the keys take turns among themselves. A change is in force
/// when the call that made it returns: every decision that starts later, on
/// any thread, sees it.
pub struct Engine {
    pub(crate) secret: ServerSecret,
    pub(crate) prefixes: Prefixes,
    /// Ready to be looked at, what `prefixes` says.
    pub(crate) forms: Forms,
    pub(crate) origins: OriginList,
    pub(crate) exempt: Exempt,
    pub(crate) window: Window,
    pub(crate) recent: Recent,
    pub(crate) lately: Lately,
    pub(crate) clock: Clock,
    pub(crate) keyring: Keyring,
    pub(crate) sessions: Sessions,
    pub(crate) projects: Projects,
    pub(crate) ledger: Ledger,
    pub(crate) shadow: Shadow,
}

/// Why no key was minted.
#[derive(Debug)]
#[non_exhaustive]
pub enum MintError {
    /// The system gave no random bytes.
    Random(getrandom::Error),
    /// The deployment does not take the prefix: the key would be malformed.
    Prefix(Prefix),
    /// The keyring refused it.
    Keyring(KeyChangeError),
}

/// Counts for metrics. Each is a moment's picture of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Keys in the keyring, whatever their state.
    pub keys: usize,
    /// Those of them that are disabled.
    pub disabled_keys: usize,
    /// Those of them that were revoked.
    pub revoked_keys: usize,
    /// Sessions held, expired ones that were not yet purged included.
    pub sessions: usize,
    /// Addresses that are blocked.
    pub blocked_addresses: usize,
}

impl Engine {
    /// Starts setting up an engine whose digests are made under `secret`.
    #[must_use]
    pub fn builder(secret: ServerSecret) -> EngineBuilder {
        EngineBuilder::new(secret)
    }

    /// The clock by which [`decide`](Self::decide) goes.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The secret, for digesting keys and tokens.
    #[must_use]
    pub fn secret(&self) -> &ServerSecret {
        &self.secret
    }

    /// The prefixes that are taken.
    #[must_use]
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// Whether the server's own list or any live key lists an origin at a
    /// time: what a preflight asks, which carries no key. False for what is no
    /// origin or longer than 320 bytes.
    ///
    /// Linear in the server's list; for the keys', as many look-ups as the
    /// longest listed wildcard has labels, however many the origin has. Takes
    /// a lock that writers hold for moments; allocates.
    #[must_use]
    pub fn lists_origin(&self, origin: &[u8], unix_s: u64) -> bool {
        self.origins.lists(origin) || self.keyring.lists_origin(origin, unix_s)
    }

    /// Mints a key, puts it into the keyring, and hands it out: show it once,
    /// then drop it. Only its digest is kept.
    ///
    /// # Errors
    ///
    /// A prefix that the deployment does not take, no free slot, or no random
    /// bytes from the system; nothing was changed.
    pub fn mint(&self, prefix: &Prefix, policy: KeyPolicy) -> Result<SecretKey, MintError> {
        if !self.prefixes.contains(prefix.as_bytes()) {
            return Err(MintError::Prefix(*prefix));
        }
        let key = SecretKey::generate(prefix).map_err(MintError::Random)?;
        let record = KeyRecord {
            id: key.id(),
            digest: self.secret.digest_key(key.expose().as_bytes()),
            policy,
        };
        self.insert_keys(vec![record]).map_err(MintError::Keyring)?;
        Ok(key)
    }

    /// Adds new keys, all or none.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::Duplicate`] for an id that is there or stands twice,
    /// [`KeyChangeError::Full`] where the slots do not suffice,
    /// [`KeyChangeError::Ledger`] where the ledger's file gives none: of a larger
    /// change some keys have got theirs then, which wait for them;
    /// [`KeyChangeError::Memory`] where the system gives none.
    pub fn insert_keys(&self, records: Vec<KeyRecord>) -> Result<(), KeyChangeError> {
        self.keep(records, Existing::Refuse)
    }

    /// Adds keys, or replaces those of the same ids, which keep their
    /// counters; all or none. A revoked key stays revoked, whatever replaces
    /// it.
    ///
    /// # Errors
    ///
    /// As [`insert_keys`](Self::insert_keys), but for ids that are there.
    pub fn put_keys(&self, records: Vec<KeyRecord>) -> Result<(), KeyChangeError> {
        self.keep(records, Existing::Replace)
    }

    fn keep(&self, records: Vec<KeyRecord>, existing: Existing) -> Result<(), KeyChangeError> {
        // Often one project's keys come together.
        let mut last: Option<(Name, ProjectId)> = None;
        let project = |name: &Name| match last {
            Some((same, id)) if same == *name => id,
            _ => last.insert((*name, self.project_id(name))).1,
        };
        let slots = self.ledger.slots(self.hour());
        self.keyring.put(records, existing, project, slots)
    }

    /// Changes a key's policy; returns the new one. A revoked key stays
    /// revoked, whatever `change` says; where `change` panics, all stays as it
    /// was.
    ///
    /// `change` runs while every other change to the keys waits, so it must not
    /// make one itself, nor call [`reclaim`](Self::reclaim): it would wait for
    /// itself for ever. Deciding, reading policies and asking for
    /// [`stats`](Self::stats) is free to it.
    ///
    /// # Errors
    ///
    /// [`KeyChangeError::Unknown`] where there is no such key,
    /// [`KeyChangeError::Memory`] where the system gives none.
    pub fn update_key(
        &self,
        id: KeyId,
        change: impl FnOnce(&mut KeyPolicy),
    ) -> Result<KeyPolicy, KeyChangeError> {
        self.keyring.update(id, &self.projects, |policy| {
            change(policy);
            self.project_id(&policy.project)
        })
    }

    /// Asks for a state; returns the one that the key is in afterwards: a
    /// revoked key stays revoked.
    ///
    /// # Errors
    ///
    /// As [`update_key`](Self::update_key).
    pub fn set_key_state(&self, id: KeyId, wanted: KeyState) -> Result<KeyState, KeyChangeError> {
        let policy = self.update_key(id, |policy| policy.state = wanted)?;
        Ok(policy.state)
    }

    /// Removes a key: from now on it is unknown, and counts as a guess. Its
    /// counters rest for nine hours before another key gets them; until then,
    /// a key of the same id finds in them what it has used. To end a key,
    /// revoke it.
    ///
    /// # Errors
    ///
    /// As [`update_key`](Self::update_key).
    pub fn remove_key(&self, id: KeyId) -> Result<(), KeyChangeError> {
        self.keyring.remove(id, self.ledger.slots(self.hour()))
    }

    /// A key's policy.
    #[must_use]
    pub fn key_policy(&self, id: KeyId) -> Option<KeyPolicy> {
        self.keyring.policy(id, &self.projects)
    }

    /// Units that a key has used in an hour; `None` for an unknown key, or
    /// where the ring of 8 hours holds a later one in its place.
    #[must_use]
    pub fn used(&self, id: KeyId, hour: Hour) -> Option<u64> {
        let keys = self.keyring.read();
        let slot = keys.find(keys.spot(id))?.record().slot();
        self.ledger.ring(slot)?.used(hour)
    }

    /// Shows what keys have used by hour, of the last eight hours in which each
    /// was used; hours in which nothing was are left out. Of a ledger's file
    /// every key of it, whichever process counted; else those that this engine
    /// has, or had hours ago. Some may be shown twice.
    ///
    /// Linear in the number of keys, or the size of the file; to be called now
    /// and then, from a thread that serves no requests. Without a file, changes
    /// to keys wait while it gathers which there are.
    pub fn each_usage(&self, mut show: impl FnMut(KeyId, Hour, u64)) {
        let mut of_slot = |id, slot| self.ledger.each_hour(id, slot, &mut show);
        if self.ledger.knows_its_keys() {
            return self.ledger.each_slot(&mut of_slot);
        }
        let slots = self.keyring.slots(|all| {
            self.ledger.each_slot(&mut |id, slot| all.push((id, slot)));
        });
        for (id, slot) in slots {
            of_slot(id, slot);
        }
    }

    /// Who counted what [`each_usage`](Self::each_usage) shows: a random number
    /// that a ledger's file has from its making on, and keeps where its hours are
    /// taken over into another; and each engine without a file for its life.
    #[must_use]
    pub fn usage_source(&self) -> [u8; 16] {
        self.ledger.usage_source()
    }

    /// Says that what was used in all hours before one is saved: it was read by
    /// [`each_usage`](Self::each_usage), begun when those hours were over, and
    /// then written to where it stays. Takes back what was said of later hours.
    pub fn usage_saved(&self, before: Hour) {
        self.ledger.usage().set_unsaved_from(before.number().into());
    }

    /// The first hour of which not all is known to be saved: what
    /// [`usage_saved`](Self::usage_saved) last said, to whichever process.
    #[must_use]
    pub fn usage_unsaved_from(&self) -> Hour {
        self.ledger.usage().unsaved_hour()
    }

    /// Units that are lost for whoever reads usage out: their key was used
    /// eight hours later, and nobody had said by then that their hour was saved.
    /// At most so many; a part may have been saved before the hour was over. In
    /// all the life of the ledger.
    #[must_use]
    pub fn usage_overwritten(&self) -> u64 {
        self.ledger.usage().overwritten()
    }

    /// Adds a session, or replaces that of the same token.
    pub fn put_session(&self, token: TokenDigest, session: SessionRecord) {
        self.sessions.put(Session {
            digest: token,
            expires_at: session.expires_at.unwrap_or(NEVER),
            project: self.project_id(&session.project),
            user: session.user,
        });
    }

    /// Ends a session; whether there was one.
    pub fn end_session(&self, token: &TokenDigest) -> bool {
        self.sessions.end(token)
    }

    /// Drops every session that has expired at a time; how many. Linear in
    /// the number of sessions; to be called now and then, from a thread that
    /// serves no requests.
    ///
    /// What is dropped stays so if the clock turns out to have been ahead: give
    /// a time some way back, or put the sessions in again.
    pub fn purge_sessions(&self, unix_s: u64) -> usize {
        self.sessions.purge(unix_s)
    }

    /// The name of a project that a decision of this engine names. Of another
    /// engine's it is some other project's, or empty: each gives out numbers of
    /// its own. Wait-free.
    #[must_use]
    pub fn project(&self, id: ProjectId) -> &str {
        self.projects.name(id).map_or("", Name::as_str)
    }

    /// Counts for metrics, at a time. Reads the whole failures table.
    #[must_use]
    pub fn stats(&self, unix_s: u64) -> EngineStats {
        EngineStats {
            keys: self.keyring.len(),
            disabled_keys: self.keyring.in_state(KeyState::Disabled),
            revoked_keys: self.keyring.in_state(KeyState::Revoked),
            sessions: self.sessions.len(),
            blocked_addresses: self.ledger.failures().count_blocked(unix_s),
        }
    }

    /// What is wrong with the ledger's file by now: `None` while it is whole, or
    /// where the counters are in memory. Two system calls.
    ///
    /// To be asked each second, from a thread that serves no requests: a file
    /// that was cut short in the midst of a page of counts is only found so,
    /// and those refused that are behind the cut.
    #[must_use]
    pub fn ledger_fault(&self) -> Option<LedgerFault> {
        self.ledger.fault()
    }

    /// Frees parts of the keyring and sessions that were replaced and are no
    /// longer read. Every change does some of this; call it now and then where
    /// changes are rare, from a thread that serves no requests.
    pub fn reclaim(&self) {
        self.keyring.reclaim();
        self.sessions.reclaim();
    }

    fn hour(&self) -> Hour {
        Hour::of(self.clock.now())
    }

    fn project_id(&self, name: &Name) -> ProjectId {
        self.projects.intern(name)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("prefixes", &self.prefixes)
            .field("origins", &self.origins)
            .field("clock", &self.clock)
            .field("keys", &self.keyring.len())
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(_) => f.write_str("the operating system gives no random bytes"),
            Self::Prefix(prefix) => write!(
                f,
                "prefix {:?} is none of those that are taken: add it to the prefixes first",
                prefix.as_str()
            ),
            Self::Keyring(_) => f.write_str("the keyring took no further key"),
        }
    }
}

impl std::error::Error for MintError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Random(cause) => Some(cause),
            Self::Prefix(_) => None,
            Self::Keyring(cause) => Some(cause),
        }
    }
}
