//! How an engine is set up from C.

use std::path::Path;

use engine::wire::Wire;
use engine::{
    BuildError, CidrList, Engine, EngineBuilder, FailureConfig, OriginList, Prefix, Prefixes,
    ServerSecret,
};
use store::{SecretFileError, read_secret_file};
use zeroize::Zeroize;

use crate::bytes::tk_bytes;
use crate::ptr::{Caller, Described};
use crate::result::tk_result::{
    TK_ERR_LEDGER, TK_ERR_LENGTH, TK_ERR_STRUCT, TK_ERR_SYSTEM, TK_ERR_VALUE,
};
use crate::result::{Refusal, chain};

/// The version of `tk_config` that this header describes.
pub const TK_CONFIG_VERSION: u32 = 1;

/// How an engine is set up. `tk_config_init` sets all that has a default; a
/// secret must be given. Every text is UTF-8 and needed only for the length of
/// `tk_engine_new`.
///
/// A list is one text, its items separated by blanks or commas. A number that
/// is 0 stands for its default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_config {
    /// `sizeof(tk_config)`.
    pub size: u32,
    /// `TK_CONFIG_VERSION`.
    pub version: u32,
    /// The server secret, 32 bytes, under which keys and tokens are digested.
    pub secret: tk_bytes,
    /// Or the file that holds it, as the command line of tokenkit makes one.
    pub secret_file: tk_bytes,
    /// The prefixes that keys may have; "tk_live tk_test" by default.
    pub prefixes: tk_bytes,
    /// Browser origins whose pages may read every answer, such as
    /// `https://console.example.com https://app.example.org`; none by default.
    pub origins: tk_bytes,
    /// Address blocks (CIDR) that are never counted nor blocked.
    pub exempt: tk_bytes,
    /// What the challenge of a 401 calls the service; "tokenkit" by default.
    pub realm: tk_bytes,
    /// The file that holds the counters, made where it is missing: one exact
    /// count for all processes that name it, which outlives them. None by
    /// default: the counters are this engine's own. All that share a file have
    /// the same secret, the same keys, and the same settings below. It lies on a
    /// file system of this machine; `/dev/shm` or `/run` will do unless counts
    /// are to outlive the machine. Linux alone; installs a handler for SIGBUS,
    /// which hands on whatever else it gets. A thread that calls does not block
    /// SIGBUS: the process would end where the file is cut short by somebody.
    pub ledger: tk_bytes,
    /// Guesses within the window that block an address, 1 to 4095; 10.
    pub threshold: u32,
    /// The window in seconds, a multiple of 12, 12 to 86400; 300.
    pub window_s: u32,
    /// Seconds that an address stays blocked; 300.
    pub block_s: u32,
    /// Addresses whose guesses are remembered, 137 bytes each; 65536.
    pub max_addresses: u32,
    /// The most keys at one time, up to 268435456; 16777216. Address space for
    /// 64 bytes each is set aside, memory only as it is used.
    pub max_keys: u32,
    /// Seconds for which a browser may remember the answer to a preflight; 600.
    pub preflight_max_age_s: u32,
    /// 1: answers carry `RateLimit` and `RateLimit-Policy`, but not the older
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`; 0: all of them.
    pub omit_x_ratelimit: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

// SAFETY: repr(C), the size first, integers and pointers.
unsafe impl Described for tk_config {
    const LEAST: usize = 152;
}

/// What a configuration comes to.
pub(crate) struct Setup {
    pub(crate) engine: Engine,
    pub(crate) wire: Wire,
    pub(crate) preflight_max_age_s: u32,
}

/// The most keys that the engine is ever asked to hold.
const MAX_KEYS: u32 = 1 << 28;

impl tk_config {
    /// Builds what it says.
    pub(crate) fn build(&self, caller: Caller<'_>) -> Result<Setup, Refusal> {
        if self.version != TK_CONFIG_VERSION {
            return Err(Refusal::told(
                TK_ERR_STRUCT,
                format!(
                    "tk_config says version {}, but only {TK_CONFIG_VERSION} is known: \
                     set it up with tk_config_init",
                    self.version
                ),
            ));
        }
        if self.reserved != [0; 7] || self.omit_x_ratelimit > 1 {
            return Err(Refusal::unknown_members("tk_config"));
        }
        let legacy_headers = self.omit_x_ratelimit == 0;
        let wire = match caller.text(self.realm, "realm")? {
            None => Wire::new("tokenkit", legacy_headers),
            Some(realm) => Wire::new(realm, legacy_headers),
        }
        .map_err(|error| Refusal::value("realm", error))?;
        Ok(Setup {
            engine: self.engine(caller)?,
            wire,
            preflight_max_age_s: or_default(self.preflight_max_age_s, 600),
        })
    }

    fn engine(&self, caller: Caller<'_>) -> Result<Engine, Refusal> {
        let mut builder: EngineBuilder = Engine::builder(self.secret(caller)?);
        if let Some(prefixes) = caller.text(self.prefixes, "prefixes")? {
            let prefixes = items(prefixes)
                .map(str::parse::<Prefix>)
                .collect::<Result<Vec<_>, _>>()
                .and_then(Prefixes::new)
                .map_err(|error| Refusal::value("prefixes", error))?;
            builder = builder.prefixes(prefixes);
        }
        let usual = FailureConfig::default();
        let failures = FailureConfig {
            threshold: or_default(self.threshold, usual.threshold),
            window_s: or_default(self.window_s, usual.window_s),
            block_s: or_default(self.block_s, usual.block_s),
            max_addresses: or_default(self.max_addresses, usual.max_addresses),
            exempt: cidrs(caller, self.exempt, "exempt")?,
        };
        builder = builder
            .origins(origins(caller, self.origins, "origins")?)
            .failures(failures);
        if self.max_keys > MAX_KEYS {
            return Err(Refusal::told(
                TK_ERR_VALUE,
                format!("max_keys is {}: at most {MAX_KEYS}", self.max_keys),
            ));
        }
        if self.max_keys > 0 {
            builder = builder.max_keys(self.max_keys);
        }
        if let Some(ledger) = caller.text(self.ledger, "ledger")? {
            builder = builder.ledger(ledger);
        }
        builder.build().map_err(|error| {
            let result = match error {
                BuildError::Ledger(_) => TK_ERR_LEDGER,
                BuildError::Memory(_) | BuildError::Random(_) => TK_ERR_SYSTEM,
                _ => TK_ERR_VALUE,
            };
            Refusal::told(result, chain(&error))
        })
    }

    fn secret(&self, caller: Caller<'_>) -> Result<ServerSecret, Refusal> {
        let bytes = caller.bytes(self.secret, "secret")?;
        let file = caller.text(self.secret_file, "secret_file")?;
        match (bytes, file) {
            (Some(bytes), None) => {
                let mut key: [u8; 32] = bytes.try_into().map_err(|_| {
                    Refusal::told(
                        TK_ERR_LENGTH,
                        format!("secret has {} bytes: it must have 32", bytes.len()),
                    )
                })?;
                let secret = ServerSecret::from_bytes(key);
                key.zeroize();
                Ok(secret)
            }
            (None, Some(file)) => read_secret_file(Path::new(file)).map_err(|error| {
                let result = match error {
                    SecretFileError::Io { .. } => TK_ERR_SYSTEM,
                    _ => TK_ERR_VALUE,
                };
                Refusal::told(result, error.to_string())
            }),
            _ => Err(Refusal::of(
                TK_ERR_VALUE,
                "tk_config wants one of secret (32 bytes) and secret_file",
            )),
        }
    }
}

fn or_default(given: u32, usual: u32) -> u32 {
    match given {
        0 => usual,
        given => given,
    }
}

/// The items of a list.
pub(crate) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', '\t', '\n', '\r', ','])
        .filter(|item| !item.is_empty())
}

/// A list of origins; none is an empty one.
pub(crate) fn origins(
    caller: Caller<'_>,
    list: tk_bytes,
    what: &str,
) -> Result<OriginList, Refusal> {
    let list = caller.text(list, what)?.unwrap_or_default();
    OriginList::parse(items(list)).map_err(|error| Refusal::value(what, error))
}

/// A list of address blocks; none is an empty one.
pub(crate) fn cidrs(caller: Caller<'_>, list: tk_bytes, what: &str) -> Result<CidrList, Refusal> {
    let list = caller.text(list, what)?.unwrap_or_default();
    CidrList::parse(items(list)).map_err(|error| Refusal::value(what, error))
}
