//! `tokenkit serve`: the data plane, the admin address, and the threads that
//! keep them in step with the store.
//!
//! ```text
//! run ─┬─ control thread: signals, reload, admin address
//!      ├─ serve-0..n: accept ─> connection ─> door ─> proxy
//!      ├─ follow: store ─> engine
//!      ├─ usage: engine ─> store
//!      └─ log: lines ─> standard error
//! ```

mod accept;
mod access_log;
mod answer;
mod answering;
mod authorize;
#[cfg(bare)]
mod bare;
mod body;
mod calm;
mod connection;
mod control;
mod door;
mod follow;
mod keep_alive;
mod lane;
mod ledger;
mod live;
mod logging;
mod metrics;
mod open_files;
mod opening;
mod pages;
mod per_address;
mod pieces;
mod proxy;
mod refusals;
mod reload;
mod shadow;
mod signals;
mod socket;
mod spans;
mod supervisor;
mod turn;
mod usage;
mod watch;
mod workers;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime;
use tokio::sync::watch as flag;

use self::control::{Control, Front, Parts, Status};
use self::logging::Logging;
use self::opening::Opened;
use self::reload::Reload;
use self::signals::Signals;
use self::supervisor::{Given, State};
use self::workers::Workers;
use crate::error::OperatorError;
use crate::settings::Settings;

/// Serves until SIGTERM or SIGINT, then finishes what is under way; a second
/// of them ends that too.
///
/// # Errors
///
/// What the operator gave does not let the server start.
pub(crate) fn run(settings: Settings) -> Result<(), OperatorError> {
    let status = Arc::new(Status::default());
    let (logging, _last_lines) = Logging::start(&settings.log, status.totals())?;
    if settings.server.listen == settings.server.admin_listen && settings.server.listen.port() != 0
    {
        return Err(OperatorError::new(format_args!(
            "server.listen and server.admin_listen are both {}: choose another address for one",
            settings.server.listen
        )));
    }
    #[cfg(bare)]
    bare::check(settings.server.listen)?;
    // The sockets first: with a port that is taken nothing else is begun.
    let Given { data, admin } = supervisor::sockets()?;
    let bound = |given: Option<_>, setting, address| match given {
        Some(listener) => Ok(listener),
        None => accept::bind(setting, address),
    };
    let listener = bound(data, "server.listen", settings.server.listen)?;
    let admin = bound(admin, "server.admin_listen", settings.server.admin_listen)?;
    let admin_listen = admin.local_addr().unwrap_or(settings.server.admin_listen);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| OperatorError::wrap("cannot start the control thread", error))?;
    let front = Arc::new(Front::new(Arc::clone(&status), settings.admin.clone()));
    let mut signals = {
        let _entered = runtime.enter();
        control::start(admin, Arc::clone(&front))?;
        Signals::catch()?
    };

    // On a thread of its own, so that a signal ends a long load.
    let loading = {
        let settings = settings.clone();
        runtime.spawn_blocking(move || opening::open(&settings))
    };
    let opened = runtime.block_on(async {
        tokio::select! {
            opened = loading => Some(opened),
            () = signals.ended() => None,
        }
    });
    let Some(opened) = opened else {
        runtime.shutdown_background();
        return Ok(());
    };
    let Opened {
        engine,
        live,
        follower,
        store,
        secret,
        recorder,
        first,
    } = opened.map_err(|error| OperatorError::wrap("loading the keys failed", error))??;

    let live = Arc::new(ArcSwap::from_pointee(live));
    let (stop, stopped) = flag::channel(false);
    let (spans, exporting) = {
        let _entered = runtime.enter();
        spans::start(&settings.otel, status.totals()).unzip()
    };
    let workers = Workers::start(&listener, &settings.server, &live, &stopped, spans.as_ref())?;
    // The threads alone have it now: with the last of them the spans end.
    drop(spans);
    let following = Arc::new(follow::start(
        follower,
        Arc::clone(&engine),
        Arc::clone(status.totals()),
    )?);
    let listen = listener.local_addr().unwrap_or(settings.server.listen);
    let made = control::Made {
        settings: settings.clone(),
        engine: Arc::clone(&engine),
        live: Arc::clone(&live),
        following: Arc::clone(&following),
        status: Arc::clone(&status),
        listen,
    };
    let control = Control::new(made, store, &secret)?;
    control.renew_door()?;
    runtime.spawn(control::keep_door(control.clone()));
    runtime.spawn(control::forget_requests(control.clone()));
    runtime.spawn(pages::keep_recent(control.clone()));
    front.open(control);
    let recording = recorder.start(settings.usage.interval)?;
    status.started(Parts {
        engine: Arc::clone(&engine),
        counters: workers.counters().to_vec(),
        store: Arc::clone(following.health()),
        usage: Arc::clone(recording.health()),
    });
    if let Some(first) = first {
        opening::show_first(&first, listen, admin_listen);
    }
    tracing::info!(
        %listen,
        admin = %admin_listen,
        keys = engine.stats(engine.clock().now()).keys,
        upstream = settings.server.upstream.as_ref().map(tracing::field::display),
        ledger = settings.store.ledger().map(|file| tracing::field::display(file.display().to_string())),
        "serving"
    );

    supervisor::notify(State::Ready);
    let reload = Reload::new(settings, engine, live, logging, Arc::clone(status.totals()));
    runtime.block_on(async {
        while signals.reload_or_end().await {
            supervisor::notify(State::Reloading);
            reload.run();
            supervisor::notify(State::Ready);
        }
    });
    tracing::info!("stopping: finishing what is under way");
    supervisor::notify(State::Stopping);
    status.set_ready(false);
    drop(listener);
    // Fails only where no thread is left to be told.
    let _ = stop.send(true);
    let finishing = runtime.spawn_blocking(move || workers.join());
    runtime.block_on(async {
        tokio::select! {
            _ = finishing => {}
            () = signals.ended() => tracing::warn!("told again to stop: cutting off what is left"),
        }
    });
    // After the last request.
    recording.finish();
    if let Some(exporting) = exporting {
        runtime.block_on(exporting.finish());
    }
    // What the admin address has under way may hold the other end of it; that
    // ends with the process.
    drop(following);
    runtime.shutdown_background();
    tracing::info!("stopped");
    Ok(())
}
