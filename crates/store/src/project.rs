//! Projects: what keys and sessions belong to. One whose name a new key or
//! session bears is made with it.

use engine::Name;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::json;

use crate::cursor::{Cursor, Part};
use crate::error::{Result, StoreError};
use crate::record::Label;
use crate::rows::{Decoded, number, parsed, sealed, signed};
use crate::store::{Store, decoded};
use crate::writer::{Writer, is_conflict};

/// A project as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its name, for ever.
    pub name: Name,
    /// What people call it; empty is as its name.
    pub label: Label,
    /// When it came into the store, in unix seconds.
    pub created_at: u64,
    /// The number of the change that made it what it is, see
    /// [`StoredKey::revision`](crate::StoredKey::revision).
    pub revision: i64,
}

/// How many keys there are in each state. Those that have expired are counted
/// in the state that they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Keys that are active.
    pub active: u64,
    /// Keys that are disabled.
    pub disabled: u64,
    /// Keys that were revoked.
    pub revoked: u64,
}

/// Projects, by name.
#[derive(Clone, Debug, Default)]
pub struct ProjectPage {
    /// The projects.
    pub projects: Vec<Project>,
    /// Where the next page begins, where there may be one.
    pub next: Option<Cursor>,
}

const COLUMNS: &str =
    "name, label, created_at, rev, seal IS row_seal('project', name, label, created_at)";
/// The kind of their cursors.
const KIND: char = 'p';

impl Store {
    /// Projects by name, at most `limit` of them; with 0 there is no next page
    /// either.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherCursor`], or the store cannot be read.
    pub fn projects(&self, after: Option<&Cursor>, limit: usize) -> Result<ProjectPage> {
        let sql = |cause| StoreError::of(&self.path, cause);
        let after = after.map_or(Ok(String::new()), |after| after.text(KIND))?;
        let query =
            format!("SELECT {COLUMNS} FROM projects WHERE name > ?1 ORDER BY name LIMIT ?2");
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.checked()?.prepare_cached(&query).map_err(sql)?;
        let mut rows = statement.query(params![after, most]).map_err(sql)?;
        let mut page = ProjectPage::default();
        while let Some(row) = rows.next().map_err(sql)? {
            page.projects
                .push(decoded(&self.path, "projects", row, project)?);
        }
        if page.projects.len() == limit {
            page.next = page
                .projects
                .last()
                .map(|last| Cursor::of(KIND, &[Part::Text(last.name.as_str())]));
        }
        Ok(page)
    }

    /// A project by its name.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoProject`], or the store cannot be read.
    pub fn project(&self, name: &Name) -> Result<Project> {
        project_by_name(self.checked()?, &self.path, name)
    }

    /// How many keys there are in each state: in a project, or in all. Linear
    /// in them: a million take some dozen milliseconds.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn key_counts(&self, project: Option<&Name>) -> Result<KeyCounts> {
        let query = match project {
            Some(_) => "SELECT state, COUNT(*) FROM keys WHERE project = ?1 GROUP BY state",
            None => "SELECT state, COUNT(*) FROM keys WHERE ?1 IS NULL GROUP BY state",
        };
        let sql = |cause| StoreError::of(&self.path, cause);
        let mut counts = KeyCounts::default();
        let mut statement = self.checked()?.prepare_cached(query).map_err(sql)?;
        let mut rows = statement.query([project.map(Name::as_str)]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let count = u64::try_from(row.get::<_, i64>(1).map_err(sql)?).unwrap_or(0);
            match row.get(0).map_err(sql)? {
                0 => counts.active = count,
                1 => counts.disabled = count,
                2 => counts.revoked = count,
                // What no writer writes is damage, and is told of by who reads it.
                _ => {}
            }
        }
        Ok(counts)
    }
}

fn project(row: &Row<'_>) -> Decoded<Project> {
    let project = Project {
        name: parsed(row, 0, "name")?,
        label: parsed(row, 1, "label")?,
        created_at: number(row, 2, "created_at")?,
        revision: signed(row, 3, "rev")?,
    };
    sealed(row, 4)?;
    Ok(project)
}

