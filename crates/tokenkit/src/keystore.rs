//! The key store and the server secret of the settings: opened, or made where
//! this is the first start.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

use engine::{Clock, Engine, EngineBuilder, KeyPolicy, Limit, Prefix, SecretKey, ServerSecret};
use store::{
    Actor, Label, Scope, SecretFileError, Store, StoreError, StoredKey, StoredSession, Writer,
    create_secret_file, read_secret_file,
};

use crate::admin_token;
use crate::error::OperatorError;
use crate::output::say;
use crate::settings::{Settings, StoreSettings};

/// The project of the key that a first start makes.
const FIRST_PROJECT: &str = "default";
/// Its units an hour.
const FIRST_LIMIT: u64 = 1000;
/// How long an expired session is kept for people to look at.
const KEEP_EXPIRED_S: u64 = 7 * 86_400;
/// What the first admin token is called.
const FIRST_TOKEN: &str = "first start";

/// An engine as the settings want it, but for its ledger.
pub(crate) fn engine(settings: &Settings, secret: &ServerSecret) -> EngineBuilder {
    Engine::builder(secret.clone())
        .prefixes(settings.keys.prefixes.clone())
        .origins(settings.cors.origins.clone())
        .failures(settings.failures.clone())
        .max_keys(settings.keys.max_keys)
}

/// Opens the store and the secret, both of which must be there.
///
/// # Errors
///
/// One of them is missing, or cannot be used.
pub(crate) fn open(settings: &Settings) -> Result<(Store, ServerSecret), OperatorError> {
    let file = settings.store.file();
    if !exists(&file)? {
        return Err(OperatorError::new(StoreError::Missing(file)));
    }
    let secret = existing_secret(&settings.store)?;
    let store = Store::open(&file, &secret).map_err(OperatorError::new)?;
    Ok((store, secret))
}

/// Opens the store and the secret, and makes what is missing of them. A secret
/// is never made beside a store that is there: it could not be the right one.
///
/// # Errors
///
/// One of them cannot be made or used, or the secret of a store is missing.
pub(crate) fn open_or_create(settings: &Settings) -> Result<(Store, ServerSecret), OperatorError> {
    let paths = &settings.store;
    let file = paths.file();
    let secret = if exists(&file)? {
        existing_secret(paths)?
    } else {
        let secret_file = paths.secret_file();
        make_folder_of(&file)?;
        make_folder_of(&secret_file)?;
        match create_secret_file(&secret_file) {
            Err(SecretFileError::Exists(_)) => read_secret_file(&secret_file),
            made => made,
        }
        .map_err(OperatorError::new)?
    };
    let store = Store::create(&file, &secret).map_err(OperatorError::new)?;
    Ok((store, secret))
}

/// Whether neither store nor secret is there yet, so that [`open_or_create`]
/// makes a secret under which no digest was ever made.
///
/// # Errors
///
/// Their places cannot be reached.
pub(crate) fn is_first(paths: &StoreSettings) -> Result<bool, OperatorError> {
    Ok(!exists(&paths.file())? && !exists(&paths.secret_file())?)
}

/// What a first start makes, and hands out this once.
pub(crate) struct First {
    /// A key in the project `default`, for 1000 units an hour.
    pub(crate) key: SecretKey,
    /// An admin token that may look and change.
    pub(crate) token: SecretKey,
}

/// Where nothing was ever put into the store, makes the first key and the first
/// admin token. Of several first starts at once one makes them.
///
/// # Errors
///
/// They cannot be stored.
pub(crate) fn first_start(
    settings: &Settings,
    store: &mut Store,
    secret: &ServerSecret,
) -> Result<Option<First>, OperatorError> {
    if !store.is_new().map_err(OperatorError::new)? {
        return Ok(None);
    }
    let mut policy = KeyPolicy::new(FIRST_PROJECT.parse().map_err(OperatorError::new)?);
    policy.hourly_limit = Some(Limit::try_from(FIRST_LIMIT).map_err(OperatorError::new)?);
    let prefix = default_prefix(settings)?;
    let (key, stored) = mint(secret, &prefix, policy, Label::default())?;
    let name = FIRST_TOKEN.parse().map_err(OperatorError::new)?;
    let (token, stored_token) = admin_token::mint(secret, name, Scope::Write, None)?;
    let mut writer = store
        .write_within(
            &Actor::system(),
            now(),
            settings.store.lock_timeout,
            say_that_we_wait,
        )
        .map_err(OperatorError::new)?;
    // Another process may have been first in between.
    if !writer.is_first() {
        return Ok(None);
    }
    writer.add_key(&stored).map_err(OperatorError::new)?;
    writer
        .add_token(&stored_token)
        .map_err(OperatorError::new)?;
    writer.commit().map_err(OperatorError::new)?;
    Ok(Some(First { key, token }))
}

