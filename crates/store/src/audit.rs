//! The audit log: who changed what and when.
//!
//! Every method of a [`Writer`] that changes something writes its row in the
//! same transaction, so that there is no change without one and no row of a
//! change that never was. A row is sealed as the others are; that the newest
//! were cut off, no seal tells.

use rusqlite::{Row, ToSql, params};
use serde_json::{Map, Value, json};

use crate::error::{Result, StoreError};
use crate::record::{Label, StoredKey};
use crate::rows::{BadColumn, Decoded, number, sealed, signed, text};
use crate::store::{Store, decoded};
use crate::writer::Writer;

/// A change that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Its number: later ones have greater.
    pub seq: i64,
    /// When, in unix seconds.
    pub at: u64,
    /// Who, see [`Actor`](crate::Actor).
    pub actor: String,
    /// What was done, such as `key.create`.
    pub action: String,
    /// The id or name of what it was done to.
    pub object: String,
    /// What it says besides: a JSON object. Of a change each field that is
    /// another, `from` what it was `to` what it is. Never a secret or digest.
    pub details: Value,
}

impl AuditEntry {
    /// Whether a member of the details is a time, in unix seconds.
    #[must_use]
    pub fn is_time(member: &str) -> bool {
        matches!(member, "expires_at" | "expired_before")
    }
}

/// Which entries to look at: those that fit all that is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditQuery<'q> {
    /// Only of what was done to this.
    pub object: Option<&'q str>,
    /// Only of what this one did.
    pub actor: Option<&'q str>,
    /// Only of this kind.
    pub action: Option<&'q str>,
    /// Only those before this number.
    pub before: Option<i64>,
    /// The most entries to hand out; with 0 there is no next page either.
    pub limit: usize,
}

/// Entries of the audit log, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// [`AuditQuery::before`] for the next page, where there may be one.
    pub next: Option<i64>,
}

impl Store {
    /// A page of the audit log.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn audit(&self, query: &AuditQuery<'_>) -> Result<AuditPage> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let before = query.before.unwrap_or(i64::MAX);
        let most = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let mut values: Vec<&dyn ToSql> = vec![&before, &most];
        let text = statement(query, &mut values);
        let mut statement = self.checked()?.prepare_cached(&text).map_err(sql)?;
        let mut rows = statement.query(&values[..]).map_err(sql)?;
        let mut page = AuditPage::default();
        while let Some(row) = rows.next().map_err(sql)? {
            page.entries.push(decoded(&self.path, "audit", row, entry)?);
        }
        if page.entries.len() == query.limit {
            page.next = page.entries.last().map(|entry| entry.seq);
        }
        Ok(page)
    }
}

/// The text of a query. It goes by the index of one filter, that which most
/// often leaves the fewest.
fn statement<'q>(query: &'q AuditQuery<'_>, values: &mut Vec<&'q dyn ToSql>) -> String {
    let mut text = String::from(
        "SELECT seq, at, actor, action, object, details, \
         seal IS row_seal('audit', seq, at, actor, action, object, details) \
         FROM audit WHERE seq < ?1",
    );
    let filters = [
        ("object", &query.object),
        ("action", &query.action),
        ("actor", &query.actor),
    ];
    let mut by_index = "";
    for (column, wanted) in filters {
        if let Some(wanted) = wanted {
            values.push(wanted);
            text.push_str(&format!(" AND {by_index}{column} = ?{}", values.len()));
            by_index = "+";
        }
    }
    text.push_str(" ORDER BY seq DESC LIMIT ?2");
    text
}

fn entry(row: &Row<'_>) -> Decoded<AuditEntry> {
    let entry = AuditEntry {
        seq: signed(row, 0, "seq")?,
        at: number(row, 1, "at")?,
        actor: text(row, 2, "actor")?.into(),
        action: text(row, 3, "action")?.into(),
        object: text(row, 4, "object")?.into(),
        details: serde_json::from_str(text(row, 5, "details")?)
            .map_err(|_| BadColumn("details"))?,
    };
    sealed(row, 6)?;
    Ok(entry)
}

impl Writer<'_> {
    /// Notes in the audit log what no other method here does: something done
    /// to the running server, such as `address.unblock`. `details` is a JSON
    /// object; no secret and no digest belongs there.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn note(&mut self, action: &str, object: &str, details: &Value) -> Result<()> {
        let sql = |cause| StoreError::of(self.path, cause);
        self.transaction
            .prepare_cached(
                "INSERT INTO audit (seq, at, actor, action, object, details, seal) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_seal('audit', ?1, ?2, ?3, ?4, ?5, ?6))",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    self.next_seq,
                    self.now_column(),
                    self.actor.as_str(),
                    action,
                    object,
                    details.to_string(),
                ])
            })
            .map_err(sql)?;
        self.next_seq += 1;
        Ok(())
    }
}

/// What there is to say of a key: what is as usual is left out.
pub(crate) fn of_key(key: &StoredKey) -> Value {
    let all = fields(key);
    let said = all.into_iter().filter(|(_, value)| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    Value::Object(said.collect())
}

/// What is another of a key than it was; nothing where all is the same.
pub(crate) fn of_change(before: &StoredKey, after: &StoredKey) -> Map<String, Value> {
    let before = fields(before).into_iter();
    let both = before.zip(fields(after).into_iter().map(|(_, after)| after));
    both.filter(|((_, before), after)| before != after)
        .map(|((name, before), after)| (name, json!({ "from": before, "to": after })))
        .collect()
}

/// All that can change of a key, and where it came from.
fn fields(key: &StoredKey) -> Map<String, Value> {
    let policy = &key.record.policy;
    let texts = |texts: Vec<String>| Value::from(texts);
    let fields = [
        ("project", json!(policy.project.as_str())),
        ("prefix", json!(key.prefix.as_str())),
        ("name", json!(key.label.as_str())),
        ("state", json!(policy.state.as_str())),
        (
            "hourly_limit",
            json!(policy.hourly_limit.map(engine::Limit::units)),
        ),
        ("expires_at", json!(policy.expires_at)),
        ("require_origin", json!(policy.require_origin)),
        (
            "origins",
            texts(policy.origins.iter().map(ToString::to_string).collect()),
        ),
        (
            "ips",
            texts(policy.ips.iter().map(ToString::to_string).collect()),
        ),
        (
            "revoked_reason",
            json!(key.revoked_reason.as_ref().map(Label::as_str)),
        ),
        ("replaces", json!(key.replaces.map(|id| id.to_string()))),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;
    use crate::plan::{assert_bounded, store};

    #[test]
    fn every_list_goes_along_an_index() {
        let (_folder, store) = store();
        let one = Some("x");
        for object in [None, one] {
            for actor in [None, one] {
                for action in [None, one] {
                    let query = AuditQuery {
                        object,
                        actor,
                        action,
                        ..AuditQuery::default()
                    };
                    let text = statement(&query, &mut vec![&0, &0]);
                    let numbers = [Value::from(7), Value::from(7)];
                    let filters = [object, actor, action].into_iter().flatten();
                    let texts = filters.map(|text| text.to_owned().into());
                    let values = numbers.into_iter().chain(texts).collect();
                    assert_bounded(&store.connection, &text, values);
                }
            }
        }
    }
}
