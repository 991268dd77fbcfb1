//! Keys a page at a time, newest first, by project, state and a text.
//!
//! A page costs a bounded amount of work, however many keys there are. Lists
//! by project and state go along an index. A text is looked for by its trigrams
//! where it has three characters; a shorter one, and any among few keys, is
//! looked for in one key after the other. Either looks at so many keys at the
//! most and then hands out what it found, with a cursor to go on from: so that
//! a page may be short, and even empty, before the last.

use std::fmt;

use engine::{KeyId, Name};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::cursor::{Cursor, Part};
use crate::error::{Result, StoreError};
use crate::record::{MAX_LABEL_LEN, StoredKey};
use crate::rows::{KEY_COLUMNS, number_column, stored_key};
use crate::store::{Store, decoded};

/// The most keys that a page looks at one by one to find those that fit.
const MOST_SEEN: usize = 1_000;
/// The same of keys that trigrams lead to, which costs more.
const MOST_LED_TO: usize = 300;
/// So few keys are looked at one by one, instead of asking for trigrams.
const FEW: i64 = MOST_SEEN as i64;
/// Characters of the shortest text that has a trigram.
const TRIGRAM: usize = 3;
/// The kinds of cursors: by slot, by expiry.
const BY_SLOT: char = 'k';
const BY_EXPIRY: char = 'e';

/// Which keys to list by what has become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Active keys, those that have expired included.
    Active,
    /// Disabled keys.
    Disabled,
    /// Revoked keys.
    Revoked,
    /// Active keys that have expired at a unix second; those first that did so
    /// last.
    Expired {
        /// The unix second.
        now: u64,
    },
}

/// Which keys to list: those that fit all that is said.
#[derive(Clone, Copy, Default)]
pub struct KeyQuery<'q> {
    /// Only those of a project.
    pub project: Option<Name>,
    /// Only those in a state.
    pub state: Option<StateFilter>,
    /// Only those whose id begins with this, or whose name has it anywhere,
    /// whatever its case.
    pub search: Option<&'q str>,
    /// Where to begin, as the page before said.
    pub after: Option<&'q Cursor>,
    /// The most keys to hand out; 0 is taken for 1.
    pub limit: usize,
}

/// What is searched for may be a whole key, by whoever has one and wants to know
/// whose it is.
impl fmt::Debug for KeyQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuery")
            .field("project", &self.project)
            .field("state", &self.state)
            .field("search", &self.search.map(|_| "[hidden]"))
            .field("after", &self.after)
            .field("limit", &self.limit)
            .finish()
    }
}

/// A key in a list.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// The key.
    pub key: StoredKey,
    /// When it was last used, as [`Store::last_used`] says it.
    pub last_used: Option<u64>,
}

/// Keys of a list, newest first.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// Where the next page begins, where there may be one.
    pub next: Option<Cursor>,
}

impl Store {
    /// A page of keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherCursor`], or the store cannot be read.
    pub fn key_page(&self, query: &KeyQuery<'_>) -> Result<KeyPage> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let term = query.search.map(str::trim).filter(|term| !term.is_empty());
        if term.is_some_and(|term| term.len() > MAX_LABEL_LEN || term.contains(char::is_control)) {
            return Ok(KeyPage::default());
        }
        let list = List::of(query)?;
        // All of one moment.
        let snapshot = self.connection.unchecked_transaction().map_err(sql)?;
        self.opened.check(&snapshot, &self.path)?;
        let found = find(&snapshot, &list, term, query.limit).map_err(sql)?;
        let mut page = KeyPage {
            next: found.next.map(|place| list.cursor(place)),
            keys: Vec::with_capacity(found.places.len()),
        };
        let by_slot = format!(
            "SELECT {KEY_COLUMNS}, (SELECT at FROM last_used WHERE key = keys.id) \
             FROM keys WHERE slot = ?1"
        );
        let mut statement = snapshot.prepare_cached(&by_slot).map_err(sql)?;
        for place in found.places {
            let listed = |row: &Row<'_>| Ok(decoded(&self.path, "keys", row, listed));
            let listed = statement.query_row([place.slot], listed).map_err(sql)??;
            page.keys.push(listed);
        }
        Ok(page)
    }

    /// The key that was made in the place of another, the newest where there
    /// are several.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn replaced_by(&self, id: KeyId) -> Result<Option<KeyId>> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let query = format!(
            "SELECT {KEY_COLUMNS} FROM keys WHERE replaces = ?1 ORDER BY slot DESC LIMIT 1"
        );
        let mut statement = self.checked()?.prepare_cached(&query).map_err(sql)?;
        let mut rows = statement.query([id.to_string()]).map_err(sql)?;
        let Some(row) = rows.next().map_err(sql)? else {
            return Ok(None);
        };
        let key = decoded(&self.path, "keys", row, stored_key)?;
        Ok(Some(key.record.id))
    }
}

