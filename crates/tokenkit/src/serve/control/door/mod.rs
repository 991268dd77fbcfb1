//! The admin door: who may come in by which token.
//!
//! Admin tokens are keys in form, and an engine of their own decides about them:
//! so what it promises for keys holds for them, the throttling of guesses by
//! address among it. It counts in memory, apart from the requests that clients
//! send: guesses here block nobody there.
//!
//! Fails closed: a token that the store does not hold opens nothing. Where the
//! store cannot be read, what was known stays in force, as with keys.

mod sign_in;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use engine::{
    ClientAddr, Credential, Engine, FailureConfig, KeyId, KeyPolicy, KeyRecord, KeyState, Name,
    Prefixes, Reason, Request, ServerSecret,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use store::{Actor, MAX_TOKENS_IN_USE, Scope, Store, StoredToken};

use self::sign_in::Visits;
pub(crate) use self::sign_in::{COOKIES, Visit};
use super::problem::Problem;
use crate::admin_token;
use crate::error::OperatorError;
use crate::serve::door::is_hidden;
use crate::settings::Settings;

/// Tokens that the door knows at a time: all that are in use, and of those that
/// are not the last, which are so told what became of theirs.
const MAX_TOKENS: usize = 2 * MAX_TOKENS_IN_USE as usize;
/// Room for these, and for as many again: a key that was removed keeps its place
/// for some hours, in which no more tokens are made than may be in use.
const ROOM: u32 = 4 * MAX_TOKENS_IN_USE;
/// Addresses whose guesses are remembered.
const MAX_ADDRESSES: u32 = 4096;

/// Whoever showed a good token.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// The token's public part.
    pub(crate) id: KeyId,
    /// What people call the token.
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

impl Admin {
    /// Who a change is by that is made through the API.
    pub(crate) fn actor(&self) -> Actor {
        Actor::token(self.id)
    }

    /// Lets through who may change things.
    ///
    /// # Errors
    ///
    /// 403 for the others.
    pub(crate) fn may_write(&self) -> Result<(), Problem> {
        if self.scope >= Scope::Write {
            return Ok(());
        }
        Err(Problem::forbidden(
            "read_only",
            "This admin token may look and not change: use one of scope write.",
        ))
    }
}

/// The door.
pub(crate) struct Door {
    engine: Engine,
    project: Name,
    /// By the token's id; replaced as a whole.
    admins: ArcSwap<HashMap<KeyId, Admin>>,
    /// [`Store::tokens_revision`] of these. Held while they are renewed, so that
    /// an older look at the store never comes after a newer one.
    seen: Mutex<Option<i64>>,
    visits: Visits,
}

impl Door {
    /// A door that knows no token yet.
    ///
    /// # Errors
    ///
    /// There is no room for its table.
    pub(crate) fn new(settings: &Settings, secret: &ServerSecret) -> Result<Self, OperatorError> {
        let cannot = |error: &dyn std::fmt::Display| {
            OperatorError::wrap("the admin address cannot be guarded", error)
        };
        let prefix = admin_token::prefix().map_err(|error| cannot(&error))?;
        // Whom the server's clients are exempted among may still not guess here.
        let failures = FailureConfig {
            exempt: engine::CidrList::default(),
            max_addresses: MAX_ADDRESSES,
            ..settings.failures.clone()
        };
        let engine = Engine::builder(secret.clone())
            .prefixes(Prefixes::new([prefix]).map_err(|error| cannot(&error))?)
            .failures(failures)
            .max_keys(ROOM)
            .build()
            .map_err(|error| cannot(&error))?;
        Ok(Self {
            engine,
            project: "admin".parse().map_err(|error| cannot(&error))?,
            admins: ArcSwap::default(),
            seen: Mutex::new(None),
            visits: Visits::new(&settings.admin),
        })
    }

    /// Takes over the tokens that the store holds now, in the place of those
    /// before, where any has changed. Costs a microsecond where none has.
    ///
    /// # Errors
    ///
    /// The store cannot be read: those known before stay in force.
    pub(crate) fn renew(&self, store: &Store) -> Result<(), OperatorError> {
        let cannot = |error: &dyn std::fmt::Display| {
            OperatorError::wrap("the admin tokens cannot be taken over", error)
        };
        // Whatever panics under it leaves the revision as it was.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The revision first: what comes between the two is looked at again.
        let revision = store.tokens_revision().map_err(|error| cannot(&error))?;
        if *seen == Some(revision) {
            return Ok(());
        }
        let mut tokens = store.tokens().map_err(|error| cannot(&error))?;
        // The newest come first, and stay so among their like.
        let now = self.now();
        tokens.sort_by_key(|token| !token.is_in_use(now));
        tokens.truncate(MAX_TOKENS);
        let admin = |token: &StoredToken| Admin {
            id: token.id,
            name: token.name.to_string(),
            scope: token.scope,
        };
        let admins: HashMap<KeyId, Admin> = tokens
            .iter()
            .map(|token| (token.id, admin(token)))
            .collect();
        let before = self.admins.load_full();
        // First, so that there is room for those that come.
        for id in before.keys().filter(|id| !admins.contains_key(id)) {
            // It is there: nobody else takes one away.
            let _ = self.engine.remove_key(*id);
        }
        let records = tokens.into_iter().map(|token| record(token, self.project));
        self.engine
            .put_keys(records.collect())
            .map_err(|error| cannot(&error))?;
        self.admins.store(admins.into());
        *seen = Some(revision);
        Ok(())
    }

