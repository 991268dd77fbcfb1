//! Rows of the tables as values, and back. A row that no writer writes is
//! damage, named by its column; it is never passed over in silence, for a key
//! left out could as well be a revocation left out.

use engine::{
    CidrList, KeyDigest, KeyId, KeyPolicy, KeyRecord, KeyState, Limit, Name, OriginList, Prefix,
    SessionRecord, TokenDigest,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::record::{Label, StoredKey, StoredSession};
use crate::seal::{key_seal, session_seal};

/// The columns of [`key_record`], then those that [`stored_key`] adds.
pub(crate) const KEY_COLUMNS: &str = concat!(
    "id, digest, project, hourly_limit, expires_at, state, require_origin, origins, ips, seal IS ",
    key_seal!(),
    ", prefix, name, created_at, revoked_at, rev, revoked_reason, replaces"
);

/// The columns of [`stored_session`].
pub(crate) const SESSION_COLUMNS: &str = concat!(
    "digest, id, project, user, expires_at, created_at, ended, seal IS ",
    session_seal!()
);

/// The column whose content no writer writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadColumn(pub(crate) &'static str);

pub(crate) type Decoded<T> = Result<T, BadColumn>;

/// The part of a key that the engine keeps.
pub(crate) fn key_record(row: &Row<'_>) -> Decoded<KeyRecord> {
    let record = KeyRecord {
        id: parsed(row, 0, "id")?,
        digest: KeyDigest::from_bytes(bytes(row, 1, "digest")?),
        policy: KeyPolicy {
            project: parsed(row, 2, "project")?,
            hourly_limit: optional(row, 3, "hourly_limit")?
                .map(Limit::try_from)
                .transpose()
                .map_err(|_| BadColumn("hourly_limit"))?,
            expires_at: optional(row, 4, "expires_at")?,
            state: state_of(number(row, 5, "state")?).ok_or(BadColumn("state"))?,
            require_origin: flag(row, 6, "require_origin")?,
            origins: list(row, 7, "origins", |texts| OriginList::parse(texts).ok())?,
            ips: list(row, 8, "ips", |texts| CidrList::parse(texts).ok())?,
        },
    };
    // Last, so that what means nothing is named by its column.
    sealed(row, 9)?;
    Ok(record)
}

/// The whole of a key.
pub(crate) fn stored_key(row: &Row<'_>) -> Decoded<StoredKey> {
    Ok(StoredKey {
        record: key_record(row)?,
        prefix: parsed::<Prefix>(row, 10, "prefix")?,
        label: parsed::<Label>(row, 11, "name")?,
        created_at: number(row, 12, "created_at")?,
        revoked_at: optional(row, 13, "revoked_at")?,
        revision: signed(row, 14, "rev")?,
        revoked_reason: maybe_parsed(row, 15, "revoked_reason")?,
        replaces: maybe_parsed(row, 16, "replaces")?,
    })
}

/// The whole of a session.
pub(crate) fn stored_session(row: &Row<'_>) -> Decoded<StoredSession> {
    let session = StoredSession {
        token: TokenDigest::from_bytes(bytes(row, 0, "digest")?),
        id: parsed(row, 1, "id")?,
        session: SessionRecord {
            project: parsed::<Name>(row, 2, "project")?,
            user: parsed::<Name>(row, 3, "user")?,
            expires_at: optional(row, 4, "expires_at")?,
        },
        created_at: number(row, 5, "created_at")?,
        ended: flag(row, 6, "ended")?,
    };
    sealed(row, 7)?;
    Ok(session)
}

/// Whether a row is as it was written.
pub(crate) fn sealed(row: &Row<'_>, index: usize) -> Decoded<()> {
    if flag(row, index, "seal")? {
        Ok(())
    } else {
        Err(BadColumn("seal"))
    }
}

/// The text that inserts a key into a table whose rows have two numbers besides,
/// and perhaps a seal.
macro_rules! insert_into {
    ($table:literal, $first:literal, $second:literal) => {
        insert_into!($table, $first, $second, "", "")
    };
    ("sealed", $table:literal, $first:literal, $second:literal) => {
        insert_into!(
            $table,
            $first,
            $second,
            ", seal",
            ", row_seal('key', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
             ?17)"
        )
    };
    ($table:literal, $first:literal, $second:literal, $column:literal, $seal:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (",
            $first,
            ", ",
            $second,
            ", id, digest, prefix, project, hourly_limit, expires_at, state, require_origin, \
             origins, ips, name, created_at, revoked_at, revoked_reason, replaces",
            $column,
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17",
            $seal,
            ")"
        )
    };
}
pub(crate) use insert_into;

