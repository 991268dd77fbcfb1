//! Where settings come from: the file, the environment, the flags. The later
//! beats the earlier; each is checked wherever it stands, even if beaten.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Settings;
use super::codec::Bad;
use super::nearest::nearest;
use super::table::{ROWS, Row, row};
use super::value::{Entry, Kind, Value, parse_file};
use crate::error::OperatorError;

/// The flags that stand for a setting.
pub(crate) const FLAGS: [(&str, &str); 7] = [
    ("listen", "server.listen"),
    ("admin-listen", "server.admin_listen"),
    ("upstream", "server.upstream"),
    ("threads", "server.threads"),
    ("data-dir", "store.data_dir"),
    ("ledger", "store.ledger"),
    ("log-level", "log.level"),
];

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "tokenkit.toml";
/// The variable that names the file.
const FILE_VARIABLE: &str = "TOKENKIT_CONFIG";
/// What all our variables start with.
const VARIABLES: &str = "TOKENKIT_";

/// A variable of the environment.
pub(crate) type Variable = (OsString, OsString);

/// Where settings come from; kept, so that they can be read again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file that `--config` names.
    file: Option<PathBuf>,
    flags: Vec<Given>,
}

/// A setting given by a flag.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// The flag, as the operator wrote it: `--listen`.
    flag: &'static str,
    setting: String,
    text: String,
}

impl Given {
    /// A flag of [`FLAGS`] with its text.
    pub(crate) fn flag(flag: &'static str, text: &str) -> Self {
        let setting = FLAGS
            .iter()
            .find(|(name, _)| *name == flag)
            .map_or(flag, |(_, setting)| setting);
        Self {
            flag,
            setting: setting.into(),
            text: text.into(),
        }
    }

    /// `--set NAME=VALUE`.
    pub(crate) fn set(assignment: &str) -> Result<Self, OperatorError> {
        let (setting, text) = assignment.split_once('=').ok_or_else(|| {
            OperatorError::new(format_args!(
                "--set {assignment}: NAME=VALUE is wanted, such as server.threads=2"
            ))
        })?;
        Ok(Self {
            flag: "set",
            setting: setting.trim().into(),
            text: text.into(),
        })
    }
}

impl Sources {
    /// The file that `--config` names, and the other flags.
    pub(crate) fn new(file: Option<PathBuf>, flags: Vec<Given>) -> Self {
        Self { file, flags }
    }

    /// Reads all settings.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a setting that is unknown or wrong, with
    /// the place where it stands.
    pub(crate) fn read(&self, environment: &[Variable]) -> Result<Settings, OperatorError> {
        self.put_together(self.file(environment)?, environment)
    }

    /// The same of a file that was read: its path and text.
    ///
    /// # Errors
    ///
    /// A setting that is unknown or wrong, with the place where it stands.
    pub(crate) fn put_together(
        &self,
        file: Option<(PathBuf, String)>,
        environment: &[Variable],
    ) -> Result<Settings, OperatorError> {
        let mut settings = Settings::default();
        let mut sources = self.clone();
        if let Some((file, text)) = file {
            from_file(&mut settings, &file, &text)?;
            // To be read again, it has to be there again.
            sources.file = Some(file);
        }
        from_environment(&mut settings, environment)?;
        for given in &self.flags {
            let place = format!("--{}", given.flag);
            let row = row(&given.setting).ok_or_else(|| unknown(&place, &given.setting))?;
            set_text(&mut settings, row, &place, &given.text)?;
        }
        settings.store.check()?;
        settings.sources = sources;
        Ok(settings)
    }

    /// The file's path and text: the one that is named, or else the one that is
    /// read where it is there.
    fn file(&self, environment: &[Variable]) -> Result<Option<(PathBuf, String)>, OperatorError> {
        let variable = environment.iter().find(|(name, _)| name == FILE_VARIABLE);
        let (file, named) = match (&self.file, variable) {
            (Some(file), _) => (file.clone(), true),
            (None, Some((_, file))) => (PathBuf::from(file), true),
            (None, None) => (PathBuf::from(DEFAULT_FILE), false),
        };
        if file.as_os_str().is_empty() {
            return Err(OperatorError::new(format_args!(
                "--config or {FILE_VARIABLE} is empty: name the configuration file, or leave it out"
            )));
        }
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Some((file, text))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && !named => Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                Err(OperatorError::new(format_args!(
                    "the configuration file {} does not exist: name another with --config, \
                 or make it with `tokenkit config > FILE`",
                    file.display()
                )))
            }
            Err(cause) => Err(OperatorError::new(format_args!(
                "the configuration file {} cannot be read: {cause}",
                file.display()
            ))),
        }
    }
}

