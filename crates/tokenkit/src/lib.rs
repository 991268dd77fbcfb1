//! All of the program `tokenkit`: the server and the commands around it. A
//! library only so that its parsers can be fuzzed, and with no other promise.

#![forbid(unsafe_code)]
#![cfg_attr(
    bare,
    allow(dead_code, unused_imports, reason = "the gate is left out")
)]

mod admin_token;
mod cli;
mod command;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod keystore;
mod object_members;
mod output;
mod reach;
mod replay;
mod serve;
mod settings;
mod usage;
mod when;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::error::{EXIT_OPERATOR, Failure};
use crate::output::{Output, is_closed, say};

/// The program, run under this process's arguments and environment.
pub fn main() -> ExitCode {
    let failure = match Cli::from_arguments().and_then(run) {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    match failure {
        Failure::Output(cause) => complain(format_args!("the output cannot be written: {cause}")),
        Failure::Operator(error) => complain(error),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    // The server writes from several threads: it must not find the lock taken.
    if let Command::Serve(_) = cli.command {
        serve::run(cli.settings()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let only_lists = cli.command.only_lists();
    let stdout = Output::new(io::stdout().lock(), cli.command.answers_by_code());
    let mut out = io::BufWriter::new(stdout);
    let code = match command::run(cli, &mut out) {
        // Whoever read our output has seen enough.
        Err(Failure::Output(cause)) if only_lists && is_closed(&cause) => ExitCode::SUCCESS,
        ran => ran?,
    };
    match out.flush() {
        Err(cause) if !is_closed(&cause) => Err(cause.into()),
        _ => Ok(code),
    }
}

/// Says what is wrong; with standard error gone too, the exit code is all that is
/// left.
fn complain(message: impl std::fmt::Display) -> ExitCode {
    say(message);
    ExitCode::from(EXIT_OPERATOR)
}
