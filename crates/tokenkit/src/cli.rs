//! What can be written on the command line.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::{Failure, OperatorError, without_secrets};
use crate::settings::{Given, Settings, Sources, environment};

/// API-key authentication in front of an HTTP service.
#[derive(Debug, Parser)]
#[command(name = "tokenkit", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The configuration file; `tokenkit config` prints one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the key store and the server secret
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Any setting of the configuration file, such as server.threads=2
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    assignments: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check requests, and pass on those that are allowed
    Serve(Serve),
    /// Make, look at and change keys, also while the server runs
    #[command(subcommand)]
    Key(Key),
    /// Make, look at and end users' sessions, also while the server runs
    #[command(subcommand)]
    Session(Session),
    /// Make, look at and revoke the tokens that open the admin address
    #[command(subcommand)]
    Admin(Admin),
    /// Look at, check or begin anew the file in which units and failures are counted
    #[command(subcommand)]
    Ledger(Ledger),
    /// Tell how a request would be decided, check by check, charging nothing
    Explain(Box<Explain>),
    /// Print what keys have used, an hour a row, as it is billed
    Usage(UsageList),
    /// Run trace files against a fresh engine each, and say what differs
    Replay {
        /// The trace files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print a configuration file with every setting and its default
    Config,
    /// Ask the server of these settings whether it is ready; exit code 1 if not
    Healthcheck {
        /// Ask no more than whether it answers: what is restarted for a failure
        /// would lose the keys that it still serves while its store cannot be read
        #[arg(long)]
        live: bool,
    },
    /// Print the manual page, or write those of all commands into a folder
    Man {
        /// The folder, made where it is missing
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print a script by which a shell completes this command line
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether the exit code is an answer, which does not depend on who reads
    /// the rest.
    pub(crate) fn answers_by_code(&self) -> bool {
        matches!(
            self,
            Self::Explain(_)
                | Self::Replay { .. }
                | Self::Key(Key::Import(_))
                | Self::Ledger(Ledger::Check { .. })
        )
    }

    /// Whether all that it is for is its output, of which the beginning may do.
    pub(crate) fn only_lists(&self) -> bool {
        matches!(
            self,
            Self::Key(Key::List(_) | Key::Show { .. } | Key::Export(_))
                | Self::Session(Session::List { .. })
                | Self::Admin(Admin::Token(AdminToken::List { .. }))
                | Self::Ledger(Ledger::Show { .. })
                | Self::Usage(_)
                | Self::Config
                | Self::Man { .. }
                | Self::Completions { .. }
        )
    }
}

/// `tokenkit serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where requests are taken
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where health and metrics are served
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// The service behind: http://host:port
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Threads that serve requests; 0 is one for each processor
    #[arg(long, value_name = "N")]
    threads: Option<String>,
    /// The least that is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(flatten)]
    ledger: LedgerFile,
}

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct LedgerFile {
    /// The file in which units and failures are counted; beside the key store
    /// if left out, none: in memory
    #[arg(long, value_name = "FILE")]
    ledger: Option<String>,
}

/// `tokenkit usage`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the ledger has counted is recorded first, whether or not a server runs. Each
row has an id that stays the same (KEY-HOUR), so that whoever takes it twice can
count it once. A row is final when its hour is over and nothing more of it is to
come; others are printed only with --open.")]
pub(crate) struct UsageList {
    /// Only of this key: its id
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Only of keys of this project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Hours from then on: 7d or 12h ago, 2026-12-01T00:00:00Z, unix seconds
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Hours that began before then
    #[arg(long, value_name = "WHEN")]
    pub(crate) to: Option<String>,
    /// The form
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: UsageFormat,
    /// Also hours of which more may come
    #[arg(long)]
    pub(crate) open: bool,
}

/// The form of usage.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UsageFormat {
    /// For people
    Table,
    /// Comma-separated, the first line naming the columns
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// `tokenkit key`.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key and show its secret, this once
    Create(KeyCreate),
    /// List keys
    List(KeyList),
    /// Show all there is to know about a key
    Show {
        /// The key's id: the ten characters behind its prefix
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse keys until they are enabled again
    Disable(KeyIds),
    /// Take disabled keys again
    Enable(KeyIds),
    /// Refuse keys for ever
    Revoke(KeyIds),
    /// Change what a key may do
    Set(KeySet),
    /// Bring keys from elsewhere
    Import(KeyImport),
    /// Print keys as CSV or JSON lines, without their secrets
    Export(KeyExport),
}