fn listed(row: &Row<'_>) -> crate::rows::Decoded<ListedKey> {
    Ok(ListedKey {
        key: stored_key(row)?,
        last_used: crate::rows::optional(row, 17, "last_used")?,
    })
}

/// Where a key lies in its list.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    expires_at: i64,
    slot: i64,
}

/// A list without its text: how its keys are found, from where on.
struct List {
    project: Option<String>,
    /// The state's column.
    state: Option<i64>,
    /// Of a list by expiry the latest.
    expired_at: Option<i64>,
    before: Place,
}

impl List {
    fn of(query: &KeyQuery<'_>) -> Result<Self> {
        let (state, expired_at) = match query.state {
            None => (None, None),
            Some(StateFilter::Active) => (Some(0), None),
            Some(StateFilter::Disabled) => (Some(1), None),
            Some(StateFilter::Revoked) => (Some(2), None),
            Some(StateFilter::Expired { now }) => (Some(0), Some(number_column(now))),
        };
        let before = match (query.after, expired_at) {
            (None, None) => Place {
                expires_at: 0,
                slot: i64::MAX,
            },
            // No key has this slot.
            (None, Some(expires_at)) => Place {
                expires_at,
                slot: i64::MAX,
            },
            (Some(after), None) => Place {
                expires_at: 0,
                slot: after.number(BY_SLOT)?,
            },
            (Some(after), Some(_)) => {
                let (expires_at, slot) = after.numbers(BY_EXPIRY)?;
                Place { expires_at, slot }
            }
        };
        Ok(Self {
            project: query.project.map(|name| name.to_string()),
            state,
            expired_at,
            before,
        })
    }

    fn cursor(&self, place: Place) -> Cursor {
        match self.expired_at {
            None => Cursor::of(BY_SLOT, &[Part::Number(place.slot)]),
            Some(_) => Cursor::of(
                BY_EXPIRY,
                &[Part::Number(place.expires_at), Part::Number(place.slot)],
            ),
        }
    }

    /// The keys of the list along its index: slot, expiry, id and name.
    fn along(&self) -> (String, Vec<Value>) {
        let mut values = vec![self.before.slot.into()];
        let mut text = String::from("SELECT slot, COALESCE(expires_at, 0), id, name FROM keys ");
        let order = match self.expired_at {
            None => {
                text.push_str("WHERE slot < ?1");
                "slot DESC"
            }
            Some(expired_at) => {
                // SQLite cannot know that this leaves fewer than the state does.
                text.push_str(match self.project {
                    None => "INDEXED BY keys_expiry ",
                    Some(_) => "INDEXED BY keys_project_expiry ",
                });
                text.push_str("WHERE expires_at IS NOT NULL AND (expires_at, slot) < (?2, ?1)");
                values.push(self.before.expires_at.min(expired_at).into());
                "expires_at DESC, slot DESC"
            }
        };
        self.filter(&mut text, &mut values, "");
        text.push_str(&format!(" ORDER BY {order}"));
        (text, values)
    }

    /// The keys whose name has a text: slot, and whether the list has it.
    fn by_trigrams(&self, term: &str) -> (String, Vec<Value>) {
        let mut values: Vec<Value> = vec![
            self.before.slot.into(),
            format!("\"{}\"", term.replace('"', "\"\"")).into(),
        ];
        let mut text = String::from("SELECT s.rowid, true");
        self.filter(&mut text, &mut values, "k.");
        text.push_str(
            " FROM keys_search AS s CROSS JOIN keys AS k ON k.slot = s.rowid \
             WHERE keys_search MATCH ?2 AND s.rowid < ?1 ORDER BY s.rowid DESC",
        );
        (text, values)
    }

    /// The slots of the list's keys whose id begins with a text, newest first:
    /// of three characters there are four in a million. Nothing where no id
    /// does.
    fn by_id(&self, term: &str) -> Option<(String, Vec<Value>)> {
        if !term.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut values: Vec<Value> = vec![
            term.to_owned().into(),
            // Behind every character of an id.
            format!("{term}~").into(),
            self.before.slot.into(),
        ];
        let mut text = String::from(
            "SELECT slot FROM keys INDEXED BY sqlite_autoindex_keys_1 \
             WHERE id >= ?1 AND id < ?2 AND slot < ?3",
        );
        self.filter(&mut text, &mut values, "");
        text.push_str(" ORDER BY slot DESC");
        Some((text, values))
    }

    /// Adds what the list asks of a key but its place.
    fn filter(&self, text: &mut String, values: &mut Vec<Value>, table: &str) {
        if let Some(project) = &self.project {
            values.push(project.clone().into());
            text.push_str(&format!(" AND {table}project = ?{}", values.len()));
        }
        if let Some(state) = self.state {
            // As it stands in a partial index.
            text.push_str(&format!(" AND {table}state = {state}"));
        }
    }