/// Starts a change of the store at the command line, which may have to wait for
/// another's.
///
/// # Errors
///
/// [`StoreError::Locked`] after `store.lock_timeout_s`.
pub(crate) fn change<'s>(
    settings: &Settings,
    store: &'s mut Store,
) -> Result<Writer<'s>, StoreError> {
    store.write_within(
        &user(),
        now(),
        settings.store.lock_timeout,
        say_that_we_wait,
    )
}

/// Who runs the command, for the audit log: by name where the environment says
/// it, else by number.
pub(crate) fn user() -> Actor {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    Actor::cli(&named.unwrap_or_else(number_of_user))
}

#[cfg(unix)]
fn number_of_user() -> String {
    rustix::process::getuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn number_of_user() -> String {
    String::from("?")
}

/// Says on standard error why nothing seems to happen.
pub(crate) fn say_that_we_wait() {
    say("another program is writing the store: waiting for it");
}

/// Refuses a number of keys that the server would not take.
///
/// # Errors
///
/// There are more than `keys.max_keys`.
pub(crate) fn check_number(settings: &Settings, keys: u64) -> Result<(), OperatorError> {
    let most = settings.keys.max_keys;
    if keys <= u64::from(most) {
        return Ok(());
    }
    Err(OperatorError::new(format_args!(
        "{keys} keys are more than the {most} that the server takes: raise keys.max_keys"
    )))
}

/// Mints a key: its secret form, and what is stored of it.
///
/// # Errors
///
/// The system gives no random bytes.
pub(crate) fn mint(
    secret: &ServerSecret,
    prefix: &Prefix,
    policy: KeyPolicy,
    label: Label,
) -> Result<(SecretKey, StoredKey), OperatorError> {
    let key = SecretKey::generate(prefix)
        .map_err(|cause| OperatorError::wrap("the system gave no random bytes for a key", cause))?;
    let stored = StoredKey::of(&key, secret, *prefix, policy, label, now());
    Ok((key, stored))
}

/// Adds a new session, and now and then forgets those that have long expired.
///
/// # Errors
///
/// The store cannot be written.
pub(crate) fn add_session(
    writer: &mut Writer<'_>,
    session: &StoredSession,
) -> Result<(), StoreError> {
    writer.tidy_sessions(session.created_at.saturating_sub(KEEP_EXPIRED_S))?;
    writer.add_session(session)
}

/// The prefix of new keys.
pub(crate) fn default_prefix(settings: &Settings) -> Result<Prefix, OperatorError> {
    let first = settings.keys.prefixes.iter().next();
    first.copied().ok_or_else(|| {
        OperatorError::new("keys.prefixes names no prefix: name one, such as tk_live")
    })
}

/// The time in unix seconds; 0 before 1970.
pub(crate) fn now() -> u64 {
    Clock::System.now()
}

/// The secret of a store that is there.
fn existing_secret(paths: &StoreSettings) -> Result<ServerSecret, OperatorError> {
    let secret_file = paths.secret_file();
    read_secret_file(&secret_file).map_err(|error| match error {
        SecretFileError::Missing(_) => OperatorError::new(format_args!(
            "the server secret {} is missing, and without it no key in {} works: restore it from a backup, \
             or name it with store.secret_file; to start anew instead, move the store away",
            secret_file.display(),
            paths.file().display()
        )),
        error => OperatorError::new(error),
    })
}

/// Whether something is at a path.
fn exists(path: &Path) -> Result<bool, OperatorError> {
    path.try_exists().map_err(|cause| {
        OperatorError::new(format_args!(
            "{} cannot be reached: {cause}; name another folder with --data-dir, or let this user into it",
            path.display()
        ))
    })
}

/// Makes the folder of a file, and those above it, for their owner alone. A
/// folder that is there is left as it is.
fn make_folder_of(file: &Path) -> Result<(), OperatorError> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.recursive(true).create(folder) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            Err(OperatorError::new(format_args!(
                "{} is no folder: name another with --data-dir, or move it away",
                folder.display()
            )))
        }
        Err(cause) => Err(OperatorError::new(format_args!(
            "the folder {} cannot be made: {cause}; name another with --data-dir, or make it",
            folder.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        let mut settings = Settings::default();
        settings.store.data_dir = folder.join("data");
        settings
    }

    #[test]
    fn only_the_first_start_makes_a_key_and_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let (mut store, secret) = open_or_create(&settings).unwrap();
        let First { key, token } = first_start(&settings, &mut store, &secret)
            .unwrap()
            .unwrap();
        let stored = store.key(key.id()).unwrap();
        assert!(stored.record.digest == secret.digest_key(key.expose().as_bytes()));
        assert_eq!(stored.record.policy.project.as_str(), "default");
        assert_eq!(
            stored.record.policy.hourly_limit.map(Limit::units),
            Some(1000)
        );
        let tokens = store.tokens().unwrap();
        assert_eq!((tokens.len(), tokens[0].scope), (1, Scope::Write));
        assert!(tokens[0].digest == secret.digest_key(token.expose().as_bytes()));
        for _ in 0..2 {
            let (mut store, secret) = open_or_create(&settings).unwrap();
            let first = first_start(&settings, &mut store, &secret).unwrap();
            assert!(first.is_none());
        }
    }

    #[test]
    fn of_many_first_starts_one_makes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let start = || {
            let (mut store, secret) = open_or_create(&settings).unwrap();
            let first = first_start(&settings, &mut store, &secret).unwrap();
            first.is_some()
        };
        let keys: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads
                .into_iter()
                .map(|thread| usize::from(thread.join().unwrap()))
                .sum()
        });
        assert_eq!(keys, 1);
    }

    #[test]
    fn expired_sessions_are_looked_for_once_an_hour() {
        use engine::{SessionRecord, SessionToken};
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let (mut store, secret) = open_or_create(&settings).unwrap();
        let now = now();
        let mut add = |at: u64, expires_at: u64| {
            let token = SessionToken::generate().unwrap();
            let session = SessionRecord {
                project: "p".parse().unwrap(),
                user: "u".parse().unwrap(),
                expires_at: Some(expires_at),
            };
            let stored = StoredSession::of(&token, &secret, session, at);
            let mut writer = store.write(&Actor::system(), at).unwrap();
            add_session(&mut writer, &stored).unwrap();
            writer.commit().unwrap();
            let mut sessions = 0;
            let count = |_| -> Result<(), StoreError> {
                sessions += 1;
                Ok(())
            };
            store.each_session(count).unwrap();
            sessions
        };
        let long_ago = now - KEEP_EXPIRED_S - 1;
        assert_eq!(add(now, long_ago), 1);
        assert_eq!(add(now, long_ago), 2);
        assert_eq!(add(now + 3599, now + 9999), 3);
        assert_eq!(add(now + 3600, now + 9999), 2);
    }

    #[test]
    fn no_secret_is_made_beside_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        open_or_create(&settings).unwrap();
        let secret_file = settings.store.secret_file();
        std::fs::remove_file(&secret_file).unwrap();
        for error in [
            open(&settings).unwrap_err(),
            open_or_create(&settings).unwrap_err(),
        ] {
            assert!(
                error
                    .to_string()
                    .contains("is missing, and without it no key in"),
                "{error}"
            );
        }
        assert!(!secret_file.exists());
    }

    #[test]
    fn a_store_is_made_under_a_secret_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        std::fs::create_dir(&settings.store.data_dir).unwrap();
        let made = create_secret_file(&settings.store.secret_file()).unwrap();
        assert!(
            open(&settings)
                .unwrap_err()
                .to_string()
                .contains("there is no key store")
        );
        let (_, found) = open_or_create(&settings).unwrap();
        assert_eq!(made.fingerprint(), found.fingerprint());
        open(&settings).unwrap();
    }
}
