//! `tokenkit man` and `tokenkit completions`: what is made of the command line's
//! own definition, so that neither can say what the program does not take.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{Failure, OperatorError};

/// Writes the program's own page, or all pages into a folder, which is made
/// where it is missing.
///
/// # Errors
///
/// The folder or the output cannot be written.
pub(super) fn man(folder: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(folder) = folder else {
        clap_mangen::Man::new(Cli::command()).render(out)?;
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| {
            OperatorError::new(format_args!(
                "cannot write the pages into {} ({error}): name another folder",
                folder.display()
            ))
        })?;
    Ok(())
}

/// Writes a shell's completions.
///
/// # Errors
///
/// The output cannot be written.
pub(super) fn completions(shell: Shell, out: &mut dyn Write) -> Result<(), Failure> {
    // Into memory first: clap ends the process where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tokenkit", &mut script);
    out.write_all(&script)?;
    Ok(())
}
