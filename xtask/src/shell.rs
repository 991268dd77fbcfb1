//! Running other programs: each is shown before it runs, and its exit code is
//! passed on.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Why a command of xtask ended badly.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A program ran and failed.
    Program {
        /// Its command line.
        line: String,
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
    },
    /// A program could not be started.
    NotStarted {
        /// Its command line.
        line: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// What a command runs on is not on this machine.
    Missing(String),
    /// xtask was called wrongly.
    Usage(String),
    /// What ran found something wrong.
    Found(String),
}

impl Failure {
    /// Something wrong with the call.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Something not installed, and the command that installs it.
    pub(crate) fn missing(what: &str, install: &str) -> Self {
        Self::Missing(format!("{what} is not installed: {install}"))
    }

    /// Something wrong with the project or the machine.
    pub(crate) fn found(text: impl Into<String>) -> Self {
        Self::Found(text.into())
    }

    /// The code for xtask itself: that of the program, 2 for a wrong call,
    /// otherwise 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Program { code, .. } => {
                let code = code.and_then(|code| u8::try_from(code).ok());
                ExitCode::from(code.filter(|code| *code != 0).unwrap_or(1))
            }
            Self::Usage(_) => ExitCode::from(2),
            Self::NotStarted { .. } | Self::Missing(_) | Self::Found(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program {
                line,
                code: Some(code),
            } => write!(f, "exit code {code} from: {line}"),
            Self::Program { line, code: None } => write!(f, "ended by a signal: {line}"),
            Self::NotStarted { line, cause } => write!(f, "cannot start ({cause}): {line}"),
            Self::Missing(text) | Self::Usage(text) | Self::Found(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotStarted { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Lines of a program that are shown once it has failed: enough for a panic with
/// its backtrace and what a fuzzer says after it.
const SHOWN_LINES: usize = 200;

/// A program about to run in the workspace's root.
pub(crate) struct Program {
    command: Command,
    /// What is shown: the variables set for it, then its words.
    line: String,
}

impl Program {
    /// Any program.
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        command.current_dir(root());
        Self {
            command,
            line: name.into(),
        }
    }

    /// Cargo, with its arguments separated by spaces.
    pub(crate) fn cargo(words: &str) -> Self {
        Self::new("cargo").words(words)
    }

    /// Adds arguments separated by spaces.
    pub(crate) fn words(self, words: &str) -> Self {
        words.split_whitespace().fold(self, Self::arg)
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<str>) -> Self {
        let arg = arg.as_ref();
        self.command.arg(arg);
        self.line.push(' ');
        self.line.push_str(arg);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.line = format!("{name}={value:?} {}", self.line);
        self
    }

    /// Adds to a variable that holds flags, keeping what the caller set.
    pub(crate) fn flags(self, name: &str, flags: &str) -> Self {
        match std::env::var(name) {
            Ok(given) if !given.trim().is_empty() => self.env(name, &format!("{given} {flags}")),
            _ => self.env(name, flags),
        }
    }

    /// Its command line, as it is shown.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Shows it, runs it, and fails as it fails.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        eprintln!("+ {}", self.line);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Program {
                line: self.line,
                code: status.code(),
            }),
            Err(cause) => Err(Failure::NotStarted {
                line: self.line,
                cause,
            }),
        }
    }

    /// Runs it and returns what it printed, standard output first. Shown only
    /// where it fails.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = match self.command.stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(cause) => {
                return Err(Failure::NotStarted {
                    line: self.line,
                    cause,
                });
            }
        };
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() {
            Ok(text)
        } else {
            eprintln!("+ {}\n{text}", self.line);
            Err(Failure::Program {
                line: self.line,
                code: output.status.code(),
            })
        }
    }

    /// Shows it, runs it, and hands over each line that it prints, as it comes.
    /// Where it fails, its last lines are shown.
    pub(crate) fn each_line(mut self, told: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        eprintln!("+ {}", self.line);
        let line = self.line;
        let not_started = |cause| Failure::NotStarted {
            line: line.clone(),
            cause,
        };
        let (reader, writer) = std::io::pipe().map_err(not_started)?;
        let errors = writer.try_clone().map_err(not_started)?;
        self.command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(errors);
        let mut child = self.command.spawn().map_err(not_started)?;
        // It holds the writing ends, without which the reading would not end.
        drop(self.command);
        let mut last = VecDeque::new();
        for text in BufReader::new(reader).lines() {
            let text = text.map_err(not_started)?;
            told(&text);
            last.push_back(text);
            if last.len() > SHOWN_LINES {
                last.pop_front();
            }
        }
        let status = child.wait().map_err(not_started)?;
        if status.success() {
            return Ok(());
        }
        for text in last {
            eprintln!("{text}");
        }
        Err(Failure::Program {
            line,
            code: status.code(),
        })
    }

    /// Whether it can be run and succeeds. Shows nothing.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}

/// The processors that this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR");
    root().join(named.unwrap_or_else(|| "target".into()))
}

/// The files of a folder under the root whose names end so, sorted; none
/// where the folder is not there.
pub(crate) fn files(folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_passed_on() {
        let failure = Program::new("sh")
            .arg("-c")
            .arg("exit 7")
            .run()
            .unwrap_err();
        assert!(
            matches!(failure, Failure::Program { code: Some(7), .. }),
            "{failure}"
        );
        assert_eq!(failure.exit_code(), ExitCode::from(7));
    }

    #[test]
    fn lines_come_from_both_outputs() {
        let mut lines = Vec::new();
        let shell = |script: &str| Program::new("sh").arg("-c").arg(script);
        let mut told = |line: &str| lines.push(line.to_owned());
        shell("echo out; echo err >&2")
            .each_line(&mut told)
            .unwrap();
        let failed = shell("echo last; exit 3").each_line(&mut told);
        assert!(
            matches!(failed, Err(Failure::Program { code: Some(3), .. })),
            "{failed:?}"
        );
        lines.sort();
        assert_eq!(lines, ["err", "last", "out"]);
    }

    #[test]
    fn what_cannot_start_is_named() {
        let failure = Program::new("no-such-program").run().unwrap_err();
        assert!(failure.to_string().contains("no-such-program"));
        assert_eq!(failure.exit_code(), ExitCode::FAILURE);
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("xtask/Cargo.toml").is_file());
        assert_eq!(files("xtask", ".toml"), [root().join("xtask/Cargo.toml")]);
        assert!(files("no-such-folder", "").is_empty());
    }
}
