//! `Idempotency-Key`: a request that makes something and is sent twice makes it
//! once, and is answered twice alike, its secret included.
//!
//! Of a secret only a seed is kept, in the row of the store that remembers the
//! request: whoever reads the store without the server secret cannot make it
//! again, and once the day of the request is over and it is forgotten nobody
//! can (`control::forget`).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::FromRequestParts;
use engine::{KeyId, Prefix, ServerSecret};
use http::header::{ETAG, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Idempotent, Writer};

use super::answer::json;
use super::etag::etag;
use crate::serve::control::work::{Fresh, Maker};
use crate::serve::control::{Admin, Control, Fault, Problem};

const HEADER: &str = "idempotency-key";
/// Says that an answer is that of an earlier sending.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest `Idempotency-Key`, in bytes.
const MAX_KEY: usize = 255;

/// What came of a request that makes something, without its secret: what an
/// answer to it says, now and when it is sent again.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Made {
    /// The body, but for the member with the secret.
    pub(super) body: Value,
    /// Where it is.
    pub(super) location: String,
    /// Its revision, where it has one.
    pub(super) revision: Option<i64>,
    /// Which secret is handed out with it.
    pub(super) secret: Secret,
}

impl Made {
    /// The id, if it is a key.
    fn key(&self) -> Option<KeyId> {
        match self.secret {
            Secret::Key(_) => self.body["id"].as_str()?.parse().ok(),
            _ => None,
        }
    }
}

/// A secret that an answer hands out.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Secret {
    None,
    /// A key of a prefix, in the member `key`.
    Key(String),
    /// An admin token of a prefix, in the member `token`.
    AdminToken(String),
    /// A session's, in the member `token`.
    SessionToken,
}

impl Secret {
    /// The member that holds it.
    fn member(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Key(_) => Some("key"),
            Self::AdminToken(_) | Self::SessionToken => Some("token"),
        }
    }

    /// Makes it again.
    fn again(&self, maker: &Maker, secret: &ServerSecret) -> Result<Option<String>, Problem> {
        Ok(match self {
            Self::None => None,
            Self::Key(prefix) | Self::AdminToken(prefix) => {
                let prefix: Prefix = prefix.parse().map_err(Problem::internal)?;
                Some(maker.key(&prefix, secret)?.expose().into())
            }
            Self::SessionToken => Some(maker.token(secret)?.expose().into()),
        })
    }
}

/// `Idempotency-Key`, where one was sent.
pub(super) struct IdempotencyKey {
    key: Option<Vec<u8>>,
    /// The request's method and path, which belong to what it says.
    target: String,
}

impl FromRequestParts<Control> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Problem> {
        let mut lines = parts.headers.get_all(HEADER).iter();
        let key = match (lines.next(), lines.next()) {
            (None, _) => None,
            (Some(key), None) if is_key(key.as_bytes()) => Some(key.as_bytes().to_vec()),
            _ => {
                return Err(Problem::invalid(vec![Fault::header(
                    "Idempotency-Key",
                    format!("one text of 1 to {MAX_KEY} printable ASCII characters is wanted"),
                )]));
            }
        };
        Ok(Self {
            key,
            target: format!("{} {}", parts.method, parts.uri.path()),
        })
    }
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_KEY).contains(&key.len()) && key.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Requests that are being answered, by who sends them and their key.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashSet<Sent>>>);

/// Who has sent a request, and the digest of its key.
type Sent = (KeyId, [u8; 32]);

/// One of them, until it is answered.
struct Turn {
    all: UnderWay,
    mine: Sent,
}

impl UnderWay {
    fn begin(&self, mine: Sent) -> Result<Turn, Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.insert(mine) {
            return Ok(Turn {
                all: self.clone(),
                mine,
            });
        }
        Err(Problem::conflict(
            "idempotency_under_way",
            "A request with this Idempotency-Key is being answered: send it again in a moment.",
        ))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.mine);
    }
}

impl Control {
    /// Answers a request that makes something: 201, or 202 where it is not in
    /// force yet. `make` returns what was made, and the secret in the clear.
    ///
    /// # Errors
    ///
    /// That of `make`, after which nothing was made; 409 where the same request
    /// is being answered, 422 where another had this `Idempotency-Key`.
    pub(super) async fn create(
        &self,
        admin: &Admin,
        idempotency: IdempotencyKey,
        body: &[u8],
        make: impl FnOnce(&Control, &mut Writer<'_>, &Maker) -> Result<(Made, Option<String>), Problem>
        + Send
        + 'static,
    ) -> Result<Response<Body>, Problem> {
        let control = self.clone();
        let Some(key) = idempotency.key else {
            let done = self.make(admin.actor(), move |writer| {
                let (made, secret) = make(&control, writer, &Maker::Random)?;
                Ok((made.key(), (made, secret, false)))
            });
            return answer(done.await?);
        };
        let digest = |parts: &[&[u8]]| {
            let mut text = Vec::new();
            for part in parts {
                text.extend((part.len() as u64).to_le_bytes());
                text.extend_from_slice(part);
            }
            *self.engine().secret().digest_token(&text).as_bytes()
        };
        let (id, key) = (admin.id, digest(&[b"idempotency key", &key]));
        let request = digest(&[b"request", idempotency.target.as_bytes(), body]);
        let turn = self.under_way().begin((id, key))?;
        let done = self.make(admin.actor(), move |writer| {
            let _turn = turn;
            let secret = control.engine().secret();
            match writer.idempotent(id, &key, &request)? {
                Idempotent::Fresh { nonce } => {
                    let (made, shown) = make(&control, writer, &maker(id, &key, &nonce))?;
                    let outcome = serde_json::to_value(&made).map_err(Problem::internal)?;
                    writer.set_outcome(id, &key, &outcome)?;
                    Ok((made.key(), (made, shown, false)))
                }
                Idempotent::Replay { nonce, outcome } => {
                    let outcome = outcome.unwrap_or_default();
                    let made: Made = serde_json::from_value(outcome).map_err(Problem::internal)?;
                    let shown = made.secret.again(&maker(id, &key, &nonce), secret)?;
                    Ok((made.key(), (made, shown, true)))
                }
                Idempotent::Mismatch => Err(Problem::invalid(vec![Fault::header(
                    "Idempotency-Key",
                    "another request had this one within the last day: use a new one",
                )])),
            }
        });
        answer(done.await?)
    }
}

/// The seed of a request's secret.
fn maker(id: KeyId, key: &[u8; 32], nonce: &[u8; 32]) -> Maker {
    let id = id.to_string();
    Maker::Seed([id.as_bytes(), key, nonce].concat().into())
}

/// What was made, its secret, and whether it had been made before.
fn answer(fresh: Fresh<(Made, Option<String>, bool)>) -> Result<Response<Body>, Problem> {
    let (mut made, secret, replayed) = fresh.made;
    let status = if fresh.in_force {
        StatusCode::CREATED
    } else {
        StatusCode::ACCEPTED
    };
    if let (Some(member), Some(secret), Value::Object(body)) =
        (made.secret.member(), secret, &mut made.body)
    {
        body.insert(member.into(), secret.into());
    }
    let mut answer = json(status, &made.body)?;
    let headers = answer.headers_mut();
    let location = HeaderValue::try_from(made.location).map_err(Problem::internal)?;
    headers.insert(LOCATION, location);
    headers.extend(made.revision.map(|revision| (ETAG, etag(revision))));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}
