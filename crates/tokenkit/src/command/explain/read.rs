//! The secrets that a request shows: from the command line, where others can
//! read them, or from standard input.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cli::Explain;
use crate::error::OperatorError;

/// The word for standard input.
const INPUT: &str = "-";
/// The most that is read of it.
const MOST: u64 = 16_384;

/// What was given.
pub(super) struct Given {
    pub(super) key: Option<String>,
    pub(super) bearer: Option<String>,
}

impl Given {
    /// Reads what is on standard input: the key's line, then the token's.
    pub(super) fn read(command: &Explain) -> Result<Self, OperatorError> {
        let mut input = Input::open();
        let mut of = |given: &Option<crate::cli::Hidden>, what| match given {
            Some(given) if given.0 == INPUT => input.line(what).map(Some),
            given => Ok(given.as_ref().map(|given| in_header(&given.0))),
        };
        Ok(Self {
            key: of(&command.key, "key")?,
            bearer: of(&command.bearer, "bearer token")?,
        })
    }
}

/// A value as it comes out of a header: HTTP takes blanks around it for none of
/// it.
pub(super) fn in_header(value: &str) -> String {
    value.trim_matches([' ', '\t']).to_owned()
}

/// Standard input, a line at a time.
struct Input(BufReader<io::Take<io::StdinLock<'static>>>);

impl Input {
    fn open() -> Self {
        Self(BufReader::new(io::stdin().lock().take(MOST)))
    }

    fn line(&mut self, what: &str) -> Result<String, OperatorError> {
        let _quiet = io::stdin().is_terminal().then(|| {
            // Without standard error nobody is there to be asked.
            let _ = write!(io::stderr(), "The {what}, then Enter (it is not shown): ");
            Quiet::begin()
        });
        let mut line = String::new();
        self.0
            .read_line(&mut line)
            .map_err(|cause| OperatorError::wrap("standard input", cause))?;
        Ok(in_header(line.trim_end_matches(['\r', '\n'])))
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Option<Termios>);

impl Quiet {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(io::stdin()) else {
            return Self(None);
        };
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO;
        // Where that fails it is shown, as on any terminal.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        Self(Some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
            let _ = writeln!(io::stderr());
        }
    }
}