/// The environment of this process, as [`Sources::read`] takes it.
pub(crate) fn environment() -> Vec<Variable> {
    std::env::vars_os().collect()
}

fn from_file(settings: &mut Settings, file: &Path, text: &str) -> Result<(), OperatorError> {
    let at = |line| format!("{}:{line}", file.display());
    let entries = parse_file(text).map_err(|error| {
        OperatorError::wrap(at(error.line), format_args!("no TOML: {}", error.what))
    })?;
    for Entry { key, line, value } in &entries {
        if let Some(row) = row(key) {
            set(settings, row, value, at)?;
            continue;
        }
        if !ROWS.iter().any(|row| row.section() == Some(key)) {
            return Err(unknown(&at(*line), key));
        }
        let Kind::Table(section) = &value.kind else {
            return Err(OperatorError::new(format_args!(
                "{}: {key} = {value}: a section is wanted: [{key}]",
                at(*line)
            )));
        };
        for Entry {
            key: last,
            line,
            value,
        } in section
        {
            let name = format!("{key}.{last}");
            let row = row(&name).ok_or_else(|| unknown(&at(*line), &name))?;
            set(settings, row, value, at)?;
        }
    }
    Ok(())
}

fn from_environment(
    settings: &mut Settings,
    environment: &[Variable],
) -> Result<(), OperatorError> {
    for (name, text) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLES)) else {
            continue;
        };
        if name == FILE_VARIABLE {
            continue;
        }
        let Some(row) = ROWS.iter().find(|row| row.variable() == name) else {
            if is_from_kubernetes(name, &text.to_string_lossy()) {
                continue;
            }
            let given = name.trim_start_matches(VARIABLES).replacen('_', ".", 1);
            let meant = row(nearest(&given, ROWS.iter().map(|row| row.name)));
            let meant = meant.map(Row::variable).unwrap_or_default();
            return Err(OperatorError::new(format_args!(
                "{name}: there is no such setting: is {meant} meant?"
            )));
        };
        let text = text
            .to_str()
            .ok_or_else(|| OperatorError::new(format_args!("{name}: a text in UTF-8 is wanted")))?;
        set_text(settings, row, name, text)?;
    }
    Ok(())
}

/// Whether a variable is one of those that Kubernetes gives every container for
/// each service whose name starts with `tokenkit` (its documentation, "Service",
/// "Environment variables"): they are addresses, not settings.
fn is_from_kubernetes(name: &str, text: &str) -> bool {
    // <number>_<protocol>, or that with _PROTO, _PORT or _ADDR behind it.
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts
            .next()
            .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let protocol = matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"));
        let kind = matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"));
        number && protocol && kind && parts.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && text.contains("://"))
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| is_port(rest))
}

/// Puts the text of a flag or a variable in its place.
fn set_text(
    settings: &mut Settings,
    row: &Row,
    place: &str,
    text: &str,
) -> Result<(), OperatorError> {
    let value = (row.of_text)(text).map_err(|error| {
        OperatorError::new(format_args!(
            "{place}: {} = {text}: no TOML: {}",
            row.name, error.what
        ))
    })?;
    set(settings, row, &value, |_| place.to_owned())
}

fn set(
    settings: &mut Settings,
    row: &Row,
    value: &Value,
    place: impl Fn(usize) -> String,
) -> Result<(), OperatorError> {
    (row.set)(settings, value).map_err(
        |Bad {
             line,
             given,
             wanted,
         }| {
            OperatorError::new(format_args!(
                "{}: {} = {given}: {wanted}",
                place(line),
                row.name
            ))
        },
    )
}

fn unknown(place: &str, name: &str) -> OperatorError {
    let names = ROWS.iter().map(|row| row.name);
    let sections = ROWS.iter().filter_map(Row::section);
    let meant = if name.contains('.') {
        nearest(name, names)
    } else {
        nearest(name, names.chain(sections))
    };
    OperatorError::new(format_args!(
        "{place}: there is no setting {name}: is {meant} meant?"
    ))
}
