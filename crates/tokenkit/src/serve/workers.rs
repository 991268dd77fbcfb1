//! The threads that serve requests: each has a runtime of its own, its own
//! connections to the service behind, and its own counters.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tokio::runtime;
use tokio::sync::{mpsc, watch as signal};

use super::accept::{self, Fleet};
use super::connection;
use super::door::Door;
use super::live::Live;
use super::metrics::Counters;
use super::open_files;
use super::per_address::PerAddress;
use super::proxy::Proxy;
use super::spans::Spans;
use crate::error::OperatorError;
use crate::settings::Server;

/// The threads, at work.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    counters: Vec<Arc<Counters>>,
}

impl Workers {
    /// Starts the threads, which take connections until `stop` says so, and
    /// end when those have ended or had their time.
    ///
    /// # Errors
    ///
    /// The system gives no more threads or sockets.
    pub(super) fn start(
        listener: &TcpListener,
        server: &Server,
        live: &Arc<ArcSwap<Live>>,
        stop: &signal::Receiver<bool>,
        spans: Option<&Arc<Spans>>,
    ) -> Result<Self, OperatorError> {
        let count = match server.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let room = open_files::make_room(server, count);
        // Each thread has its own, and none of the others'.
        let upstream = room.upstream.div_ceil(count);
        let set = server.max_connections_per_address;
        let per_address = PerAddress::new(set, room.clients, upstream);
        let fleet = Arc::new(Fleet::new(count, room.clients, per_address));
        let failed = |error| OperatorError::wrap("cannot start the server's threads", error);
        let mut workers = Self {
            threads: Vec::with_capacity(count),
            counters: Vec::with_capacity(count),
        };
        for number in 0..count {
            let counters = Arc::new(Counters::default());
            let worker = Worker {
                number,
                listener: listener.try_clone().map_err(failed)?,
                fleet: Arc::clone(&fleet),
                upstream,
                server: server.clone(),
                live: Arc::clone(live),
                counters: Arc::clone(&counters),
                stop: stop.clone(),
                spans: spans.cloned(),
            };
            // Made here, so that a failure is one of the start.
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            let thread = thread::Builder::new()
                .name(format!("serve-{number}"))
                .spawn(move || worker.run(runtime))
                .map_err(failed)?;
            workers.threads.push(thread);
            workers.counters.push(counters);
        }
        Ok(workers)
    }

    /// The counters of all threads.
    pub(super) fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Waits for the threads to end.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the server had ended in a panic");
            }
        }
    }
}

/// One thread's beginnings.
struct Worker {
    number: usize,
    listener: TcpListener,
    fleet: Arc<Fleet>,
    /// Connections to the service behind.
    upstream: usize,
    server: Server,
    live: Arc<ArcSwap<Live>>,
    counters: Arc<Counters>,
    stop: signal::Receiver<bool>,
    spans: Option<Arc<Spans>>,
}

impl Worker {
    fn run(self, runtime: runtime::Runtime) {
        let number = self.number;
        if let Err(error) = runtime.block_on(self.serve()) {
            tracing::error!(%error, number, "a thread of the server takes no connections");
        }
        // What is left had its time; a name that is still being looked up for
        // an upstream is not waited for.
        runtime.shutdown_background();
    }

    async fn serve(mut self) -> io::Result<()> {
        let upstream = self.server.upstream.as_ref();
        let door = Arc::new(Door {
            live: Arc::clone(&self.live),
            proxy: upstream
                .map(|to| Proxy::new(to.authority().clone(), &self.server, self.upstream)),
            counters: self.counters,
            spans: self.spans,
        });
        // The signal to all threads is heard here once and passed on by one of
        // this thread's own, whose lock no other thread ever holds.
        let (stop_here, stopped) = signal::channel(false);
        let (open, mut none_open) = mpsc::channel(1);
        let accepting = accept::run(
            tokio::net::TcpListener::from_std(self.listener)?,
            self.number,
            self.fleet,
            Arc::new(connection::http(self.server.max_header_bytes)),
            door,
            open,
            stopped,
        );
        tokio::select! {
            // A sender that is gone says the same.
            _ = self.stop.wait_for(|stop| *stop) => {}
            () = accepting => {}
        }
        let _ = stop_here.send(true);
        let grace = self.live.load().shutdown_grace;
        if tokio::time::timeout(grace, none_open.recv()).await.is_err() {
            tracing::warn!(
                thread = self.number,
                "what was under way did not end within server.shutdown_grace_s and was cut off"
            );
        }
        Ok(())
    }
}
