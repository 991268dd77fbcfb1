//! `tokenkit key`: making, looking at and changing keys.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use engine::{CidrList, KeyId, KeyPolicy, KeyState, Name, OriginList, Prefix};
use store::{KeyFilter, Label, StoredKey};

use super::fields::{entries, expiry, expiry_to_come, flag, key_id, limit};
use super::text_table::TextTable;
use super::view::{JsonArray, KEY_HEADS, KeyView, shown_once, write_json};
use super::{export, import};
use crate::cli::{Key, KeyCreate, KeyIds, KeyList, KeySet, State};
use crate::error::{Failure, OperatorError};
use crate::keystore::{change, check_number, default_prefix, mint, now, open, open_or_create};
use crate::settings::Settings;

/// Runs a command about keys.
///
/// # Errors
///
/// What the operator gave does not work, or the output cannot be written.
pub(super) fn run(
    settings: &Settings,
    command: &Key,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    match command {
        Key::Create(wanted) => create(settings, wanted, out)?,
        Key::List(wanted) => list(settings, wanted, out)?,
        Key::Show { id, json } => {
            let id = key_id(id)?;
            let (store, _) = open(settings)?;
            show(&store.key(id)?, *json, out)?;
        }
        Key::Disable(ids) => set_state(settings, ids, KeyState::Disabled, out)?,
        Key::Enable(ids) => set_state(settings, ids, KeyState::Active, out)?,
        Key::Revoke(ids) => set_state(settings, ids, KeyState::Revoked, out)?,
        Key::Set(wanted) => set(settings, wanted, out)?,
        Key::Import(wanted) => return import::run(settings, wanted, out),
        Key::Export(wanted) => export::run(settings, wanted, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create(settings: &Settings, wanted: &KeyCreate, out: &mut dyn Write) -> Result<(), Failure> {
    let mut policy = KeyPolicy::new(flag("--project", &wanted.project, str::parse)?);
    if let Some(text) = &wanted.limit {
        policy.hourly_limit = flag("--limit", text, limit)?;
    }
    policy.expires_at = expiry_to_come(wanted.expires.as_deref(), now())?;
    policy.origins = OriginList::parse(&wanted.origins)
        .map_err(|error| OperatorError::wrap("--origin", error))?;
    policy.ips =
        CidrList::parse(&wanted.ips).map_err(|error| OperatorError::wrap("--ip", error))?;
    policy.require_origin = wanted.require_origin;
    let label = flag(
        "--name",
        wanted.name.as_deref().unwrap_or_default(),
        str::parse::<Label>,
    )?;
    let prefix = match &wanted.prefix {
        None => default_prefix(settings)?,
        Some(text) => own_prefix(settings, text)?,
    };
    let (mut store, secret) = open_or_create(settings)?;
    let (key, stored) = mint(&secret, &prefix, policy, label)?;
    let mut writer = change(settings, &mut store)?;
    writer.add_key(&stored)?;
    check_number(settings, writer.keys())?;
    writer.commit()?;

    let shown = if wanted.json {
        let view = KeyView {
            key: Some(key.expose().into()),
            ..KeyView::of(&stored)
        };
        write_json(out, &view)
    } else {
        writeln!(
            out,
            "Key {} of project {}. The whole key, shown this once:\n\n    {}\n",
            key.id(),
            stored.record.policy.project,
            key.expose()
        )
        .map_err(Failure::from)
    };
    shown_once(
        shown,
        out,
        &format_args!("key {}", key.id()),
        &format_args!("tokenkit key revoke {}", key.id()),
    )
}

/// A prefix that the deployment takes.
pub(super) fn own_prefix(settings: &Settings, text: &str) -> Result<Prefix, OperatorError> {
    let prefix: Prefix = flag("--prefix", text, str::parse)?;
    if settings.keys.prefixes.contains(prefix.as_bytes()) {
        return Ok(prefix);
    }
    Err(OperatorError::new(format_args!(
        "--prefix {prefix}: it is not among keys.prefixes, so that the server would refuse its keys: add it there"
    )))
}

fn list(settings: &Settings, wanted: &KeyList, out: &mut dyn Write) -> Result<(), Failure> {
    let filter = KeyFilter {
        project: project(wanted.project.as_deref())?,
        state: wanted.state.map(|state| match state {
            State::Active => KeyState::Active,
            State::Disabled => KeyState::Disabled,
            State::Revoked => KeyState::Revoked,
        }),
    };
    let (store, _) = open(settings)?;
    if wanted.json {
        let mut array = JsonArray::begin(out)?;
        store.each_key(&filter, |key| array.add(out, &KeyView::of(&key)))?;
        return array.end(out);
    }
    let mut table = TextTable::new(KEY_HEADS);
    store.each_key(&filter, |key| {
        table.fit(&KeyView::of(&key).row());
        Ok::<_, Failure>(())
    })?;
    table.write_head(out)?;
    store.each_key(&filter, |key| {
        Ok(table.write(&KeyView::of(&key).row(), out)?)
    })
}

/// The value of `--project` where it is a filter.
pub(super) fn project(text: Option<&str>) -> Result<Option<Name>, OperatorError> {
    text.map(|text| flag("--project", text, str::parse))
        .transpose()
}

fn show(key: &StoredKey, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let view = KeyView::of(key);
    if json {
        write_json(out, &view)
    } else {
        Ok(view.write_lines(out)?)
    }
}

/// Brings keys into a state: all that are named, or none.
fn set_state(
    settings: &Settings,
    wanted: &KeyIds,
    state: KeyState,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let ids = read_ids(&wanted.ids)?;
    let (mut store, _) = open(settings)?;
    let mut writer = change(settings, &mut store)?;
    let mut changed = Vec::with_capacity(ids.len());
    for id in ids {
        changed.push(writer.change_key(id, None, |key| key.record.policy.state = state)?);
    }
    writer.commit()?;
    for key in changed {
        if wanted.json {
            write_json(out, &KeyView::of(&key))?;
        } else {
            writeln!(out, "Key {} is {state}.", key.record.id)?;
        }
    }
    Ok(())
}

/// The ids of the command line; those of standard input where one is `-`.
fn read_ids(texts: &[String]) -> Result<Vec<KeyId>, OperatorError> {
    let mut ids = Vec::new();
    for text in texts {
        if text != "-" {
            ids.push(key_id(text)?);
            continue;
        }
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|cause| OperatorError::wrap("standard input", cause))?;
            let line = line.trim();
            if !line.is_empty() {
                ids.push(key_id(line)?);
            }
        }
    }
    Ok(ids)
}

fn set(settings: &Settings, wanted: &KeySet, out: &mut dyn Write) -> Result<(), Failure> {
    let now = now();
    let id = key_id(&wanted.id)?;
    let limit = wanted
        .limit
        .as_deref()
        .map(|text| flag("--limit", text, limit))
        .transpose()?;
    let expires = wanted
        .expires
        .as_deref()
        .map(|text| flag("--expires", text, |text| expiry(text, now)))
        .transpose()?;
    let label = wanted
        .name
        .as_deref()
        .map(|text| flag("--name", text, str::parse::<Label>))
        .transpose()?;
    let origins = wanted
        .origins
        .as_deref()
        .map(|texts| {
            OriginList::parse(entries(texts))
                .map_err(|error| OperatorError::wrap("--origin", error))
        })
        .transpose()?;
    let ips = wanted
        .ips
        .as_deref()
        .map(|texts| {
            CidrList::parse(entries(texts)).map_err(|error| OperatorError::wrap("--ip", error))
        })
        .transpose()?;
    let (mut store, _) = open(settings)?;
    let mut writer = change(settings, &mut store)?;
    if let (Some(text), Some(Some(at))) = (&wanted.expires, expires)
        && at <= now
        && writer.key(id)?.record.policy.expires_at != Some(at)
    {
        return Err(OperatorError::new(format_args!(
            "--expires {text} lies in the past: to stop a key now, disable or revoke it"
        ))
        .into());
    }
    let changed = writer.change_key(id, None, |key| {
        let policy = &mut key.record.policy;
        policy.hourly_limit = limit.unwrap_or(policy.hourly_limit);
        policy.expires_at = expires.unwrap_or(policy.expires_at);
        policy.require_origin = wanted.require_origin.unwrap_or(policy.require_origin);
        if let Some(origins) = origins {
            policy.origins = origins;
        }
        if let Some(ips) = ips {
            policy.ips = ips;
        }
        if let Some(label) = label {
            key.label = label;
        }
    })?;
    writer.commit()?;
    show(&changed, wanted.json, out)
}
