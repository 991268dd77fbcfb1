//! The runner: one trace against one subject, step by step.

use crate::answer::Answer;
use crate::model::{Action, Ask, Change, Key, NONE, Session, StepKind, Trace};
use crate::report::{Difference, Report};

/// Something that decides and can be driven by a trace: the engine, or an
/// adapter over it.
pub trait Subject: Sized {
    /// Why it could not be set up or asked. A decision that differs from what
    /// is expected is none.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sets up a fresh one by the trace's `config`, without its keys and
    /// sessions. The rest of the trace is at hand for a subject that must know
    /// its requests beforehand.
    ///
    /// # Errors
    ///
    /// The configuration is refused, or the subject does not start.
    fn build(trace: &Trace) -> Result<Self, Self::Error>;

    /// Adds a key of a new id.
    ///
    /// # Errors
    ///
    /// The subject refuses it.
    fn add_key(&mut self, key: &Key) -> Result<Applied, Self::Error>;

    /// Adds a session, or replaces that of the same token.
    ///
    /// # Errors
    ///
    /// The subject refuses it.
    fn add_session(&mut self, session: &Session) -> Result<Applied, Self::Error>;

    /// Changes what is there, at a unix second.
    ///
    /// # Errors
    ///
    /// The subject refuses it.
    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, Self::Error>;

    /// Decides about a request at a unix second. `None` for a request that
    /// cannot be expressed in the subject's terms, such as a header value that
    /// HTTP does not carry.
    ///
    /// # Errors
    ///
    /// The subject did not answer.
    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, Self::Error>;
}

/// Whether a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// It was, or there was nothing to change.
    Yes,
    /// It cannot be expressed in the subject's terms; counted in the report.
    Inexpressible,
}

/// Runs a trace on a fresh subject, to its end whatever differs.
///
/// # Errors
///
/// Whatever the subject fails at; the trace was then not run to its end.
pub fn replay<S: Subject>(trace: &Trace) -> Result<Report, S::Error> {
    let mut subject = S::build(trace)?;
    let mut report = Report::default();
    for key in &trace.keys {
        report.count(subject.add_key(key)?);
    }
    for session in &trace.sessions {
        report.count(subject.add_session(session)?);
    }
    for (index, step) in trace.steps.iter().enumerate() {
        report.steps += 1;
        match &step.kind {
            StepKind::Do(Action::AddKey(key)) => report.count(subject.add_key(key)?),
            StepKind::Do(Action::AddSession(session)) => {
                report.count(subject.add_session(session)?);
            }
            StepKind::Do(Action::Change(change)) => report.count(subject.change(step.at, change)?),
            StepKind::Decide { ask, expect } => match subject.decide(step.at, ask)? {
                None => report.count(Applied::Inexpressible),
                Some(seen) => {
                    let (differing, unseen) = compare(trace, expect, seen);
                    report.unseen += unseen;
                    if !differing.is_empty() {
                        report.differing.push(Difference {
                            step: index + 1,
                            at: step.at,
                            members: differing,
                        });
                    }
                }
            },
        }
    }
    Ok(report)
}

/// Each member that differs, with the expected and the seen value, and the
/// number of members that were expected but could not be seen.
fn compare(
    trace: &Trace,
    expect: &Answer,
    mut seen: Answer,
) -> (Vec<(&'static str, String, String)>, usize) {
    // What stands for a user left out is no user.
    if let Some(user) = &mut seen.user {
        user.take_if(|user| user == NONE);
    }
    let key_name = |id| trace.key_name(id);
    let (mut differing, mut unseen) = (Vec::new(), 0);
    let pairs = expect
        .members(key_name)
        .into_iter()
        .zip(seen.members(key_name));
    for ((name, expected), (_, seen)) in pairs {
        match (expected, seen) {
            (Some(expected), Some(seen)) if expected != seen => {
                differing.push((name, expected, seen));
            }
            (Some(_), None) => unseen += 1,
            _ => {}
        }
    }
    (differing, unseen)
}
