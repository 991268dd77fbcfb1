//! The rows of an import: their columns, and each as a key to store.

use std::borrow::Cow;

use engine::{
    CidrList, KeyDigest, KeyPolicy, KeyRecord, KeyState, OriginList, SecretKey, ServerSecret,
};
use store::{Label, StoredKey};

use super::fields::{expiry, limit, state};
use crate::error::without_secrets;
use crate::settings::Settings;
use crate::when::parse_when;

/// Columns of a CSV file, and members of a JSON line.
macro_rules! columns {
    ($($column:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Column { $($column,)* }

        impl Column {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$column,)*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$column => $name,)* }
            }
        }
    };
}

columns! {
    Key = "key",
    Id = "id",
    Prefix = "prefix",
    Digest = "digest",
    Project = "project",
    Name = "name",
    State = "state",
    HourlyLimit = "hourly_limit",
    ExpiresAt = "expires_at",
    RequireOrigin = "require_origin",
    Origins = "origins",
    Ips = "ips",
    CreatedAt = "created_at",
    RevokedAt = "revoked_at",
    RevokedReason = "revoked_reason",
    Replaces = "replaces",
}

impl Column {
    /// Those of an export: all but the raw key, which nobody has.
    pub(crate) const EXPORTED: &'static [Self] = Self::ALL.split_at(1).1;

    /// The column of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|column| column.as_str() == name)
    }
}

/// The cells of one row by column; what is not there is empty. Texts are held
/// for the one row only.
#[derive(Default)]
pub(crate) struct Cells<'r>([Cow<'r, str>; Column::ALL.len()]);

impl<'r> Cells<'r> {
    /// Puts a cell in.
    pub(crate) fn set(&mut self, column: Column, text: impl Into<Cow<'r, str>>) {
        self.0[column as usize] = text.into();
    }

    fn text(&self, column: Column) -> &str {
        self.0[column as usize].trim()
    }

    /// A cell that is not empty, as a checked value.
    fn parsed<T, E: std::fmt::Display>(
        &self,
        column: Column,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, String> {
        checked(column, self.text(column), parse)
    }

    /// A text of people's own, with its outer blanks: those are kept.
    fn label(&self, column: Column) -> Result<Option<Label>, String> {
        checked(column, &self.0[column as usize], str::parse)
    }

    /// A cell that is not empty, as a checked list. One that lists nothing all
    /// the same is no list: an empty one restricts nothing, and whoever wrote
    /// something there wanted to.
    fn list<T, E: std::fmt::Display>(
        &self,
        column: Column,
        parse: impl FnOnce(Vec<String>) -> Result<T, E>,
    ) -> Result<Option<T>, String> {
        let entries = self.text(column).split([' ', ';', '\t']);
        let entries = entries.filter(|entry| !entry.is_empty());
        let entries: Vec<_> = entries.map(String::from).collect();
        checked(column, &self.0[column as usize], |_| {
            if entries.is_empty() {
                return Err(
                    "nothing is listed: write what the key is restricted to, or leave it empty for \
                     a key without restriction"
                        .into(),
                );
            }
            parse(entries).map_err(|error| error.to_string())
        })
    }
}

/// A text of a column that is not empty, as a checked value.
fn checked<T, E: std::fmt::Display>(
    column: Column,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    match text {
        "" => Ok(None),
        // A cell in the wrong column could be a key.
        text => parse(text)
            .map(Some)
            .map_err(|error| without_secrets(&format!("{}: {error}", column.as_str()))),
    }
}

/// What rows are read under.
pub(crate) struct Reader<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) secret: &'s ServerSecret,
    /// Unix seconds.
    pub(crate) now: u64,
}

impl Reader<'_> {
    /// A row as a key to store; or why it is none, without a word of what could
    /// be secret.
    pub(crate) fn key(&self, cells: &Cells<'_>) -> Result<StoredKey, String> {
        let (prefix, id, digest) = self.identity(cells)?;
        let prefix_is_taken = self.settings.keys.prefixes.contains(prefix.as_bytes());
        if !prefix_is_taken {
            return Err(format!(
                "the prefix {prefix} is not among keys.prefixes: add it there"
            ));
        }
        let project = cells
            .parsed(Column::Project, str::parse)?
            .ok_or("the project is missing")?;
        let time = |text: &str| parse_when(text, self.now);
        let policy = KeyPolicy {
            hourly_limit: cells.parsed(Column::HourlyLimit, limit)?.flatten(),
            expires_at: cells
                .parsed(Column::ExpiresAt, |text| expiry(text, self.now))?
                .flatten(),
            state: cells.parsed(Column::State, state)?.unwrap_or_default(),
            require_origin: cells
                .parsed(Column::RequireOrigin, truth)?
                .unwrap_or_default(),
            origins: cells
                .list(Column::Origins, OriginList::parse)?
                .unwrap_or_default(),
            ips: cells
                .list(Column::Ips, CidrList::parse)?
                .unwrap_or_default(),
            ..KeyPolicy::new(project)
        };
        let revoked_at = cells.parsed(Column::RevokedAt, time)?;
        let revoked_at = match policy.state {
            KeyState::Revoked => Some(revoked_at.unwrap_or(self.now)),
            _ if revoked_at.is_some() => {
                return Err("revoked_at: only a key whose state is revoked has one".into());
            }
            _ => None,
        };
        let revoked_reason = cells.label(Column::RevokedReason)?;
        if revoked_at.is_none() && revoked_reason.is_some() {
            return Err("revoked_reason: only a key whose state is revoked has one".into());
        }
        Ok(StoredKey {
            record: KeyRecord { id, digest, policy },
            label: cells.label(Column::Name)?.unwrap_or_default(),
            prefix,
            created_at: cells.parsed(Column::CreatedAt, time)?.unwrap_or(self.now),
            revoked_at,
            revoked_reason,
            replaces: cells.parsed(Column::Replaces, str::parse::<engine::KeyId>)?,
            revision: 0,
        })
    }

    /// Which key it is: by the raw key, or by what an export says of it.
    fn identity(
        &self,
        cells: &Cells<'_>,
    ) -> Result<(engine::Prefix, engine::KeyId, KeyDigest), String> {
        let id = cells.parsed(Column::Id, str::parse::<engine::KeyId>)?;
        let prefix = cells.parsed(Column::Prefix, str::parse::<engine::Prefix>)?;
        let digest = cells.parsed(Column::Digest, unhex)?;
        match (cells.parsed(Column::Key, str::parse::<SecretKey>)?, id, prefix, digest) {
            (Some(key), None, None, None) => {
                let digest = self.secret.digest_key(key.expose().as_bytes());
                Ok((key.prefix(), key.id(), digest))
            }
            (None, Some(id), Some(prefix), Some(digest)) => Ok((prefix, id, digest)),
            (Some(_), ..) => Err("beside a key neither id nor prefix nor digest is taken: the key says them".into()),
            (None, None, None, None) => Err("the key is missing".into()),
            (None, _, _, None) => Err(
                "the digest is missing: export with --with-digests from a store under the same server secret, \
                 or give the raw key"
                    .into(),
            ),
            (None, ..) => Err("beside a digest an id and a prefix are wanted".into()),
        }
    }
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is neither true nor false"))
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<KeyDigest, &'static str> {
    const WANTED: &str = "64 hexadecimal digits are wanted";
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(WANTED);
    };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| WANTED)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(WANTED)?;
        *byte = u8::try_from(high << 4 | low).map_err(|_| WANTED)?;
    }
    Ok(KeyDigest::from_bytes(bytes))
}
