//! Why a ledger's file is not taken.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a ledger's file could not be made, opened or reset; it was left as it
/// was.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system said no.
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as in "cannot … PATH".
        doing: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// There is no such file.
    Missing(PathBuf),
    /// It is not a ledger.
    Foreign(PathBuf),
    /// It is a ledger of a layout that this version does not know.
    Layout {
        /// The file.
        path: PathBuf,
        /// Its layout's number.
        found: u64,
    },
    /// Its header is damaged.
    Damaged(PathBuf),
    /// It is shorter than its header says.
    CutShort(PathBuf),
    /// It was made for another setting.
    Misfit {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        setting: &'static str,
        /// What the file was made for.
        made_for: u64,
        /// What is wanted now.
        wanted: u64,
    },
    /// Anybody may write to it.
    OpenToAll(PathBuf),
    /// It lies where anybody may make files, and is another user's.
    Owner {
        /// The file.
        path: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// Another process uses it, or resets it at this moment.
    InUse(PathBuf),
    /// Ledgers in files are made for Linux alone, as yet.
    Unsupported,
}

impl LedgerError {
    pub(super) fn io(path: &std::path::Path, doing: &'static str, cause: io::Error) -> Self {
        let path = path.into();
        Self::Io { path, doing, cause }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, .. } => write!(f, "cannot {doing} {}", path.display()),
            Self::Missing(path) => write!(f, "there is no ledger {}", path.display()),
            Self::Foreign(path) => write!(
                f,
                "{} is no ledger: name another file, or move this one away",
                path.display()
            ),
            Self::Layout { path, found } => write!(
                f,
                "the ledger {} has layout {found}, which this version does not know: use the \
                 version that made it, or start anew with `tokenkit ledger reset`",
                path.display()
            ),
            Self::Damaged(path) => write!(
                f,
                "the header of the ledger {} is damaged: start anew with `tokenkit ledger reset`, \
                 which keeps this file aside",
                path.display()
            ),
            Self::CutShort(path) => write!(
                f,
                "the ledger {} is shorter than its header says: start anew with \
                 `tokenkit ledger reset`, which keeps this file aside",
                path.display()
            ),
            Self::Misfit {
                path,
                setting,
                made_for,
                wanted,
            } => write!(
                f,
                "the ledger {} was made for {setting} {made_for}, not {wanted}: set {setting} \
                 back, or see `tokenkit ledger reset --help` for keeping the budgets",
                path.display()
            ),
            Self::OpenToAll(path) => write!(
                f,
                "anybody may write to the ledger {}, and so refill budgets: chmod o-w it",
                path.display()
            ),
            Self::Owner { path, owner } => write!(
                f,
                "the ledger {} lies where anybody may make files and belongs to user {owner}, who \
                 could refill budgets: keep it in a folder of your own",
                path.display()
            ),
            Self::InUse(path) => write!(
                f,
                "the ledger {} is in use: stop whoever uses it, then try again",
                path.display()
            ),
            Self::Unsupported => {
                f.write_str("a ledger in a file needs Linux: leave it out to count in memory")
            }
        }
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
