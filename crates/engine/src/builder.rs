//! How an engine is set up; nonsense is refused with an error that names it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::exempt::Exempt;
use crate::failures::{
    Lately, MAX_BLOCKS_PER_WINDOW, MAX_THRESHOLD, Recent, Seeds, Window, sets_for,
};
use crate::key::{Forms, Prefixes, ServerSecret};
use crate::keyring::Keyring;
#[cfg(all(target_os = "linux", not(any(loom, miri))))]
use crate::ledger::Plan;
use crate::ledger::{Ledger, LedgerError};
use crate::net::CidrList;
use crate::origin::OriginList;
use crate::project::Projects;
use crate::sessions::Sessions;
use crate::shadow::Shadow;
use crate::time::Clock;

/// How guesses are counted and addresses blocked.
#[derive(Clone, Debug)]
pub struct FailureConfig {
    /// Failures within the window that block an address, 1 to 4,095.
    pub threshold: u32,
    /// The window, in seconds: a multiple of 12, 12 to 86,400.
    pub window_s: u32,
    /// How long an address stays blocked, in seconds, at least 1 and at least
    /// a 32,768th of the window. A block that would end in the year 4147 or
    /// later never ends.
    pub block_s: u32,
    /// Address blocks that are never counted nor blocked.
    pub exempt: CidrList,
    /// Addresses with failures that are kept, 1 to 2^28; the table never
    /// grows. Rounded up to a multiple of 7; each takes 137 bytes.
    pub max_addresses: u32,
}

impl Default for FailureConfig {
    /// 10 failures in 300 seconds block for 300; none exempt; 65,536 addresses.
    fn default() -> Self {
        Self {
            threshold: 10,
            window_s: 300,
            block_s: 300,
            exempt: CidrList::default(),
            max_addresses: 65_536,
        }
    }
}

/// The longest window, in seconds: a day.
const MAX_WINDOW_S: u32 = 86_400;
/// The most addresses in the failures table: 34 GiB of them.
const MAX_ADDRESSES: u32 = 1 << 28;

impl FailureConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// The first that lies outside its range.
    pub fn check(&self) -> Result<(), BuildError> {
        self.window().map(drop)
    }

    fn window(&self) -> Result<Window, BuildError> {
        let Self {
            threshold,
            window_s,
            block_s,
            max_addresses,
            ..
        } = *self;
        let range = |setting, given, least, most| {
            if (least..=most).contains(&given) {
                Ok(())
            } else {
                Err(BuildError::OutOfRange {
                    setting,
                    given,
                    least,
                    most,
                })
            }
        };
        range("threshold", threshold, 1, MAX_THRESHOLD)?;
        range("window_s", window_s, 12, MAX_WINDOW_S)?;
        range("max_addresses", max_addresses, 1, MAX_ADDRESSES)?;
        if !window_s.is_multiple_of(12) {
            return Err(BuildError::WindowNotOfTwelve { window_s });
        }
        let least = window_s.div_ceil(MAX_BLOCKS_PER_WINDOW).max(1);
        range("block_s", block_s, least, u32::MAX)?;
        Ok(Window::new(threshold, window_s, block_s))
    }
}

/// Sets up an [`Engine`]; [`Engine::builder`] makes one.
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    secret: ServerSecret,
    prefixes: Prefixes,
    origins: OriginList,
    failures: FailureConfig,
    clock: Clock,
    max_keys: u32,
    ledger: Option<PathBuf>,
}

