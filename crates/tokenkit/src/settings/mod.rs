//! Every setting of the program as a checked type, with its default.

mod codec;
mod describe;
mod nearest;
mod otel;
mod routes;
mod shadow;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{CidrList, FailureConfig, OriginList, Prefixes};

use crate::error::OperatorError;

pub(crate) use describe::{as_file, describe};
pub(crate) use nearest::nearest;
pub(crate) use otel::{Collector, Ratio};
pub(crate) use routes::route_policy;
pub(crate) use shadow::ShadowRule;
pub(crate) use sources::{Given, Sources, environment};
pub(crate) use values::{
    ForwardedHeader, HostName, LedgerPlace, LogFormat, LogLevel, Route, Upstream,
};

/// The names of all settings.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    table::ROWS.iter().map(|row| row.name)
}

/// All settings: default, file, environment and flags put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `[server]`: addresses, threads and time limits.
    pub(crate) server: Server,
    /// `[admin]`: who may speak to the admin address, and how.
    pub(crate) admin: Admin,
    /// `[store]`: where keys and the server secret are kept, and how they are
    /// changed.
    pub(crate) store: StoreSettings,
    /// `[keys]`: which keys are taken.
    pub(crate) keys: Keys,
    /// `[failures]`: how guesses are counted and addresses blocked.
    pub(crate) failures: FailureConfig,
    /// `[cors]`: the server's own list of browser origins.
    pub(crate) cors: Cors,
    /// `[http]`: what is read from and written into headers.
    pub(crate) http: Http,
    /// `[[routes]]`: which endpoints want a user and what a request costs;
    /// the first that matches applies.
    pub(crate) routes: Vec<Route>,
    /// `[[shadow]]`: refusals that are told and let through.
    pub(crate) shadow: Vec<ShadowRule>,
    /// `[log]`: what is logged and how.
    pub(crate) log: Log,
    /// `[usage]`: how what was used is recorded.
    pub(crate) usage: Usage,
    /// `[otel]`: where spans are sent.
    pub(crate) otel: Otel,
    /// Where all of these were read from.
    sources: Sources,
}

impl Settings {
    /// Reads the settings again from where these were read: the file as it is
    /// now, under the same flags and the same environment.
    ///
    /// # Errors
    ///
    /// As the first time; these settings stay as they are.
    pub(crate) fn reread(&self) -> Result<Self, OperatorError> {
        self.sources.read(&environment())
    }
}

/// `[server]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Where requests are taken.
    pub(crate) listen: SocketAddr,
    /// Where the admin pages, the admin API, health and metrics are served.
    pub(crate) admin_listen: SocketAddr,
    /// Worker threads; 0 is one for each processor.
    pub(crate) threads: usize,
    /// The service behind; without one the server answers by itself.
    pub(crate) upstream: Option<Upstream>,
    /// How long what is under way may go on after SIGTERM.
    pub(crate) shutdown_grace: Duration,
    /// How long a client may take to send a request's headers.
    pub(crate) header_timeout: Duration,
    /// How long a connection may stay open between requests.
    pub(crate) idle_timeout: Duration,
    /// How long connecting to the upstream may take.
    pub(crate) connect_timeout: Duration,
    /// How long the upstream may take until it has sent its answer's headers.
    pub(crate) upstream_timeout: Duration,
    /// Client connections open at the same time.
    pub(crate) max_connections: usize,
    /// Of these, those of one address; 0 is half of them.
    pub(crate) max_connections_per_address: usize,
    /// Bytes of a request's line and headers.
    pub(crate) max_header_bytes: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            admin_listen: (Ipv4Addr::LOCALHOST, 9090).into(),
            threads: 0,
            upstream: None,
            shutdown_grace: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connect_timeout: Duration::from_secs(5),
            upstream_timeout: Duration::from_secs(60),
            max_connections: 10_000,
            max_connections_per_address: 0,
            max_header_bytes: 32_768,
        }
    }
}

/// `[admin]`.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// Names that the admin address may be called by, besides `localhost` and
    /// the address itself.
    pub(crate) hosts: Vec<HostName>,
    /// Whether metrics are shown only to who has an admin token.
    pub(crate) metrics_token: bool,
    /// Whether the browser sends the cookie of a signed-in admin by TLS alone.
    pub(crate) secure_cookie: bool,
    /// How long somebody stays signed in to the pages, at most.
    pub(crate) session: Duration,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            metrics_token: false,
            secure_cookie: false,
            session: Duration::from_secs(8 * 3600),
        }
    }
}

