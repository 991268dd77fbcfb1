//! `tokenkit session`: making, listing and ending users' sessions.

use std::io::{self, Read, Write};

use engine::{SessionRecord, SessionToken};
use store::{SessionId, Store, StoreError, StoredSession};

use super::fields::{expiry_to_come, flag};
use super::text_table::TextTable;
use super::view::{JsonArray, SESSION_HEADS, SessionView, shown_once, write_json};
use crate::cli::Session;
use crate::error::{Failure, OperatorError};
use crate::keystore::{self, now, open};
use crate::settings::Settings;

/// The longest token that is read from standard input.
const MAX_TOKEN: u64 = 4096;

/// Runs a command about sessions.
///
/// # Errors
///
/// What the operator gave does not work, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    command: &Session,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        Session::Create {
            project,
            user,
            expires,
            json,
        } => create(settings, (project, user), expires.as_deref(), *json, out),
        Session::End { id } => end(settings, id, out),
        Session::List { json } => list(settings, *json, out),
    }
}

fn create(
    settings: &Settings,
    (project, user): (&str, &str),
    expires: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let now = now();
    let session = SessionRecord {
        project: flag("--project", project, str::parse)?,
        user: flag("--user", user, str::parse)?,
        expires_at: expiry_to_come(expires, now)?,
    };
    let (mut store, secret) = open(settings)?;
    let token = SessionToken::generate().map_err(|cause| {
        OperatorError::wrap("the system gave no random bytes for a token", cause)
    })?;
    let stored = StoredSession::of(&token, &secret, session, now);
    let mut writer = keystore::change(settings, &mut store)?;
    keystore::add_session(&mut writer, &stored)?;
    writer.commit()?;
    let shown = if json {
        let view = SessionView {
            token: Some(token.expose().into()),
            ..SessionView::of(&stored, now)
        };
        write_json(out, &view)
    } else {
        writeln!(
            out,
            "Session {} of user {} in project {}. The whole token, shown this once:\n\n    {}\n",
            stored.id,
            session.user,
            session.project,
            token.expose()
        )
        .map_err(Failure::from)
    };
    shown_once(
        shown,
        out,
        &format_args!("session {}", stored.id),
        &format_args!("tokenkit session end {}", stored.id),
    )
}

fn end(settings: &Settings, which: &str, out: &mut dyn Write) -> Result<(), Failure> {
    if which == "-" {
        let mut token = String::new();
        io::stdin()
            .lock()
            .take(MAX_TOKEN)
            .read_to_string(&mut token)
            .map_err(|cause| OperatorError::wrap("standard input", cause))?;
        let (mut store, secret) = open(settings)?;
        let digest = secret.digest_token(token.trim().as_bytes());
        change(settings, &mut store, |writer| {
            writer.end_session_of(&digest)
        })?;
        writeln!(out, "The session is ended.")?;
    } else {
        let id: SessionId = which.parse().map_err(|error| {
            OperatorError::new(format_args!(
                "{error}; a whole token is read from standard input: session end -"
            ))
        })?;
        let (mut store, _) = open(settings)?;
        change(settings, &mut store, |writer| writer.end_session(&id))?;
        writeln!(out, "Session {id} is ended.")?;
    }
    Ok(())
}

fn change(
    settings: &Settings,
    store: &mut Store,
    change: impl FnOnce(&mut store::Writer<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut writer = keystore::change(settings, store)?;
    change(&mut writer)?;
    writer.commit()
}

fn list(settings: &Settings, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (store, _) = open(settings)?;
    let now = now();
    if json {
        let mut array = JsonArray::begin(out)?;
        store.each_session(|session| array.add(out, &SessionView::of(&session, now)))?;
        return array.end(out);
    }
    let mut table = TextTable::new(SESSION_HEADS);
    store.each_session(|session| {
        table.fit(&SessionView::of(&session, now).row());
        Ok::<_, Failure>(())
    })?;
    table.write_head(out)?;
    store.each_session(|session| Ok(table.write(&SessionView::of(&session, now).row(), out)?))
}
