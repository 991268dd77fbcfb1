//! `tokenkit explain`: how the server would decide about one request, check by
//! check, without charging or counting anything.
//!
//! An engine of its own gets the one key and the session that the request
//! shows and the blocks that are exempt, and looks at the ledger's file of the
//! server, which it does not join.

mod counts;
mod read;
mod shown;

use std::io::Write;
use std::process::ExitCode;

use engine::wire::Wire;
use engine::{Engine, KeyId, Prefix, Request, ServerSecret};
use engine_hyper::RouteNeeds;
use http::Method;
use store::{Store, StoreError};

use self::read::{Given, in_header};
use self::shown::Shown;
use super::fields::{flag, key_id};
use crate::cli::Explain;
use crate::error::{Failure, OperatorError};
use crate::keystore::{self, now};
use crate::settings::{Settings, ShadowRule, route_policy};
use crate::when::parse_when;

/// The exit code where the request would be refused.
const EXIT_REFUSED: u8 = 1;

/// Explains a request; exit code 0 if it would be allowed, 1 if not.
///
/// # Errors
///
/// What the operator gave does not work, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    command: &Explain,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let at = match &command.at {
        None => now(),
        Some(text) => flag("--at", text, |text| parse_when(text, now()))?,
    };
    let by_id = command.key_id.as_deref().map(key_id).transpose()?;
    let needs = needs(settings, command)?;
    let wire = Wire::new(&settings.http.realm, settings.http.legacy_headers)
        .map_err(|error| OperatorError::wrap("http.realm", error))?;
    let given = Given::read(command)?;
    let (store, secret) = keystore::open(settings)?;

    let builder = keystore::engine(settings, &secret);
    let counts = counts::of(settings, &builder)?;
    let engine = builder
        .max_keys(1)
        .build()
        .map_err(|error| OperatorError::with_causes(&error))?;
    engine.set_shadow(ShadowRule::policy(&settings.shadow));
    let exempt = store.exempt()?;
    engine.set_exempt(exempt.into_iter().map(|block| block.addresses).collect());
    let id = by_id.or_else(|| given.key.as_deref().and_then(id_in));
    let prefix = match id {
        Some(id) => bring_key(&store, &engine, id)?,
        None => None,
    };
    if let Some(token) = &given.bearer {
        bring_session(&store, &engine, &secret, token)?;
    }

    let mut request = Request::new(command.ip)
        .needs_user(needs.needs_user)
        .cost(needs.cost);
    if let Some(key) = &given.key {
        request = request.api_key(key.as_bytes());
    }
    if let Some(token) = &given.bearer {
        request = request.bearer(token.as_bytes());
    }
    let origin = command.origin.as_deref().map(in_header);
    if let Some(origin) = &origin {
        request = request.origin(origin.as_bytes());
    }
    let mut explaining = engine.explaining(&request, at);
    if let Some(id) = by_id {
        explaining = explaining.showing(id);
    }
    // Of a key that is sent whole, the form itself says it.
    if let Some(prefix) = prefix {
        explaining = explaining.of_prefix(prefix);
    }
    let explanation = counts.explain(explaining);

    let origin = origin.as_deref();
    let shown = Shown::of(&explanation, &engine, &wire, at, origin, counts.note());
    shown.write(command.json, out)?;
    Ok(match explanation.decision.is_allowed() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_REFUSED),
    })
}

/// What the endpoint wants: what is said, or else what its route says.
fn needs(settings: &Settings, command: &Explain) -> Result<RouteNeeds, OperatorError> {
    let mut needs = match &command.path {
        None => RouteNeeds::default(),
        Some(path) => {
            let method = command.method.as_deref().unwrap_or("GET");
            let method = flag("--method", method, |text| {
                Method::from_bytes(text.as_bytes())
            })?;
            let path = path.split('?').next().unwrap_or_default();
            route_policy(&settings.routes)?.needs(&method, path.as_bytes())
        }
    };
    needs.needs_user |= command.needs_user;
    needs.cost = command.cost.unwrap_or(needs.cost);
    Ok(needs)
}

/// The id in what may be a key.
fn id_in(key: &str) -> Option<KeyId> {
    let id = KeyId::shown_in(key.as_bytes())?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// Puts the key of an id into the engine, if the store has it; its prefix then.
fn bring_key(store: &Store, engine: &Engine, id: KeyId) -> Result<Option<Prefix>, OperatorError> {
    match store.key(id) {
        Ok(key) => engine
            .insert_keys(vec![key.record])
            .map(|()| Some(key.prefix))
            .map_err(|error| OperatorError::with_causes(&error)),
        Err(StoreError::NoKey(_)) => Ok(None),
        Err(error) => Err(OperatorError::new(error)),
    }
}

/// Puts the session of a token into the engine, if the store has it.
fn bring_session(
    store: &Store,
    engine: &Engine,
    secret: &ServerSecret,
    token: &str,
) -> Result<(), OperatorError> {
    let digest = secret.digest_token(token.as_bytes());
    store
        .each_session(|stored| {
            if stored.token == digest && !stored.ended {
                engine.put_session(digest, stored.session);
            }
            Ok(())
        })
        .map_err(|error: StoreError| OperatorError::new(error))
}
