//! From the JSON of a trace to a [`Trace`]: what its values mean is checked
//! here, each fault with its place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use engine::{
    CidrList, FailureConfig, KeyId, KeyPolicy, KeyState, Limit, Name, OriginList, Prefix, Prefixes,
    Reason, SecretKey, SessionRecord,
};

use crate::answer::Answer;
use crate::error::{Place, Problem, TraceError};
use crate::format::{
    Object, RawAction, RawConfig, RawExpect, RawFailures, RawKey, RawRequest, RawSession, RawStep,
    RawTrace,
};
use crate::model::{Action, Ask, Change, Config, Key, NONE, Session, Step, StepKind, Trace};

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    ///
    /// The first fault found, with its place: JSON that is none, a member that
    /// is unknown, missing, twice there or of the wrong type, and values or
    /// names that mean nothing. What only a subject can refuse, such as a
    /// window that is no multiple of 12, comes up in [`replay`](crate::replay).
    pub fn parse(json: &[u8]) -> Result<Self, TraceError> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let Object(raw) = serde_path_to_error::deserialize::<_, Object<RawTrace>>(&mut reader)
            .map_err(|error| {
                let place = Place::of_path(error.path());
                Problem::Json(error.into_inner()).at(&place)
            })?;
        let root = Place::default();
        reader
            .end()
            .map_err(|error| Problem::Json(error).at(&root))?;
        if raw.trace != 1 {
            return Err(Problem::Version(raw.trace).at(&root));
        }

        let mut known = Known::default();
        let config = raw
            .config
            .map_or_else(RawConfig::default, |Object(config)| config);
        let config = read_config(config, &root.member("config"))?;
        let keys = (raw.keys.into_iter().enumerate())
            .map(|(i, Object(key))| known.add(key, &Place::nth("key", i)))
            .collect::<Result<_, _>>()?;
        let sessions = (raw.sessions.into_iter().enumerate())
            .map(|(i, Object(session))| read_session(session, &Place::nth("session", i)))
            .collect::<Result<_, _>>()?;
        let steps = (raw.steps.into_iter().enumerate())
            .map(|(i, Object(step))| read_step(step, &mut known, &Place::nth("step", i)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: raw.name,
            config,
            keys,
            sessions,
            steps,
            names: known.names,
        })
    }
}

/// The keys that are there up to the place that is read.
#[derive(Default)]
struct Known {
    ids: HashMap<String, KeyId>,
    names: HashMap<KeyId, Option<String>>,
}

impl Known {
    fn id(&self, name: &str, place: &Place) -> Result<KeyId, TraceError> {
        let id = self.ids.get(name).copied();
        id.ok_or_else(|| Problem::UnknownKey(name.into()).at(place))
    }

    fn add(&mut self, raw: RawKey, place: &Place) -> Result<Key, TraceError> {
        let secret: SecretKey = raw
            .secret
            .parse()
            .map_err(|error| Problem::Secret(error).at(&place.member("secret")))?;
        if let Some(name) = &raw.name {
            match self.ids.entry(name.clone()) {
                Entry::Occupied(_) => {
                    return Err(Problem::NameTwice(name.clone()).at(&place.member("name")));
                }
                Entry::Vacant(entry) => entry.insert(secret.id()),
            };
        }
        if self.names.insert(secret.id(), raw.name.clone()).is_some() {
            return Err(Problem::IdTwice.at(&place.member("secret")));
        }
        let mut policy = KeyPolicy::new(read_name(raw.project, &place.member("project"))?);
        policy.hourly_limit = read_limit(raw.hourly_limit, &place.member("hourly_limit"))?;
        policy.expires_at = raw.expires_at;
        policy.state = match raw.state.as_deref() {
            None | Some("active") => KeyState::Active,
            Some("disabled") => KeyState::Disabled,
            Some("revoked") => KeyState::Revoked,
            Some(other) => return Err(Problem::State(other.into()).at(&place.member("state"))),
        };
        policy.require_origin = raw.require_origin;
        policy.origins = read_origins(&raw.origins, &place.member("origins"))?;
        policy.ips = read_blocks(&raw.ips, &place.member("ips"))?;
        Ok(Key {
            name: raw.name,
            secret,
            policy,
        })
    }
}

fn read_config(raw: RawConfig, place: &Place) -> Result<Config, TraceError> {
    let prefixes = match raw.prefixes {
        None => Prefixes::default(),
        Some(texts) => {
            let place = place.member("prefixes");
            let list = read_list::<Prefix, _>(&texts, &place, Problem::Prefix)?;
            Prefixes::new(list).map_err(|error| Problem::Prefix(error).at(&place))?
        }
    };
    let failures = raw
        .failures
        .map_or_else(RawFailures::default, |Object(failures)| failures);
    let default = FailureConfig::default();
    let exempt = read_blocks(&failures.exempt, &place.member("failures").member("exempt"))?;
    Ok(Config {
        prefixes,
        origins: read_origins(&raw.origins, &place.member("origins"))?,
        failures: FailureConfig {
            threshold: failures.threshold.unwrap_or(default.threshold),
            window_s: failures.window_s.unwrap_or(default.window_s),
            block_s: failures.block_s.unwrap_or(default.block_s),
            exempt,
            max_addresses: default.max_addresses,
        },
    })
}

fn read_session(raw: RawSession, place: &Place) -> Result<Session, TraceError> {
    Ok(Session {
        token: raw.token,
        record: SessionRecord {
            project: read_name(raw.project, &place.member("project"))?,
            user: read_name(raw.user, &place.member("user"))?,
            expires_at: raw.expires_at,
        },
    })
}

