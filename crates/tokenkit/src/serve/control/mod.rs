//! The admin address: health and metrics, the API for programs, and the frame
//! in which the pages for people stand.
//!
//! | file | what |
//! |---|---|
//! | `listen` | connections |
//! | `front` | the way of a request: guard, door, router, headers |
//! | `guard` | hosts and origins |
//! | `door` | admin tokens, and who is signed in |
//! | `extract`, `problem` | what handlers take and answer |
//! | `forget` | requests that were made a day ago |
//! | `keeper` | the store, on threads that may wait |
//! | `status` | health, readiness, metrics |
//! | `work` | what can be done, by the API and the pages alike |
//! | `api` | `/v1` |

mod api;
mod door;
mod extract;
mod forget;
mod front;
mod guard;
mod keeper;
mod listen;
mod problem;
mod status;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use engine::{ClientAddr, Engine, Hour, Reason, ServerSecret};
use http::HeaderMap;
use store::{Following, Store};

use self::api::UnderWay;
pub(crate) use self::door::{Admin, COOKIES, Door, Visit};
pub(crate) use self::extract::{Form, SignedIn};
pub(crate) use self::forget::forget_requests;
pub(crate) use self::front::Front;
pub(crate) use self::keeper::Keeper;
pub(crate) use self::listen::start;
pub(crate) use self::problem::{Fault, Problem};
pub(crate) use self::status::{Parts, Status};
pub(crate) use self::work::{
    BlockedAddress, ExemptBlock, KeyChange, Maker, NewKey, NewProject, NewToken, Precondition,
    Rotation,
};
use super::live::Live;
use super::pages::Recent;
use super::refusals::Refused;
use crate::error::OperatorError;
use crate::settings::Settings;

/// What every handler of the admin address works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Control(Arc<Inner>);

struct Inner {
    made: Made,
    keeper: Keeper,
    door: Door,
    under_way: UnderWay,
    recent: Recent,
}

/// What the start has made.
pub(crate) struct Made {
    pub(crate) settings: Settings,
    pub(crate) engine: Arc<Engine>,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) following: Arc<Following>,
    pub(crate) status: Arc<Status>,
    /// Where clients' requests are taken.
    pub(crate) listen: SocketAddr,
}

impl Control {
    /// Takes what the start has made, the store open for changes, and the
    /// secret.
    ///
    /// # Errors
    ///
    /// There is no room for the door's own table.
    pub(crate) fn new(
        made: Made,
        store: Store,
        secret: &ServerSecret,
    ) -> Result<Self, OperatorError> {
        let wait = made.settings.store.lock_timeout;
        Ok(Self(Arc::new(Inner {
            door: Door::new(&made.settings, secret)?,
            keeper: Keeper::new(store, secret.clone(), wait),
            under_way: UnderWay::default(),
            recent: Recent::default(),
            made,
        })))
    }

    /// The settings that the server was started with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.made.settings
    }

    /// The engine that decides about clients' requests.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.made.engine
    }

    /// Where clients' requests are taken.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.0.made.listen
    }

    /// The admin door.
    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// The thread that takes changes of the store into the engine.
    fn following(&self) -> &Following {
        &self.0.made.following
    }

    /// What is counted.
    fn status(&self) -> &Status {
        &self.0.made.status
    }

    /// Decisions so far, by their reason.
    pub(crate) fn decisions(&self) -> Vec<(Reason, u64)> {
        self.status().decisions()
    }

    /// Which keys were refused this hour, and about how often, most first.
    pub(crate) fn refused_keys(&self) -> Vec<Refused> {
        self.status().refused(Hour::of(self.now()).number())
    }

    /// What was decided in the last minutes.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// Requests that make something and are being answered.
    fn under_way(&self) -> &UnderWay {
        &self.0.under_way
    }

    /// The store.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.0.keeper
    }

    /// Whose request it is: the peer, or whom a trusted proxy names.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddr {
        self.0.made.live.load().gate.client(peer.ip(), headers)
    }

    /// The time in unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.0.made.engine.clock().now()
    }
}

/// How often the door looks for tokens that others have made or revoked.
const RENEW: Duration = Duration::from_millis(100);

/// Has the door know what the command line, or another server, does to the
/// tokens, as long as the runtime runs.
pub(crate) async fn keep_door(control: Control) {
    let mut turns = tokio::time::interval(RENEW);
    let mut told = None;
    loop {
        turns.tick().await;
        let control = control.clone();
        let renewed = tokio::task::spawn_blocking(move || control.renew_door()).await;
        let error = match renewed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if error != told
            && let Some(error) = &error
        {
            tracing::error!(%error, "those known before stay in force, and it is tried again");
        }
        told = error;
    }
}
