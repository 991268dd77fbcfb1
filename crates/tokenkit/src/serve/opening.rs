//! The engine with all that is in the store, ready to decide.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use engine::{Engine, ServerSecret};
use store::{Follower, Store};

use super::follow;
use super::ledger;
use super::live::Live;
use super::shadow;
use super::usage::Recorder;
use crate::error::OperatorError;
use crate::keystore::{self, First};
use crate::reach::reachable;
use crate::settings::Settings;

/// The engine with all its keys, and what goes on from there.
pub(super) struct Opened {
    pub(super) engine: Arc<Engine>,
    pub(super) live: Live,
    pub(super) follower: Follower,
    /// For changes.
    pub(super) store: Store,
    pub(super) secret: ServerSecret,
    /// Has recorded what an earlier server left.
    pub(super) recorder: Recorder,
    /// What a first start has made.
    pub(super) first: Option<First>,
}

/// Opens the store, which a first start makes, and loads it.
///
/// # Errors
///
/// The store or the secret cannot be used, or the settings do not fit an
/// engine.
pub(super) fn open(settings: &Settings) -> Result<Opened, OperatorError> {
    let (mut store, secret) = keystore::open_or_create(settings)?;
    let file = settings.store.file();
    let mut follower = Follower::open(&file, &secret).map_err(OperatorError::new)?;
    let mut builder = keystore::engine(settings, &secret);
    if let Some(file) = settings.store.ledger() {
        builder = builder.ledger(file);
    }
    let engine = builder
        .build()
        .map_err(|error| ledger::cannot_build(&error))?;
    let engine = Arc::new(engine);
    let live = Live::new(settings, &engine)?;
    // The first key comes after all that settings could be wrong about: a start
    // that fails later than this has made a key that nobody is shown.
    let first = keystore::first_start(settings, &mut store, &secret)?;
    let keys = store.keys().map_err(OperatorError::new)?;
    keystore::check_number(settings, keys).map_err(|error| {
        OperatorError::wrap(format_args!("{} is too full", file.display()), error)
    })?;
    follow::load(&mut follower, &engine)?;
    shadow::put_in_force(settings, &engine);
    let beside = Store::open(&file, &secret).map_err(OperatorError::new)?;
    let keeps = settings.store.ledger().is_some();
    let mut recorder = Recorder::new(Arc::clone(&engine), beside, keeps);
    // Where that fails, it is logged and tried again.
    recorder.record();
    Ok(Opened {
        engine,
        live,
        follower,
        store,
        secret,
        recorder,
        first,
    })
}

/// Shows the first key and the first admin token, once and nowhere else, with a
/// command and a page to try them by. Where standard output does not take them,
/// the log says that they are there and nobody has them.
pub(super) fn show_first(first: &First, listen: SocketAddr, admin: SocketAddr) {
    let mut out = io::stdout().lock();
    let shown = write!(
        out,
        "The first key, shown this once:\n\n    {key}\n\nTry it:\n\n    curl -H 'api-key: {key}' http://{at}/\n\n\
         The first admin token, shown this once:\n\n    {token}\n\nSign in with it:\n\n    http://{admin}/\n\n",
        key = first.key.expose(),
        token = first.token.expose(),
        at = reachable(listen),
        admin = reachable(admin),
    )
    .and_then(|()| out.flush());
    if let Err(error) = shown {
        tracing::warn!(
            key = %first.key.id(),
            token = %first.token.id(),
            %error,
            "the first key and admin token were made but could not be shown: revoke both, and make others by \
             `tokenkit key create` and `tokenkit admin token create`"
        );
    }
}