    /// Whether no more than a few keys are in the list, or it goes by expiry.
    fn is_few(&self, connection: &Connection) -> rusqlite::Result<bool> {
        if self.expired_at.is_some() {
            return Ok(true);
        }
        let mut values = vec![Value::from(FEW + 1)];
        let mut text = String::from("SELECT COUNT(*) FROM (SELECT 1 FROM keys WHERE true");
        self.filter(&mut text, &mut values, "");
        text.push_str(" LIMIT ?1)");
        let count: i64 = connection
            .prepare_cached(&text)?
            .query_row(params_from_iter(values), |row| row.get(0))?;
        Ok(count <= FEW)
    }
}

/// The keys of a page, and where the next begins.
struct Found {
    limit: usize,
    places: Vec<Place>,
    next: Option<Place>,
    seen: usize,
    last: Option<Place>,
}

impl Found {
    /// Takes a key that is next in the list; whether to go on.
    fn offer(&mut self, place: Place, fits: bool, most: usize) -> bool {
        if self.places.len() == self.limit || self.seen == most {
            self.next = self.last;
            return false;
        }
        self.seen += 1;
        self.last = Some(place);
        if fits {
            self.places.push(place);
        }
        true
    }
}

fn find(
    connection: &Connection,
    list: &List,
    term: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Found> {
    let mut found = Found {
        limit: limit.max(1),
        places: Vec::new(),
        next: None,
        seen: 0,
        last: None,
    };
    match term {
        Some(term) if term.chars().count() >= TRIGRAM && !list.is_few(connection)? => {
            by_trigrams(connection, list, term, &mut found)?;
        }
        term => {
            let lower = term.map(str::to_lowercase);
            let most = if term.is_some() {
                MOST_SEEN
            } else {
                usize::MAX
            };
            let (text, values) = list.along();
            let mut statement = connection.prepare_cached(&text)?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let fits = match (&lower, term) {
                    (Some(lower), Some(term)) => {
                        let (id, name) = (row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str()?);
                        id.starts_with(term) || name.to_lowercase().contains(lower)
                    }
                    _ => true,
                };
                let place = Place {
                    slot: row.get(0)?,
                    expires_at: row.get(1)?,
                };
                if !found.offer(place, fits, most) {
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// The keys whose name has a text, along the slots, and between them those
/// whose id begins with it.
fn by_trigrams(
    connection: &Connection,
    list: &List,
    term: &str,
    found: &mut Found,
) -> rusqlite::Result<()> {
    let place = |slot| Place {
        slot,
        expires_at: 0,
    };
    let by_id = list.by_id(term);
    let mut by_id = slots(connection, by_id)?.into_iter().peekable();
    let (text, values) = list.by_trigrams(term);
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let (slot, fits): (i64, bool) = (row.get(0)?, row.get(1)?);
        while let Some(newer) = by_id.next_if(|by_id| *by_id > slot) {
            if !found.offer(place(newer), true, MOST_LED_TO) {
                return Ok(());
            }
        }
        by_id.next_if_eq(&slot);
        if !found.offer(place(slot), fits, MOST_LED_TO) {
            return Ok(());
        }
    }
    for slot in by_id {
        if !found.offer(place(slot), true, MOST_LED_TO) {
            return Ok(());
        }
    }
    Ok(())
}

/// The slots that a query hands out.
fn slots(
    connection: &Connection,
    query: Option<(String, Vec<Value>)>,
) -> rusqlite::Result<Vec<i64>> {
    let Some((text, values)) = query else {
        return Ok(Vec::new());
    };
    connection
        .prepare_cached(&text)?
        .query_map(params_from_iter(values), |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{assert_bounded, plan, store};

    #[test]
    fn every_list_goes_along_an_index() {
        let (_folder, store) = store();
        let project = "p1".parse().unwrap();
        let states = [
            None,
            Some(StateFilter::Active),
            Some(StateFilter::Revoked),
            Some(StateFilter::Expired { now: 9 }),
        ];
        for project in [None, Some(project)] {
            for state in states {
                let cursors = [
                    None,
                    Some(match state {
                        Some(StateFilter::Expired { .. }) => "e7.7".parse().unwrap(),
                        _ => "k7".parse().unwrap(),
                    }),
                ];
                for after in &cursors {
                    let query = KeyQuery {
                        project,
                        state,
                        after: after.as_ref(),
                        ..KeyQuery::default()
                    };
                    let list = List::of(&query).unwrap();
                    let connection = &store.connection;
                    let (text, values) = list.along();
                    assert_bounded(connection, &text, values);
                    let (text, values) = list.by_trigrams("abc");
                    assert_bounded(connection, &text, values);
                    // These are few, and sorted.
                    let (text, values) = list.by_id("abc").unwrap();
                    let steps = plan(connection, &text, values);
                    assert!(steps[0].contains("(id>? AND id<?)"), "{steps:?}");
                }
            }
        }
    }
}