    /// Who sends a request to the API, by its `Authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// 401 without a good token, 429 for an address that has guessed too often.
    pub(crate) fn admit(&self, client: ClientAddr, headers: &HeaderMap) -> Result<Admin, Problem> {
        debug_assert!(is_hidden(headers, AUTHORIZATION.as_str()));
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let shown = match (values.next(), values.next()) {
            (None, _) => Credential::Absent,
            (Some(value), None) => bearer(value.as_bytes()),
            (Some(_), Some(_)) => Credential::Repeated,
        };
        self.check(client, shown)
    }

    /// Signs in to the pages by a token; the value of `Set-Cookie` that says so
    /// from then on.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit); 500 where the system gives no random bytes.
    pub(crate) fn sign_in(&self, client: ClientAddr, token: &str) -> Result<String, Problem> {
        let admin = self.check(client, Credential::One(token.trim().as_bytes()))?;
        self.visits.begin(&admin, self.engine.secret(), self.now())
    }

    /// Who is signed in, by the cookie that a browser sends. Nobody, once the
    /// token by which that was is revoked, expired or gone.
    pub(crate) fn visit(&self, headers: &HeaderMap) -> Option<Visit> {
        let now = self.now();
        let (id, csrf) = self.visits.find(headers, self.engine.secret(), now)?;
        let policy = self.engine.key_policy(id)?;
        let live = policy.state == KeyState::Active
            && policy.expires_at.is_none_or(|expires_at| now < expires_at);
        if !live {
            self.visits.end_all_of(id);
            return None;
        }
        let admin = self.admins.load().get(&id)?.clone();
        Some(Visit::new(admin, csrf))
    }

    /// Signs out whoever sends this cookie; the value of `Set-Cookie` that has
    /// the browser forget it.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> String {
        self.visits.end(headers, self.engine.secret())
    }

    /// Whether two secrets are one, in constant time.
    pub(crate) fn is_same(&self, a: &str, b: &str) -> bool {
        // Digests are compared so, and those of two texts differ.
        let digest = |text: &str| self.engine.secret().digest_token(text.as_bytes());
        digest(a) == digest(b)
    }

    fn check(&self, client: ClientAddr, shown: Credential<'_>) -> Result<Admin, Problem> {
        let decision = self
            .engine
            .decide(&Request::new(client).api_key_header(shown));
        let refused = |reason, detail| Err(Problem::unauthorized(reason, detail));
        match decision.reason() {
            Reason::Allowed => {
                let admins = self.admins.load();
                match decision.key().and_then(|id| admins.get(&id)) {
                    Some(admin) => Ok(admin.clone()),
                    // Gone between the two looks.
                    None => refused("unknown_token", "The admin token is unknown."),
                }
            }
            Reason::IpBlocked => Err(Problem::too_many(
                "Too many failed attempts from this IP address. Try again later.",
                decision.retry_after_s().unwrap_or(1),
            )),
            Reason::MissingKey => refused(
                "missing_token",
                "An admin token is wanted, as Authorization: Bearer tk_admin_…; \
                 `tokenkit admin token create` makes one.",
            ),
            Reason::MalformedKey => refused("malformed_token", "The admin token is malformed."),
            Reason::RevokedKey => refused("revoked_token", "The admin token has been revoked."),
            Reason::ExpiredKey => refused("expired_token", "The admin token has expired."),
            _ => refused("unknown_token", "The admin token is unknown."),
        }
    }

    fn now(&self) -> u64 {
        self.engine.clock().now()
    }
}

/// What stands behind `Bearer`; another scheme shows no token.
fn bearer(value: &[u8]) -> Credential<'_> {
    const SCHEME: &[u8] = b"bearer ";
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            Credential::One(token.trim_ascii())
        }
        _ => Credential::Absent,
    }
}

/// A token as the engine keeps it. Its scope is kept beside: what each key must
/// have, a project, is the same for all.
fn record(token: StoredToken, project: Name) -> KeyRecord {
    let mut policy = KeyPolicy::new(project);
    policy.expires_at = token.expires_at;
    policy.state = match token.revoked_at {
        Some(_) => KeyState::Revoked,
        None => KeyState::Active,
    };
    KeyRecord {
        id: token.id,
        digest: token.digest,
        policy,
    }
}
