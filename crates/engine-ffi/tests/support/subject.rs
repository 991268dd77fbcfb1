//! An engine behind the C interface, as a subject for traces.

use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::net::IpAddr;

use engine_ffi::*;
use thiserror::Error;
use trace::{Answer, Applied, Ask, Change, Key, Session, Subject, Trace};

use super::{Owned, admitting, key, last_error, request, session};
use engine::{KeyState, Reason};

/// A call that did not answer TK_OK.
#[derive(Debug, Error)]
#[error("{0:?}: {1}")]
pub(crate) struct CallError(tk_result, String);

fn done(result: tk_result) -> Result<(), CallError> {
    match result {
        tk_result::TK_OK => Ok(()),
        other => Err(CallError(other, last_error())),
    }
}

/// One call for each decision.
pub(crate) struct Lone(Owned);

/// The same, asked as a batch of one.
pub(crate) struct Batched(Lone);

/// A list as a text.
fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("{item} ")).collect()
}

impl Lone {
    fn asked(ask: &Ask) -> tk_request {
        let text = |text: &Option<String>| text.as_deref().map_or(tk_bytes::NONE, tk_bytes::from);
        let mut request = tk_request {
            api_key: text(&ask.api_key),
            origin: text(&ask.origin),
            bearer: text(&ask.bearer),
            needs_user: ask.needs_user.into(),
            cost: ask.cost,
            client: [0; 16],
            ..request()
        };
        match ask.ip {
            IpAddr::V4(ip) => request.client[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => {
                request.client = ip.octets();
                request.client_len = 16;
            }
        }
        request
    }
}

impl Subject for Lone {
    type Error = CallError;

    fn build(trace: &Trace) -> Result<Self, CallError> {
        let config = &trace.config;
        let prefixes = list(config.prefixes.iter().map(engine::Prefix::as_str));
        let origins = list(config.origins.iter());
        let exempt = list(config.failures.exempt.iter());
        Owned::with(|given| {
            given.prefixes = prefixes.as_str().into();
            given.origins = origins.as_str().into();
            given.exempt = exempt.as_str().into();
            given.threshold = config.failures.threshold;
            given.window_s = config.failures.window_s;
            given.block_s = config.failures.block_s;
            given.max_addresses = config.failures.max_addresses;
            given.max_keys = 0;
        })
        .map(Self)
        .map_err(|result| CallError(result, last_error()))
    }

    fn add_key(&mut self, added: &Key) -> Result<Applied, CallError> {
        let policy = &added.policy;
        let (origins, ips) = (list(policy.origins.iter()), list(policy.ips.iter()));
        let key = tk_key {
            secret: added.secret.expose().into(),
            project: policy.project.as_str().into(),
            origins: origins.as_str().into(),
            ips: ips.as_str().into(),
            hourly_limit: policy
                .hourly_limit
                .map_or(TK_UNLIMITED, engine::Limit::units),
            expires_at: policy.expires_at.unwrap_or(TK_NEVER),
            state: number(policy.state),
            require_origin: policy.require_origin.into(),
            ..key()
        };
        // SAFETY: one whole struct, whose texts are alive.
        done(unsafe { tk_keys_put(self.0.0, &key, 1) }).map(|()| Applied::Yes)
    }

    fn add_session(&mut self, added: &Session) -> Result<Applied, CallError> {
        let session = tk_session {
            token: added.token.as_str().into(),
            project: added.record.project.as_str().into(),
            user: added.record.user.as_str().into(),
            expires_at: added.record.expires_at.unwrap_or(TK_NEVER),
            ..session()
        };
        // SAFETY: one whole struct, whose texts are alive.
        done(unsafe { tk_sessions_put(self.0.0, &session, 1) }).map(|()| Applied::Yes)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, CallError> {
        let engine = self.0.0;
        let result = match change {
            Change::SetState(id, state) => {
                let id = id.to_chars();
                // SAFETY: `id` is alive; the output is not wanted.
                unsafe {
                    tk_key_set_state(
                        engine,
                        id.as_slice().into(),
                        number(*state),
                        std::ptr::null_mut(),
                    )
                }
            }
            Change::SetLimit(id, limit) => {
                let id = id.to_chars();
                let limit = limit.map_or(TK_UNLIMITED, engine::Limit::units);
                // SAFETY: `id` is alive.
                unsafe { tk_key_set_limit(engine, id.as_slice().into(), limit) }
            }
            Change::EndSession(token) => {
                // SAFETY: `token` is alive; the output is not wanted.
                unsafe { tk_session_end(engine, token.as_str().into(), std::ptr::null_mut()) }
            }
            Change::Unblock(ip) => {
                let ip = ip.to_string();
                // SAFETY: `ip` is alive; the output is not wanted.
                unsafe { tk_unblock(engine, ip.as_str().into(), at, std::ptr::null_mut()) }
            }
        };
        done(result).map(|()| Applied::Yes)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, CallError> {
        let (request, mut decision) = (Self::asked(ask), admitting());
        // SAFETY: both are whole structs of ours, whose texts are alive.
        done(unsafe { tk_decide_at(self.0.0, &request, at, &mut decision) })?;
        Ok(Some(read(&decision)))
    }
}

impl Subject for Batched {
    type Error = CallError;

    fn build(trace: &Trace) -> Result<Self, CallError> {
        Lone::build(trace).map(Self)
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, CallError> {
        self.0.add_key(key)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, CallError> {
        self.0.add_session(session)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, CallError> {
        self.0.change(at, change)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, CallError> {
        let (request, mut decision) = (Lone::asked(ask), admitting());
        // SAFETY: arrays of one, both whole structs of ours.
        done(unsafe { tk_decide_batch_at(self.0.0.0, &request, 1, at, &mut decision) })?;
        Ok(Some(read(&decision)))
    }
}

fn number(state: KeyState) -> u32 {
    match state {
        KeyState::Active => tk_state::TK_STATE_ACTIVE as u32,
        KeyState::Disabled => tk_state::TK_STATE_DISABLED as u32,
        KeyState::Revoked => tk_state::TK_STATE_REVOKED as u32,
    }
}

/// All of a decision, as a C program reads it.
fn read(decision: &tk_decision) -> Answer {
    let text = |chars: &[c_char]| -> Option<String> {
        let bytes: Vec<u8> = chars.iter().map(|&char| char as u8).collect();
        let text = CStr::from_bytes_until_nul(&bytes)
            .unwrap()
            .to_str()
            .unwrap();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let has_budget = decision.reset_s != 0;
    let budget = |number| has_budget.then_some(number);
    let reason = Reason::ALL
        .into_iter()
        .find(|reason| *reason as u8 == decision.reason);
    Answer {
        status: Some(decision.status),
        reason: Some(reason.unwrap()),
        key: Some(text(&decision.key_id).map(|id| id.parse().unwrap())),
        user: Some(text(&decision.user)),
        limit: Some(budget(decision.limit)),
        remaining: Some(budget(decision.remaining)),
        reset: Some(budget(decision.reset_s.into())),
        retry_after: Some((decision.status == 429).then_some(decision.retry_after_s.into())),
        allow_origin: Some(decision.allow_origin == 1),
    }
}
