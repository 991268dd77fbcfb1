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
//! | `keeper` | the store, on threads that may wait |
//! | `status` | health, readiness, metrics |
//! | `api` | `/v1` |

// Parts of it wait for the API and the pages.
#![allow(dead_code, unused_imports)]

mod api;
mod door;
mod extract;
mod front;
mod guard;
mod keeper;
mod listen;
mod problem;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use engine::{ClientAddr, Engine, ServerSecret};
use http::HeaderMap;
use store::{Following, Store};

pub(crate) use self::door::{Admin, Door, Scope, Visit};
pub(crate) use self::extract::{Form, SignedIn, Whole};
pub(crate) use self::front::Front;
pub(crate) use self::keeper::Keeper;
pub(crate) use self::listen::{Ends, start};
pub(crate) use self::problem::{Fault, Problem};
pub(crate) use self::status::{Parts, Status};
use super::live::Live;
use crate::error::OperatorError;
use crate::settings::Settings;

/// What every handler of the admin address works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Control(Arc<Inner>);

struct Inner {
    settings: Settings,
    engine: Arc<Engine>,
    live: Arc<ArcSwap<Live>>,
    following: Arc<Following>,
    keeper: Keeper,
    door: Door,
}

impl Control {
    /// # Errors
    ///
    /// There is no room for the door's own table.
    pub(crate) fn new(
        settings: &Settings,
        engine: Arc<Engine>,
        live: Arc<ArcSwap<Live>>,
        following: Arc<Following>,
        store: Store,
        secret: &ServerSecret,
    ) -> Result<Self, OperatorError> {
        let wait = settings.store.lock_timeout;
        Ok(Self(Arc::new(Inner {
            door: Door::new(settings, secret)?,
            keeper: Keeper::new(store, secret.clone(), wait),
            settings: settings.clone(),
            engine,
            live,
            following,
        })))
    }

    /// The settings that the server was started with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The engine that decides about clients' requests.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// The admin door.
    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// The store.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.0.keeper
    }

    /// Whose request it is: the peer, or whom a trusted proxy names.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddr {
        self.0.live.load().gate.client(peer.ip(), headers)
    }

    /// The time in unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.0.engine.clock().now()
    }
}