fn project_by_name(
    connection: &rusqlite::Connection,
    path: &std::path::Path,
    name: &Name,
) -> Result<Project> {
    let sql = |cause| StoreError::of(path, cause);
    let query = format!("SELECT {COLUMNS} FROM projects WHERE name = ?1");
    connection
        .prepare_cached(&query)
        .map_err(sql)?
        .query_row([name.as_str()], |row| {
            Ok(decoded(path, "projects", row, project))
        })
        .optional()
        .map_err(sql)?
        .ok_or(StoreError::NoProject(*name))?
}

impl Writer<'_> {
    /// Adds a project.
    ///
    /// # Errors
    ///
    /// [`StoreError::ProjectExists`].
    pub fn add_project(&mut self, name: Name, label: &Label) -> Result<Project> {
        let created = self
            .transaction
            .prepare_cached(
                "INSERT INTO projects (name, label, created_at, rev, seal) \
                 VALUES (?1, ?2, ?3, ?4, row_seal('project', ?1, ?2, ?3))",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    name.as_str(),
                    label.as_str(),
                    self.now_column(),
                    self.rev
                ])
            });
        match created {
            Ok(_) => {}
            Err(cause) if is_conflict(&cause) => return Err(StoreError::ProjectExists(name)),
            Err(cause) => return Err(self.sql(cause)),
        }
        let details = match label.as_str() {
            "" => json!({}),
            label => json!({ "label": label }),
        };
        self.note("project.create", name.as_str(), &details)?;
        Ok(Project {
            name,
            label: label.clone(),
            created_at: self.now,
            revision: self.rev,
        })
    }

    /// A project as it is with this change.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoProject`], or the store cannot be read.
    pub fn project(&self, name: &Name) -> Result<Project> {
        project_by_name(&self.transaction, self.path, name)
    }

    /// Gives a project another label. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoProject`], and [`StoreError::Changed`] where a revision
    /// is expected and the project has another.
    pub fn change_project(
        &mut self,
        name: &Name,
        expected_revision: Option<i64>,
        label: &Label,
    ) -> Result<Project> {
        let mut project = project_by_name(&self.transaction, self.path, name)?;
        let found = project.revision;
        if expected_revision.is_some_and(|expected| expected != found) {
            return Err(StoreError::Changed {
                object: name.to_string(),
                revision: found,
            });
        }
        if project.label == *label {
            return Ok(project);
        }
        self.transaction
            .execute(
                "UPDATE projects SET label = ?2, rev = ?3, \
                 seal = row_seal('project', name, ?2, created_at) WHERE name = ?1",
                params![name.as_str(), label.as_str(), self.rev],
            )
            .map_err(|cause| self.sql(cause))?;
        let details = json!({ "label": { "from": project.label.as_str(), "to": label.as_str() } });
        self.note("project.change", name.as_str(), &details)?;
        project.label = label.clone();
        project.revision = self.rev;
        Ok(project)
    }

    /// Adds a project where it is not there yet.
    pub(crate) fn need_project(&mut self, name: Name) -> Result<()> {
        if self.known_project == Some(name) {
            return Ok(());
        }
        let is_there: bool = self
            .transaction
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM projects WHERE name = ?1)")
            .and_then(|mut ask| ask.query_row([name.as_str()], |row| row.get(0)))
            .map_err(|cause| self.sql(cause))?;
        if !is_there {
            self.add_project(name, &Label::default())?;
        }
        self.known_project = Some(name);
        Ok(())
    }

    /// The same for all projects of the keys from a slot on.
    pub(crate) fn need_projects_from(&mut self, slot: i64) -> Result<()> {
        let names: Vec<String> = self
            .transaction
            .prepare_cached(
                "SELECT DISTINCT project FROM keys NOT INDEXED WHERE slot >= ?1 ORDER BY project",
            )
            .and_then(|mut ask| ask.query_map([slot], |row| row.get(0))?.collect())
            .map_err(|cause| self.sql(cause))?;
        for name in names {
            let name = name.parse().map_err(|_| StoreError::Damaged {
                path: self.path.into(),
                what: "a staged key has lost its project".into(),
            })?;
            self.need_project(name)?;
        }
        Ok(())
    }
}
