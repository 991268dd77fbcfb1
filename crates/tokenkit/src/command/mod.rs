//! The commands but `serve`: each writes what it was asked for to one writer,
//! and changes the store in one transaction.

mod admin;
mod explain;
mod export;
mod fields;
mod healthcheck;
mod import;
pub(crate) mod import_file;
mod key;
#[cfg_attr(not(target_os = "linux"), path = "no_ledger.rs")]
mod ledger;
mod pages;
mod progress;
pub(crate) mod rows;
mod session;
mod text_table;
mod usage;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::Failure;
use crate::{replay, serve, settings};

/// Runs a command.
///
/// # Errors
///
/// What the operator gave does not work, or the output cannot be written.
pub(crate) fn run(cli: Cli, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if let Command::Replay { .. } | Command::Config = &cli.command {
        cli.without_settings()?;
    }
    match &cli.command {
        Command::Serve(_) => serve::run(cli.settings()?)?,
        Command::Key(command) => return key::run(&cli.settings()?, command, out),
        Command::Session(command) => session::run(&cli.settings()?, command, out)?,
        Command::Admin(command) => admin::run(&cli.settings()?, command, out)?,
        Command::Ledger(command) => return ledger::run(&cli.settings()?, command, out),
        Command::Explain(command) => return explain::run(&cli.settings()?, command, out),
        Command::Usage(wanted) => usage::run(&cli.settings()?, wanted, out)?,
        Command::Replay { files } => return Ok(replay::run(files, out, &mut io::stderr())?),
        Command::Healthcheck { live } => return Ok(healthcheck::run(&cli.settings()?, *live)?),
        Command::Man { out: folder } => pages::man(folder.as_deref(), out)?,
        Command::Completions { shell } => pages::completions(*shell, out)?,
        Command::Config => out.write_all(settings::describe().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
