//! The engine itself as a subject.

use std::sync::Arc;

use engine::{
    BuildError, Clock, Decision, Engine, KeyChangeError, KeyRecord, Request, ServerSecret,
};
use thiserror::Error;

use crate::answer::Answer;
use crate::model::{Ask, Change, Key, Session, Trace};
use crate::run::{Applied, Subject};

/// A fresh engine with a manual clock, which stands where the step at hand
/// does.
pub struct EngineSubject {
    engine: Arc<Engine>,
}

/// Why the engine refused a trace.
#[derive(Debug, Error)]
pub enum EngineSubjectError {
    /// It could not be set up as `config` says.
    #[error("config: {0}")]
    Build(#[from] BuildError),
    /// A key could not be added or changed.
    #[error(transparent)]
    Key(#[from] KeyChangeError),
}

impl EngineSubject {
    /// The engine, for an adapter that stands over it.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What the engine is asked for a step.
    #[must_use]
    pub fn request(ask: &Ask) -> Request<'_> {
        let mut request = Request::new(ask.ip)
            .needs_user(ask.needs_user)
            .cost(ask.cost);
        if let Some(key) = &ask.api_key {
            request = request.api_key(key.as_bytes());
        }
        if let Some(token) = &ask.bearer {
            request = request.bearer(token.as_bytes());
        }
        if let Some(origin) = &ask.origin {
            request = request.origin(origin.as_bytes());
        }
        request
    }
}

impl Subject for EngineSubject {
    type Error = EngineSubjectError;

    fn build(trace: &Trace) -> Result<Self, Self::Error> {
        // The keys of a trace stand in its file, so their digests need no secret.
        let engine = Engine::builder(ServerSecret::from_bytes([0; 32]))
            .prefixes(trace.config.prefixes.clone())
            .origins(trace.config.origins.clone())
            .failures(trace.config.failures.clone())
            .clock(Clock::manual(0))
            .build()?;
        Ok(Self {
            engine: Arc::new(engine),
        })
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, Self::Error> {
        let digest = self
            .engine
            .secret()
            .digest_key(key.secret.expose().as_bytes());
        self.engine.insert_keys(vec![KeyRecord {
            id: key.secret.id(),
            digest,
            policy: key.policy.clone(),
        }])?;
        Ok(Applied::Yes)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, Self::Error> {
        let token = self.engine.secret().digest_token(session.token.as_bytes());
        self.engine.put_session(token, session.record);
        Ok(Applied::Yes)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, Self::Error> {
        match change {
            Change::SetState(id, state) => {
                self.engine.set_key_state(*id, *state)?;
            }
            Change::SetLimit(id, limit) => {
                self.engine
                    .update_key(*id, |policy| policy.hourly_limit = *limit)?;
            }
            Change::EndSession(token) => {
                let token = self.engine.secret().digest_token(token.as_bytes());
                self.engine.end_session(&token);
            }
            Change::Unblock(ip) => {
                self.engine.unblock(*ip, at);
            }
        }
        Ok(Applied::Yes)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, Self::Error> {
        self.engine.clock().set(at);
        let decision = self.engine.decide(&Self::request(ask));
        Ok(Some(Answer::from(decision)))
    }
}

impl From<Decision> for Answer {
    /// All of a decision can be seen.
    fn from(decision: Decision) -> Self {
        let budget = decision.budget();
        Self {
            status: Some(decision.status()),
            reason: Some(decision.reason()),
            key: Some(decision.key()),
            user: Some(decision.user().map(ToString::to_string)),
            limit: Some(budget.map(|budget| budget.limit)),
            remaining: Some(budget.map(|budget| budget.remaining)),
            reset: Some(budget.map(|budget| budget.reset_s.into())),
            retry_after: Some(decision.retry_after_s().map(u64::from)),
            allow_origin: Some(decision.allow_origin()),
        }
    }
}