/// Why no engine could be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A number lies outside its range.
    OutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// What was given.
        given: u32,
        /// The least that is taken.
        least: u32,
        /// The most that is taken.
        most: u32,
    },
    /// The window cannot be cut into 12 equal buckets of whole seconds.
    WindowNotOfTwelve {
        /// What was given, in seconds.
        window_s: u32,
    },
    /// The system did not give the memory for the counters.
    Memory(io::Error),
    /// The system did not give random bytes.
    Random(getrandom::Error),
    /// The ledger's file was not taken.
    Ledger(LedgerError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange {
                setting,
                given,
                least,
                most,
            } => write!(f, "{setting} is {given}: it must be from {least} to {most}"),
            Self::WindowNotOfTwelve { window_s } => {
                let below = window_s / 12 * 12;
                write!(
                    f,
                    "window_s is {window_s}: it must be a multiple of 12, such as {below} or {}",
                    below + 12
                )
            }
            Self::Memory(_) => f.write_str(
                "no memory for the counters: lower max_keys (64 bytes each) or \
                 max_addresses (137 bytes each)",
            ),
            Self::Random(_) => f.write_str("the operating system gives no random bytes"),
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Memory(cause) => Some(cause),
            Self::Random(cause) => Some(cause),
            Self::Ledger(error) => error.source(),
            Self::OutOfRange { .. } | Self::WindowNotOfTwelve { .. } => None,
        }
    }
}

impl EngineBuilder {
    pub(crate) fn new(secret: ServerSecret) -> Self {
        Self {
            secret,
            prefixes: Prefixes::default(),
            origins: OriginList::default(),
            failures: FailureConfig::default(),
            clock: Clock::System,
            max_keys: 1 << 24,
            ledger: None,
        }
    }

    /// The prefixes that are taken; `tk_live` and `tk_test` unless said.
    #[must_use]
    pub fn prefixes(mut self, prefixes: Prefixes) -> Self {
        self.prefixes = prefixes;
        self
    }

    /// The server's own list of origins, whose pages may read every answer;
    /// empty unless said.
    #[must_use]
    pub fn origins(mut self, origins: OriginList) -> Self {
        self.origins = origins;
        self
    }

    /// How guesses are counted and addresses blocked.
    #[must_use]
    pub fn failures(mut self, failures: FailureConfig) -> Self {
        self.failures = failures;
        self
    }

    /// Where [`Engine::decide`] reads the time; the system unless said.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The most keys at one time, revoked ones included; 2^24 unless said.
    /// Address space for 64 bytes each is set aside, memory only as it is used:
    /// with its record a key without lists takes 150 to 235 bytes.
    #[must_use]
    pub fn max_keys(mut self, max_keys: u32) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Counts in a file, which every process that names it shares: one exact
    /// budget for a key and one count for an address, whichever of them decides,
    /// and the same after a restart. Made with mode 0600 if there is none; else
    /// it has to fit `window_s` and `max_addresses`. Without this the counters
    /// are in memory.
    ///
    /// Processes that share a ledger hold the same keys: the counts of one that
    /// some hold and others have removed may, after nine hours without a charge,
    /// become another's. The file lies on a file system of this machine, in a
    /// folder of its own that nobody tidies up. In memory (`/run`) counts outlive
    /// all but the machine. On a disk they outlive that too, but for what the
    /// system had not written back: a key that was first put in within the last
    /// half minute may begin anew.
    ///
    /// It takes 137 bytes for each of `max_addresses` and 96 for each key, 6 MiB at
    /// least, and grows as keys come; twice as much address space is set aside for
    /// `max_keys` as in memory. Of a key that was removed 32 bytes stay. A process
    /// that ends removes none, for the next one to go on with: a key that was
    /// dropped while no process had the file open, and that none brings again,
    /// keeps its 96. `reset_ledger` begins without either; where it keeps the
    /// hours, without the 32 alone.
    ///
    /// Should the file be cut short by somebody, the process goes on and refuses
    /// limited keys whose counts are gone (blocks of addresses that lay there are
    /// forgotten); for that a handler for SIGBUS is installed, which hands on
    /// whatever else it gets. A thread that uses the engine does not block SIGBUS:
    /// the process would end. Ask [`Engine::ledger_fault`] each second, by which a
    /// cut within a page, or another file in its place, is found.
    ///
    /// After `fork` parent and child may both go on, as two that share the file.
    ///
    /// Linux alone.
    #[must_use]
    pub fn ledger(mut self, path: impl Into<PathBuf>) -> Self {
        self.ledger = Some(path.into());
        self
    }

