//! Every setting of the program as a checked type, with its default.

mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use engine::{CidrList, FailureConfig, OriginList, Prefixes};

pub use values::{ForwardedHeader, LogFormat, LogLevel, Route, Upstream};

/// All settings: default, file, environment and flags put together.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[server]`: addresses, threads and time limits.
    pub server: Server,
    /// `[store]`: where keys and the server secret are kept.
    pub store: StorePaths,
    /// `[keys]`: which keys are taken.
    pub keys: Keys,
    /// `[failures]`: how guesses are counted and addresses blocked.
    pub failures: FailureConfig,
    /// `[cors]`: the server's own list of browser origins.
    pub cors: Cors,
    /// `[http]`: what is read from and written into headers.
    pub http: Http,
    /// `[[routes]]`: which endpoints want a user and what a request costs;
    /// the first that matches applies.
    pub routes: Vec<Route>,
    /// `[log]`: what is logged and how.
    pub log: Log,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where requests are taken.
    pub listen: SocketAddr,
    /// Where health and metrics are served.
    pub admin_listen: SocketAddr,
    /// Worker threads; 0 is one for each processor.
    pub threads: usize,
    /// The service behind; without one the server answers by itself.
    pub upstream: Option<Upstream>,
    /// How long what is under way may go on after SIGTERM.
    pub shutdown_grace: Duration,
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long a connection may stay open between requests.
    pub idle_timeout: Duration,
    /// How long connecting to the upstream may take.
    pub connect_timeout: Duration,
    /// How long the upstream may take until it has sent its answer's headers.
    pub upstream_timeout: Duration,
    /// Client connections open at the same time.
    pub max_connections: usize,
    /// Bytes of a request's line and headers.
    pub max_header_bytes: usize,
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
            max_header_bytes: 32_768,
        }
    }
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StorePaths {
    /// The folder of the store and the secret.
    pub data_dir: PathBuf,
    /// The database, where it is not `tokenkit.db` in the folder.
    pub file: Option<PathBuf>,
    /// The server secret, where it is not `tokenkit.secret` in the folder.
    pub secret_file: Option<PathBuf>,
}

impl StorePaths {
    /// The path of the database.
    pub fn file(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| self.data_dir.join("tokenkit.db"))
    }

    /// The path of the server secret.
    pub fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.data_dir.join("tokenkit.secret"))
    }
}

impl Default for StorePaths {
    fn default() -> Self {
        Self {
            data_dir: "tokenkit-data".into(),
            file: None,
            secret_file: None,
        }
    }
}

/// `[keys]`.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The prefixes that are taken; the first is that of new keys.
    pub prefixes: Prefixes,
    /// The most keys that the server holds.
    pub max_keys: u32,
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
pub struct Cors {
    /// Origins whose pages may read every answer.
    pub origins: OriginList,
    /// Seconds for which a browser may remember a preflight.
    pub max_age_s: u32,
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
pub struct Http {
    /// The realm of the 401 challenge.
    pub realm: String,
    /// Whether `X-RateLimit-*` is sent beside `RateLimit`.
    pub legacy_headers: bool,
    /// Whether the `api-key` header reaches the upstream.
    pub forward_key: bool,
    /// Proxies whose word about the client is believed.
    pub trusted_proxies: CidrList,
    /// The header in which those proxies say it.
    pub forwarded_header: ForwardedHeader,
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
pub struct Log {
    /// The least that is logged.
    pub level: LogLevel,
    /// The form of a log line.
    pub format: LogFormat,
    /// Whether every request is logged.
    pub access: bool,
}