/// `tokenkit key create`.
#[derive(Debug, Args)]
pub(crate) struct KeyCreate {
    /// The project that the key belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) project: String,
    /// What people call the key
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Units an hour; unlimited if left out
    #[arg(long, value_name = "UNITS")]
    pub(crate) limit: Option<String>,
    /// From when on it is refused: 30d, 12h, 2026-12-31T00:00:00Z, unix seconds
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<String>,
    /// A browser origin that may use it; repeat for more; any if left out
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,
    /// An address block that may use it; repeat for more; any if left out
    #[arg(long = "ip", value_name = "CIDR")]
    pub(crate) ips: Vec<String>,
    /// Refuse requests without an origin
    #[arg(long)]
    pub(crate) require_origin: bool,
    /// The key's prefix; the first of keys.prefixes if left out
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tokenkit key list`.
#[derive(Debug, Args)]
pub(crate) struct KeyList {
    /// Only those of a project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Only those in a state
    #[arg(long)]
    pub(crate) state: Option<State>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A key's state, as a word.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    Active,
    Disabled,
    Revoked,
}

/// Keys by their ids.
#[derive(Debug, Args)]
pub(crate) struct KeyIds {
    /// The keys' ids; - reads them from standard input, one a line
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tokenkit key set`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub(crate) struct KeySet {
    /// The key's id: the ten characters behind its prefix
    pub(crate) id: String,
    /// What people call the key
    #[arg(long, value_name = "TEXT", group = "change")]
    pub(crate) name: Option<String>,
    /// Units an hour, or none
    #[arg(long, value_name = "UNITS", group = "change")]
    pub(crate) limit: Option<String>,
    /// From when on it is refused, or none
    #[arg(long, value_name = "WHEN", group = "change")]
    pub(crate) expires: Option<String>,
    /// The origins that may use it in place of those before, or none for any
    #[arg(long = "origin", value_name = "ORIGIN", group = "change")]
    pub(crate) origins: Option<Vec<String>>,
    /// The address blocks that may use it in place of those before, or none for any
    #[arg(long = "ip", value_name = "CIDR", group = "change")]
    pub(crate) ips: Option<Vec<String>>,
    /// Whether requests without an origin are refused
    #[arg(long, value_name = "true|false", group = "change")]
    pub(crate) require_origin: Option<bool>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The form of a list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated, the first line naming the columns
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// `tokenkit key import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Columns of a CSV file, or members of each JSON line:
  key                   a raw key; or in its place id, prefix and digest, as
                        `key export --with-digests` prints them
  project               the project that it belongs to
and, all of them optional:
  name, state (active, disabled, revoked), hourly_limit (empty: unlimited),
  expires_at (unix seconds, RFC 3339, or 30d), require_origin (true, false),
  origins, ips (lists: in CSV separated by spaces or ;), created_at, revoked_at,
  revoked_reason, replaces (the id of the key in whose place it was made)
All rows are taken, or none if one is bad.")]
pub(crate) struct KeyImport {
    /// The file; - is standard input
    pub(crate) file: PathBuf,
    /// Its form; told from the name (.csv, .jsonl, .ndjson) if left out
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Take the good rows although others are bad
    #[arg(long)]
    pub(crate) keep_going: bool,
}

/// `tokenkit key export`.
#[derive(Debug, Args)]
pub(crate) struct KeyExport {
    /// The form
    #[arg(long, default_value = "csv")]
    pub(crate) format: Format,
    /// Print the digests too: a store under the same server secret can import
    /// them, and nobody can make a key of one
    #[arg(long)]
    pub(crate) with_digests: bool,
    /// Only those of a project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
}

/// `tokenkit session`.
#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Make a session and show its token, this once
    Create {
        /// The project whose keys the session goes with
        #[arg(long, value_name = "NAME")]
        project: String,
        /// The user that it speaks for
        #[arg(long, value_name = "NAME")]
        user: String,
        /// From when on it is refused: 30d, 12h, 2026-12-31T00:00:00Z, unix
        /// seconds; never if left out
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a session
    End {
        /// The session's id; - reads its whole token from standard input
        id: String,
    },
    /// List sessions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `tokenkit admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Make, look at and revoke admin tokens, also while the server runs
    #[command(subcommand)]
    Token(AdminToken),
}

/// `tokenkit admin token`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminToken {
    /// Make an admin token and show it, this once
    Create {
        /// What people call the token
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// What it allows
        #[arg(long)]
        scope: TokenScope,
        /// From when on it is refused: 30d, 12h, 2026-12-31T00:00:00Z, unix
        /// seconds; never if left out
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List admin tokens
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse an admin token for ever
    Revoke {
        /// The token's id: the ten characters behind tk_admin_
        id: String,
    },
}

/// What an admin token allows, as a word.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TokenScope {
    /// To look
    Read,
    /// To look and to change
    Write,
}

/// `tokenkit ledger`.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Show what it was made for, how full it is, and who used most this hour
    Show {
        /// How many of the most used keys
        #[arg(long, value_name = "N", default_value_t = 10)]
        top: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: LedgerFile,
    },
    /// Look for damage; exit code 1 if there is any
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: LedgerFile,
    },
    /// Begin anew with an empty one, and keep the old file aside
    #[command(after_help = "\
The new ledger is made for the settings as they are now, so that this is the
way to change failures.window_s or failures.max_addresses. Without --keep-hours
every key begins its hour again. Whoever uses the ledger has to be stopped
first. The old file is never deleted: its new name is printed.")]
    Reset {
        /// Take over what each key has used; failures and blocks are forgotten
        #[arg(long)]
        keep_hours: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: LedgerFile,
    },
}