    /// Builds the engine, without keys and sessions.
    ///
    /// # Errors
    ///
    /// A setting out of range, memory or random bytes that the system does not
    /// give, or a file of the ledger that is not taken.
    pub fn build(self) -> Result<Engine, BuildError> {
        let window = self.failures.window()?;
        let [a, b, c, d, e, f, g, h] = random_words()?;
        let seeds = [Seeds([a, b]), Seeds([g, h])];
        let ledger = match &self.ledger {
            None => {
                let sets = sets_for(self.failures.max_addresses);
                Ledger::in_memory(self.max_keys, sets, seeds[0]).map_err(BuildError::Memory)?
            }
            Some(path) => self.ledger_in(path, seeds)?,
        };
        Ok(Engine {
            secret: self.secret,
            forms: Forms::of(&self.prefixes),
            prefixes: self.prefixes,
            origins: self.origins,
            exempt: Exempt::new(self.failures.exempt),
            window,
            recent: Recent::new(),
            lately: Lately::new(),
            clock: self.clock,
            keyring: Keyring::new([c, d, e, f], self.max_keys),
            sessions: Sessions::new(),
            projects: Projects::new(),
            ledger,
            shadow: Shadow::new(),
        })
    }

    /// Whether [`build`](Self::build) would refuse the settings or a ledger file
    /// that is there. Makes nothing, so that a configuration can be tried by
    /// somebody else than who will run with it.
    ///
    /// # Errors
    ///
    /// As `build`, but for what only the making shows.
    pub fn check(&self) -> Result<(), BuildError> {
        self.failures.check()?;
        match &self.ledger {
            None => Ok(()),
            Some(path) => self.check_ledger(path),
        }
    }

    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    fn plan(&self, seeds: [Seeds; 2]) -> Plan {
        Plan {
            window_s: self.failures.window_s,
            failure_sets: sets_for(self.failures.max_addresses),
            max_keys: self.max_keys,
            seeds,
            now: self.clock.now(),
        }
    }

    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    fn ledger_in(&self, path: &Path, seeds: [Seeds; 2]) -> Result<Ledger, BuildError> {
        Ledger::in_file(path, &self.plan(seeds)).map_err(BuildError::Ledger)
    }

    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    fn check_ledger(&self, path: &Path) -> Result<(), BuildError> {
        // No file is made by these seeds.
        let plan = self.plan([Seeds([0; 2]); 2]);
        Ledger::check_file(path, &plan).map_err(BuildError::Ledger)
    }

    #[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
    fn ledger_in(&self, _path: &Path, _seeds: [Seeds; 2]) -> Result<Ledger, BuildError> {
        Err(BuildError::Ledger(LedgerError::Unsupported))
    }

    #[cfg(not(all(target_os = "linux", not(any(loom, miri)))))]
    fn check_ledger(&self, _path: &Path) -> Result<(), BuildError> {
        Err(BuildError::Ledger(LedgerError::Unsupported))
    }
}

/// Words from the operating system's random source, which is asked once.
pub(crate) fn random_words<const N: usize>() -> Result<[u64; N], BuildError> {
    let mut words = [[0; 8]; N];
    getrandom::fill(words.as_flattened_mut()).map_err(BuildError::Random)?;
    Ok(words.map(u64::from_ne_bytes))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn build(failures: FailureConfig) -> Result<Engine, BuildError> {
        EngineBuilder::new(ServerSecret::from_bytes([0; 32]))
            .failures(failures)
            .max_keys(16)
            .build()
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let good = FailureConfig {
            max_addresses: 8,
            ..FailureConfig::default()
        };
        assert!(build(good.clone()).is_ok());
        type Spoil = fn(&mut FailureConfig);
        let cases: [(&str, Spoil); 8] = [
            ("threshold is 0", |c| c.threshold = 0),
            ("threshold is 4096", |c| c.threshold = 4096),
            ("window_s is 301", |c| c.window_s = 301),
            ("multiple of 12, such as 300 or 312", |c| c.window_s = 301),
            ("window_s is 0", |c| c.window_s = 0),
            ("window_s is 86412", |c| c.window_s = 86_412),
            ("block_s is 0", |c| c.block_s = 0),
            ("max_addresses is 0", |c| c.max_addresses = 0),
        ];
        for (expected, spoil) in cases {
            let mut config = good.clone();
            spoil(&mut config);
            let error = build(config).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