/// `[store]`.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    /// The folder of the store and the secret.
    pub(crate) data_dir: PathBuf,
    /// The database, where it is not `tokenkit.db` in the folder.
    pub(crate) file: Option<PathBuf>,
    /// The server secret, where it is not `tokenkit.secret` in the folder.
    pub(crate) secret_file: Option<PathBuf>,
    /// How long a change waits while another program writes.
    pub(crate) lock_timeout: Duration,
    /// Where hours and failures are counted.
    pub(crate) ledger: LedgerPlace,
}

impl StoreSettings {
    /// The path of the database.
    pub(crate) fn file(&self) -> PathBuf {
        self.file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("tokenkit.db"))
    }

    /// The path of the server secret.
    pub(crate) fn secret_file(&self) -> PathBuf {
        self.secret_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("tokenkit.secret"))
    }

    /// The path of the ledger; none where the counters are in memory. Beside
    /// each store lies its own: processes that share one hold the same keys.
    pub(crate) fn ledger(&self) -> Option<PathBuf> {
        match &self.ledger {
            // The one system whose ledgers can lie in a file, as yet.
            LedgerPlace::BesideStore if cfg!(target_os = "linux") => {
                Some(ledger_beside(&self.file()))
            }
            LedgerPlace::BesideStore | LedgerPlace::Memory => None,
            LedgerPlace::File(path) => Some(path.clone()),
        }
    }

    /// Refuses a ledger in the store's own place.
    fn check(&self) -> Result<(), OperatorError> {
        // Where there is no current folder, both are relative to the same.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let store = absolute(self.file());
        if self.ledger().map(absolute).as_ref() != Some(&store) {
            return Ok(());
        }
        Err(OperatorError::new(format_args!(
            "the key store and the ledger are both {}: name another file for one, with store.file \
             or store.ledger",
            store.display()
        )))
    }
}

/// The ledger of a store: `keys.ledger` beside `keys.db`, and `keys.prod.ledger`
/// beside `keys.prod`.
fn ledger_beside(store: &Path) -> PathBuf {
    if store.extension().is_some_and(|extension| extension == "db") {
        return store.with_extension("ledger");
    }
    let mut path = store.as_os_str().to_owned();
    path.push(".ledger");
    path.into()
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            data_dir: "tokenkit-data".into(),
            file: None,
            secret_file: None,
            lock_timeout: Duration::from_secs(60),
            ledger: LedgerPlace::default(),
        }
    }
}

/// `[keys]`.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// The prefixes that are taken; the first is that of new keys.
    pub(crate) prefixes: Prefixes,
    /// The most keys that the server holds.
    pub(crate) max_keys: u32,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            prefixes: Prefixes::default(),
            max_keys: 16_777_216,
        }
    }
}

/// `[cors]`.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// Origins whose pages may read every answer.
    pub(crate) origins: OriginList,
    /// Seconds for which a browser may remember a preflight.
    pub(crate) max_age_s: u32,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: OriginList::default(),
            max_age_s: 600,
        }
    }
}

/// `[http]`.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// The realm of the 401 challenge.
    pub(crate) realm: String,
    /// Whether `X-RateLimit-*` is sent beside `RateLimit`.
    pub(crate) legacy_headers: bool,
    /// Whether the `api-key` header reaches the upstream.
    pub(crate) forward_key: bool,
    /// Proxies whose word about the client is believed.
    pub(crate) trusted_proxies: CidrList,
    /// The header in which those proxies say it.
    pub(crate) forwarded_header: ForwardedHeader,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            realm: "tokenkit".into(),
            legacy_headers: true,
            forward_key: false,
            trusted_proxies: CidrList::default(),
            forwarded_header: ForwardedHeader::default(),
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The least that is logged.
    pub(crate) level: LogLevel,
    /// The form of a log line.
    pub(crate) format: LogFormat,
    /// Whether every request is logged.
    pub(crate) access: bool,
}

/// `[usage]`.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// How often the counters are read out.
    pub(crate) interval: Duration,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
        }
    }
}

/// `[otel]`.
#[derive(Clone, Debug)]
pub(crate) struct Otel {
    /// The collector; without one no span is made.
    pub(crate) endpoint: Option<Collector>,
    /// What this service is called there.
    pub(crate) service_name: String,
    /// How many of the traces that begin here are sampled.
    pub(crate) sample_ratio: Ratio,
}

impl Default for Otel {
    fn default() -> Self {
        Self {
            endpoint: None,
            service_name: "tokenkit".into(),
            sample_ratio: Ratio::default(),
        }
    }
}