/// Inserts a key by a text of [`insert_into`].
pub(crate) fn insert_key(
    connection: &Connection,
    insert: &str,
    numbers: [i64; 2],
    key: &StoredKey,
) -> rusqlite::Result<()> {
    let StoredKey { record, .. } = key;
    let policy = &record.policy;
    connection
        .prepare_cached(insert)?
        .execute(params![
            numbers[0],
            numbers[1],
            id_column(record.id),
            record.digest.as_bytes(),
            key.prefix.as_str(),
            policy.project.as_str(),
            policy
                .hourly_limit
                .map(|limit| number_column(limit.units())),
            policy.expires_at.map(number_column),
            state_column(policy.state),
            policy.require_origin,
            list_column(policy.origins.iter()),
            list_column(policy.ips.iter()),
            key.label.as_str(),
            number_column(key.created_at),
            key.revoked_at.map(number_column),
            key.revoked_reason.as_ref().map(Label::as_str),
            key.replaces.map(id_column),
        ])
        .map(|_| ())
}

/// A list as its column holds it: NULL where it is empty, else a JSON array.
pub(crate) fn list_column<T: ToString>(entries: impl Iterator<Item = T>) -> Option<String> {
    let texts: Vec<String> = entries.map(|entry| entry.to_string()).collect();
    (!texts.is_empty()).then(|| serde_json::Value::from(texts).to_string())
}

/// A state as its column holds it.
pub(crate) const fn state_column(state: KeyState) -> i64 {
    match state {
        KeyState::Active => 0,
        KeyState::Disabled => 1,
        KeyState::Revoked => 2,
    }
}

/// A time or limit as its column holds it. What lies beyond is a time that
/// never comes, as the largest that fits.
pub(crate) fn number_column(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A key's id as its column holds it.
pub(crate) fn id_column(id: KeyId) -> String {
    id.to_string()
}

fn state_of(number: u64) -> Option<KeyState> {
    match number {
        0 => Some(KeyState::Active),
        1 => Some(KeyState::Disabled),
        2 => Some(KeyState::Revoked),
        _ => None,
    }
}

pub(crate) fn value<'r>(
    row: &'r Row<'_>,
    index: usize,
    column: &'static str,
) -> Decoded<ValueRef<'r>> {
    row.get_ref(index).map_err(|_| BadColumn(column))
}

pub(crate) fn text<'r>(row: &'r Row<'_>, index: usize, column: &'static str) -> Decoded<&'r str> {
    value(row, index, column)?
        .as_str()
        .map_err(|_| BadColumn(column))
}

pub(crate) fn parsed<T: std::str::FromStr>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> Decoded<T> {
    text(row, index, column)?
        .parse()
        .map_err(|_| BadColumn(column))
}

pub(crate) fn bytes<const N: usize>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> Decoded<[u8; N]> {
    let blob = value(row, index, column)?
        .as_blob()
        .map_err(|_| BadColumn(column))?;
    blob.try_into().map_err(|_| BadColumn(column))
}

/// A text that may be none.
pub(crate) fn maybe_parsed<T: std::str::FromStr>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
) -> Decoded<Option<T>> {
    match value(row, index, column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, index, column).map(Some),
    }
}

/// A number that only the store itself counts with.
pub(crate) fn signed(row: &Row<'_>, index: usize, column: &'static str) -> Decoded<i64> {
    value(row, index, column)?
        .as_i64()
        .map_err(|_| BadColumn(column))
}

pub(crate) fn optional(row: &Row<'_>, index: usize, column: &'static str) -> Decoded<Option<u64>> {
    match value(row, index, column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => u64::try_from(number)
            .map(Some)
            .map_err(|_| BadColumn(column)),
        _ => Err(BadColumn(column)),
    }
}

pub(crate) fn number(row: &Row<'_>, index: usize, column: &'static str) -> Decoded<u64> {
    optional(row, index, column)?.ok_or(BadColumn(column))
}

pub(crate) fn flag(row: &Row<'_>, index: usize, column: &'static str) -> Decoded<bool> {
    match number(row, index, column)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BadColumn(column)),
    }
}

fn list<T: Default>(
    row: &Row<'_>,
    index: usize,
    column: &'static str,
    parse: impl FnOnce(Vec<String>) -> Option<T>,
) -> Decoded<T> {
    match value(row, index, column)? {
        ValueRef::Null => Ok(T::default()),
        ValueRef::Text(json) => serde_json::from_slice(json)
            .ok()
            .and_then(parse)
            .ok_or(BadColumn(column)),
        _ => Err(BadColumn(column)),
    }
}
