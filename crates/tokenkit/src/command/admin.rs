//! `tokenkit admin`: making, listing and revoking admin tokens.

use std::io::Write;

use serde::Serialize;
use store::{Scope, StoredToken};

use super::fields::{NEVER, expiry_to_come, flag, key_id};
use super::text_table::TextTable;
use super::view::{JsonArray, shown_once, write_json};
use crate::admin_token;
use crate::cli::{Admin, AdminToken, TokenScope};
use crate::error::Failure;
use crate::keystore::{change, now, open, open_or_create};
use crate::settings::Settings;
use crate::when::show_when;

/// Runs a command about admin tokens.
///
/// # Errors
///
/// What the operator gave does not work, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    Admin::Token(command): &Admin,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        AdminToken::Create {
            name,
            scope,
            expires,
            json,
        } => create(settings, name, *scope, expires.as_deref(), *json, out),
        AdminToken::List { json } => list(settings, *json, out),
        AdminToken::Revoke { id } => {
            let id = key_id(id)?;
            let (mut store, _) = open(settings)?;
            let mut writer = change(settings, &mut store)?;
            writer.revoke_token(id)?;
            writer.commit()?;
            writeln!(out, "Admin token {id} is revoked.")?;
            Ok(())
        }
    }
}

fn create(
    settings: &Settings,
    name: &str,
    scope: TokenScope,
    expires: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let now = now();
    let name = flag("--name", name, str::parse)?;
    let expires_at = expiry_to_come(expires, now)?;
    let scope = match scope {
        TokenScope::Read => Scope::Read,
        TokenScope::Write => Scope::Write,
    };
    let (mut store, secret) = open_or_create(settings)?;
    let (token, stored) = admin_token::mint(&secret, name, scope, expires_at)?;
    let mut writer = change(settings, &mut store)?;
    writer.add_token(&stored)?;
    writer.commit()?;
    let shown = if json {
        let view = TokenView {
            token: Some(token.expose().into()),
            ..TokenView::of(&stored, now)
        };
        write_json(out, &view)
    } else {
        writeln!(
            out,
            "Admin token {} of scope {scope}. The whole token, shown this once:\n\n    {}\n",
            token.id(),
            token.expose()
        )
        .map_err(Failure::from)
    };
    shown_once(
        shown,
        out,
        &format_args!("admin token {}", token.id()),
        &format_args!("tokenkit admin token revoke {}", token.id()),
    )
}

fn list(settings: &Settings, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (store, _) = open(settings)?;
    let now = now();
    let tokens = store.tokens()?;
    let views = tokens.iter().map(|token| TokenView::of(token, now));
    if json {
        let mut array = JsonArray::begin(out)?;
        for view in views {
            array.add(out, &view)?;
        }
        return array.end(out);
    }
    let mut table = TextTable::new(HEADS);
    let rows: Vec<_> = views.map(|view| view.row()).collect();
    for row in &rows {
        table.fit(row);
    }
    table.write_head(out)?;
    for row in &rows {
        table.write(row, out)?;
    }
    Ok(())
}

/// An admin token for programs. Times are unix seconds; `null` is none.
#[derive(Serialize)]
struct TokenView {
    id: String,
    name: String,
    scope: &'static str,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    created_at: u64,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
    /// The whole token; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// The heads of [`TokenView::row`].
const HEADS: [&str; 5] = ["ID", "SCOPE", "STATE", "EXPIRES", "NAME"];

impl TokenView {
    /// What may be shown of a token, at a time.
    fn of(token: &StoredToken, now: u64) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.to_string(),
            scope: token.scope.as_str(),
            state: admin_token::state(token, now),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            token: None,
        }
    }

    fn row(&self) -> [String; 5] {
        [
            self.id.clone(),
            self.scope.into(),
            self.state.into(),
            self.expires_at.map_or_else(|| NEVER.into(), show_when),
            self.name.clone(),
        ]
    }
}
