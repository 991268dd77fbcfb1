//! An explanation as people and programs read it. The names of the members are
//! stable.

use std::io::Write;

use engine::wire::{self, Wire};
use engine::{Engine, Explanation, Name};
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::text_table::TextTable;
use super::super::view::write_json;
use crate::error::{Failure, without_whole_secrets};
use crate::when::show_when;

/// An explanation. Times are unix seconds; `null` is none.
#[derive(Serialize)]
pub(super) struct Shown {
    at: u64,
    checks: Vec<CheckShown>,
    decision: DecisionShown,
    /// What the answer carries.
    headers: Map<String, Value>,
    /// What the service behind is told.
    identity: Map<String, Value>,
    /// What there is to know about the counts.
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct CheckShown {
    number: usize,
    check: &'static str,
    /// `passed`, `shadowed`, `refused` or `not reached`.
    outcome: String,
    because: String,
}

#[derive(Serialize)]
struct DecisionShown {
    allowed: bool,
    status: u16,
    reason: &'static str,
    /// What would have refused it, were it not in shadow.
    shadowed: Option<&'static str>,
    detail: Option<String>,
    key: Option<String>,
    project: Option<String>,
    user: Option<String>,
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Option<u32>,
    retry_after: Option<u32>,
}

impl Shown {
    pub(super) fn of(
        explanation: &Explanation,
        engine: &Engine,
        wire: &Wire,
        at: u64,
        origin: Option<&str>,
        note: Option<&'static str>,
    ) -> Self {
        let decision = &explanation.decision;
        let checks = explanation.checks.iter().enumerate();
        let checks = checks.map(|(i, check)| CheckShown {
            number: i + 1,
            check: check.name,
            outcome: check.verdict.to_string(),
            // An origin or an id may be a secret that stands in a wrong place.
            because: without_whole_secrets(&check.because),
        });
        let project = decision.project().map(|id| engine.project(id).to_owned());
        let user = decision.user().map(Name::to_string);
        let key = decision.key().map(|id| id.to_string());
        let body = wire::problem(decision.reason());
        let mut headers = Map::new();
        wire.headers(decision, origin.map(str::as_bytes), at, |name, value| {
            let value = without_whole_secrets(&String::from_utf8_lossy(value));
            headers.insert(name.into(), value.into());
        });
        if body.is_some() {
            headers.insert("content-type".into(), wire::PROBLEM_JSON.into());
        }
        let mut identity = Map::new();
        if decision.is_allowed() {
            let known = [
                (wire::KEY_HEADER, &key),
                (wire::PROJECT_HEADER, &project),
                (wire::USER_HEADER, &user),
            ];
            for (name, value) in known {
                if let Some(value) = value {
                    identity.insert(name.into(), value.as_str().into());
                }
            }
        }
        let budget = decision.budget();
        Self {
            at,
            checks: checks.collect(),
            decision: DecisionShown {
                allowed: decision.is_allowed(),
                status: decision.status(),
                reason: decision.reason().as_str(),
                shadowed: decision.shadowed().map(engine::Reason::as_str),
                detail: body.and_then(detail),
                key,
                project,
                user,
                limit: budget.map(|budget| budget.limit),
                remaining: budget.map(|budget| budget.remaining),
                reset: budget.map(|budget| budget.reset_s),
                retry_after: decision.retry_after_s(),
            },
            headers,
            identity,
            note,
        }
    }

    pub(super) fn write(&self, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        if json {
            return write_json(out, self);
        }
        writeln!(
            out,
            "At {}; nothing was charged or counted.\n",
            show_when(self.at)
        )?;
        let mut table = TextTable::new(["#", "CHECK", "OUTCOME", "WHY"]);
        let rows: Vec<_> = self.checks.iter().map(CheckShown::row).collect();
        rows.iter().for_each(|row| table.fit(row));
        table.write_head(out)?;
        for row in &rows {
            table.write(row, out)?;
        }
        let DecisionShown {
            status,
            reason,
            shadowed,
            detail,
            ..
        } = &self.decision;
        write!(out, "\n{status} {reason}")?;
        match detail {
            Some(detail) => writeln!(out, ": {detail}")?,
            None => writeln!(out)?,
        }
        if let Some(shadowed) = shadowed {
            writeln!(
                out,
                "In shadow: {shadowed} would refuse it, and is logged alone."
            )?;
        }
        self.write_headers("The answer carries", &self.headers, out)?;
        self.write_headers("The service behind is told", &self.identity, out)?;
        if let Some(note) = self.note {
            writeln!(out, "\nNote: {note}.")?;
        }
        Ok(())
    }

    fn write_headers(
        &self,
        title: &str,
        headers: &Map<String, Value>,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        if headers.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{title}:")?;
        for (name, value) in headers {
            writeln!(out, "  {name}: {}", value.as_str().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl CheckShown {
    fn row(&self) -> [String; 4] {
        [
            self.number.to_string(),
            self.check.to_owned(),
            self.outcome.clone(),
            self.because.clone(),
        ]
    }
}

/// The detail of a problem's body.
fn detail(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    Some(body["detail"].as_str()?.to_owned())
}