/// `tokenkit explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the store, the ledger's file and the settings, and changes none of
them: it may run beside a server. Give it the settings of that server. Exit code
0 if the request would be allowed, 1 if it would be refused.")]
pub(crate) struct Explain {
    /// The key that is sent; - reads a line of standard input, or asks for it.
    /// Other users can read what stands on a command line: prefer -
    #[arg(long, value_name = "KEY", conflicts_with = "key_id")]
    pub(crate) key: Option<Hidden>,
    /// As if the key of this id was sent, which needs no secret
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: IpAddr,
    /// The Origin that is sent
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
    /// The user's bearer token; - reads a line of standard input, after the key's
    #[arg(long, value_name = "TOKEN")]
    pub(crate) bearer: Option<Hidden>,
    /// The method, for the routes of the settings; GET if left out
    #[arg(long, value_name = "METHOD", requires = "path")]
    pub(crate) method: Option<String>,
    /// The path, by which a route says whether a user is wanted, and the cost
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// The endpoint wants a user, whatever its route says
    #[arg(long)]
    pub(crate) needs_user: bool,
    /// The units that the request costs, in place of what its route says
    #[arg(long, value_name = "UNITS")]
    pub(crate) cost: Option<u32>,
    /// When: 2026-12-31T00:00:00Z, unix seconds, 30m from now; now if left out
    #[arg(long, value_name = "WHEN")]
    pub(crate) at: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    file: LedgerFile,
}

/// What may be a secret: never shown.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Ledger {
    fn file(&self) -> &LedgerFile {
        let (Self::Show { file, .. } | Self::Check { file, .. } | Self::Reset { file, .. }) = self;
        file
    }
}

impl Cli {
    /// Reads the command line of this process. For `--help` and `--version`
    /// prints what they ask for and ends the process.
    pub(crate) fn from_arguments() -> Result<Self, Failure> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => usage_error(&error.render().to_string()).into(),
        })
    }

    /// For a command that goes by no settings: refuses the flags that give some,
    /// lest what it says be taken for theirs.
    pub(crate) fn without_settings(&self) -> Result<(), OperatorError> {
        let given = [
            ("--config", self.config.is_some()),
            ("--data-dir", self.data_dir.is_some()),
            ("--set", !self.assignments.is_empty()),
        ];
        let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given) else {
            return Ok(());
        };
        let why = match self.command {
            Command::Config => "`tokenkit config` prints the defaults, whatever is set",
            _ => "this command goes by no settings",
        };
        Err(OperatorError::new(format_args!("{flag} has no say: {why}")))
    }

    /// The settings: file, environment and flags put together.
    pub(crate) fn settings(&self) -> Result<Settings, OperatorError> {
        let mut flags = Vec::new();
        for assignment in &self.assignments {
            flags.push(Given::set(assignment)?);
        }
        let mut flag = |name, text: &Option<String>| {
            flags.extend(text.as_ref().map(|text| Given::flag(name, text)));
        };
        flag("data-dir", &self.data_dir);
        if let Command::Ledger(ledger) = &self.command {
            flag("ledger", &ledger.file().ledger);
        }
        if let Command::Explain(explain) = &self.command {
            flag("ledger", &explain.file.ledger);
        }
        if let Command::Serve(serve) = &self.command {
            flag("ledger", &serve.ledger.ledger);
            flag("listen", &serve.listen);
            flag("admin-listen", &serve.admin_listen);
            flag("upstream", &serve.upstream);
            flag("threads", &serve.threads);
            flag("log-level", &serve.log_level);
        }
        Sources::new(self.config.clone(), flags).read(&environment())
    }
}

/// What clap says in several paragraphs, as one line: the error and its tips,
/// without the usage.
fn usage_error(rendered: &str) -> OperatorError {
    let said = rendered.split("\nUsage:").next().unwrap_or_default();
    let said = said
        .split("\nFor more information")
        .next()
        .unwrap_or_default();
    let mut line = String::new();
    for part in said.lines().map(str::trim).filter(|part| !part.is_empty()) {
        line.push_str(match line.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) => "; ",
        });
        line.push_str(part);
    }
    let said = without_secrets(line.trim_start_matches("error: "));
    OperatorError::new(format_args!("{said}; see `tokenkit --help`"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line_without_secrets() {
        let key = "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";
        for (arguments, expected) in [
            (
                &["serve", "--lisen", "x"][..],
                "unexpected argument '--lisen' found; tip: a similar",
            ),
            (
                &["key", "create"],
                "the following required arguments were not provided: --project <NAME>; see",
            ),
            (&["key", "creat"], "unrecognized subcommand 'creat'"),
            (
                &["key", "set", "0123456789"],
                "the following required arguments were not provided",
            ),
            (&["config", key], "unexpected argument '[hidden]' found"),
        ] {
            let line = std::iter::once(&"tokenkit").chain(arguments);
            let rendered = Cli::try_parse_from(line).unwrap_err().render().to_string();
            let error = usage_error(&rendered).to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(
                !error.contains('\n') && error.ends_with("see `tokenkit --help`"),
                "{error}"
            );
        }
    }
}
