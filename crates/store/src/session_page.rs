//! Sessions a page at a time, newest first, by project and user.

use engine::Name;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use crate::cursor::{Cursor, Part};
use crate::error::{Result, StoreError};
use crate::record::{SessionState, StoredSession};
use crate::rows::{SESSION_COLUMNS, number_column, stored_session};
use crate::store::{Store, decoded};

/// The most sessions that a page looks at to find those that are live.
const MOST_SEEN: usize = 5_000;
/// The kind of cursors.
const KIND: char = 's';

/// Which sessions to list: those that fit all that is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionQuery<'q> {
    /// Only those of a project.
    pub project: Option<Name>,
    /// Only those of a user, of whatever project.
    pub user: Option<Name>,
    /// Only those that at this unix second have neither ended nor expired.
    pub live_at: Option<u64>,
    /// Where to begin, as the page before said.
    pub after: Option<&'q Cursor>,
    /// The most sessions to hand out; 0 is taken for 1.
    pub limit: usize,
}

/// Sessions of a list, newest first. A page of live ones may be short before
/// the last, as one of keys.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<StoredSession>,
    /// Where the next page begins, where there may be one.
    pub next: Option<Cursor>,
}

impl Store {
    /// A page of sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherCursor`], or the store cannot be read.
    pub fn session_page(&self, query: &SessionQuery<'_>) -> Result<SessionPage> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let (text, values) = statement(query)?;
        let mut statement = self.checked()?.prepare_cached(&text).map_err(sql)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(sql)?;
        let mut page = SessionPage::default();
        let (mut seen, mut last) = (0, None);
        while let Some(row) = rows.next().map_err(sql)? {
            if page.sessions.len() == query.limit.max(1) || seen == MOST_SEEN {
                page.next = last;
                break;
            }
            let session = decoded(&self.path, "sessions", row, stored_session)?;
            seen += 1;
            last = Some(Cursor::of(
                KIND,
                &[
                    Part::Number(number_column(session.created_at)),
                    Part::Text(session.id.as_str()),
                ],
            ));
            let is_live = query
                .live_at
                .is_none_or(|now| session.state(now) == SessionState::Active);
            if is_live {
                page.sessions.push(session);
            }
        }
        Ok(page)
    }
}

/// The text of a query, and its values.
fn statement(query: &SessionQuery<'_>) -> Result<(String, Vec<Value>)> {
    // `~` is behind every id.
    let (created_at, id) = query
        .after
        .map_or(Ok((i64::MAX, "~".to_owned())), |after| {
            after.number_and_text(KIND)
        })?;
    let mut values: Vec<Value> = vec![created_at.into(), id.into()];
    let mut text =
        format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE (created_at, id) < (?1, ?2)");
    if let Some(user) = query.user {
        values.push(user.to_string().into());
        text.push_str(&format!(" AND user = ?{}", values.len()));
    }
    if let Some(project) = query.project {
        values.push(project.to_string().into());
        // A user's are fewer than a project's.
        let by_index = if query.user.is_some() { "+" } else { "" };
        text.push_str(&format!(" AND {by_index}project = ?{}", values.len()));
    }
    text.push_str(" ORDER BY created_at DESC, id DESC");
    Ok((text, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{assert_bounded, store};

    #[test]
    fn every_list_goes_along_an_index() {
        let (_folder, store) = store();
        let name = Some("n1".parse().unwrap());
        for (project, user) in [(None, None), (name, None), (None, name), (name, name)] {
            let query = SessionQuery {
                project,
                user,
                ..SessionQuery::default()
            };
            let (text, values) = statement(&query).unwrap();
            assert_bounded(&store.connection, &text, values);
        }
    }
}