fn read_step(raw: RawStep, known: &mut Known, place: &Place) -> Result<Step, TraceError> {
    let kind = match (raw.request, raw.action) {
        (Some(Object(request)), None) => StepKind::Decide {
            ask: read_request(request, &place.member("request"))?,
            expect: match raw.expect {
                None => Answer::default(),
                Some(Object(expect)) => read_expect(expect, known, &place.member("expect"))?,
            },
        },
        (None, Some(_)) if raw.expect.is_some() => return Err(Problem::ExpectWithDo.at(place)),
        (None, Some(Object(action))) => {
            StepKind::Do(read_action(action, known, &place.member("do"))?)
        }
        (Some(_), Some(_)) => return Err(Problem::OneOf("both").at(place)),
        (None, None) => return Err(Problem::OneOf("neither").at(place)),
    };
    Ok(Step { at: raw.at, kind })
}

fn read_request(raw: RawRequest, place: &Place) -> Result<Ask, TraceError> {
    let cost = raw.cost.unwrap_or(1);
    Ok(Ask {
        ip: read_ip(&raw.ip, &place.member("ip"))?,
        cost: u32::try_from(cost).map_err(|_| Problem::Cost(cost).at(&place.member("cost")))?,
        api_key: raw.api_key,
        origin: raw.origin,
        bearer: raw.bearer,
        needs_user: raw.needs_user,
    })
}

fn read_expect(raw: RawExpect, known: &Known, place: &Place) -> Result<Answer, TraceError> {
    let reason = raw.reason.map(|word| {
        let reason = Reason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word);
        reason.ok_or_else(|| Problem::Reason(word).at(&place.member("reason")))
    });
    let key = raw.key.map(|name| {
        name.map(|name| known.id(&name, &place.member("key")))
            .transpose()
    });
    Ok(Answer {
        status: raw.status,
        reason: reason.transpose()?,
        key: key.transpose()?,
        user: raw.user,
        limit: raw.limit,
        remaining: raw.remaining,
        reset: raw.reset,
        retry_after: raw.retry_after,
        allow_origin: raw.allow_origin,
    })
}

fn read_action(raw: RawAction, known: &mut Known, place: &Place) -> Result<Action, TraceError> {
    let mut actions = Vec::new();
    let states = [
        ("revoke", raw.revoke, KeyState::Revoked),
        ("disable", raw.disable, KeyState::Disabled),
        ("enable", raw.enable, KeyState::Active),
    ];
    for (word, name, state) in states {
        if let Some(name) = name {
            let id = known.id(&name, &place.member(word))?;
            actions.push(Action::Change(Change::SetState(id, state)));
        }
    }
    if let Some((name, limit)) = raw.set_limit {
        let place = place.member("set_limit");
        let id = known.id(&name, &place.element(0))?;
        let limit = read_limit(limit, &place.element(1))?;
        actions.push(Action::Change(Change::SetLimit(id, limit)));
    }
    if let Some(Object(key)) = raw.add_key {
        actions.push(Action::AddKey(known.add(key, &place.member("add_key"))?));
    }
    if let Some(Object(session)) = raw.add_session {
        let session = read_session(session, &place.member("add_session"))?;
        actions.push(Action::AddSession(session));
    }
    if let Some(token) = raw.end_session {
        actions.push(Action::Change(Change::EndSession(token)));
    }
    if let Some(ip) = raw.unblock {
        let ip = read_ip(&ip, &place.member("unblock"))?;
        actions.push(Action::Change(Change::Unblock(ip)));
    }
    let count = actions.len();
    match actions.pop() {
        Some(action) if count == 1 => Ok(action),
        _ => Err(Problem::OneAction(count).at(place)),
    }
}

/// The name of a project or a user; left out, a stand-in that no name is.
fn read_name(text: Option<String>, place: &Place) -> Result<Name, TraceError> {
    let text = match text.as_deref() {
        None => NONE,
        Some(NONE) => return Err(Problem::NoneWrittenOut.at(place)),
        Some(text) => text,
    };
    text.parse().map_err(|error| Problem::Name(error).at(place))
}

fn read_limit(units: Option<u64>, place: &Place) -> Result<Option<Limit>, TraceError> {
    let limit = units.map(Limit::try_from).transpose();
    limit.map_err(|error| Problem::Limit(error).at(place))
}

fn read_ip(text: &str, place: &Place) -> Result<IpAddr, TraceError> {
    text.parse().map_err(|_| Problem::Ip(text.into()).at(place))
}

fn read_origins(texts: &[String], place: &Place) -> Result<OriginList, TraceError> {
    read_list(texts, place, Problem::Origin).map(OriginList::from_iter::<Vec<_>>)
}

fn read_blocks(texts: &[String], place: &Place) -> Result<CidrList, TraceError> {
    read_list(texts, place, Problem::Cidr).map(CidrList::from_iter::<Vec<_>>)
}

/// Reads every text of a list, a fault with its place in the list.
fn read_list<T, E>(
    texts: &[String],
    place: &Place,
    problem: impl Fn(E) -> Problem,
) -> Result<Vec<T>, TraceError>
where
    T: std::str::FromStr<Err = E>,
{
    (texts.iter().enumerate())
        .map(|(i, text)| {
            text.parse()
                .map_err(|error| problem(error).at(&place.element(i)))
        })
        .collect()
}
