//! Refusals in shadow, as plainly as they read: a list of who and what.

use engine::{KeyId, Reason, ShadowScope};

use super::Oracle;

/// Which refusals one request is not refused for.
pub(super) struct Shadows<'a> {
    rules: &'a [(ShadowScope, Reason)],
    /// Once the key is known: it, and its project.
    key: Option<(KeyId, String)>,
    /// The first that applied.
    pub(super) first: Option<Reason>,
}

impl<'a> Shadows<'a> {
    pub(super) fn new(rules: &'a [(ShadowScope, Reason)]) -> Self {
        Self {
            rules,
            key: None,
            first: None,
        }
    }

    /// From here on the key is known.
    pub(super) fn of(&mut self, id: KeyId, project: &str) {
        self.key = Some((id, project.to_owned()));
    }

    /// Whether a refusal is in shadow.
    pub(super) fn lets(&mut self, reason: Reason) -> bool {
        let applies = |scope: &ShadowScope| match (scope, &self.key) {
            (ShadowScope::All, _) => true,
            (ShadowScope::Project(name), Some((_, project))) => name.as_str() == project,
            (ShadowScope::Key(wanted), Some((id, _))) => wanted == id,
            (_, None) => false,
        };
        let lets = self
            .rules
            .iter()
            .any(|(scope, what)| *what == reason && applies(scope));
        if lets && self.first.is_none() {
            self.first = Some(reason);
        }
        lets
    }
}

impl Oracle {
    /// Puts refusals in shadow, in place of those that were.
    pub fn set_shadow(&mut self, rules: Vec<(ShadowScope, Reason)>) {
        self.shadow = rules;
    }

    /// What would have refused the last request, were it not in shadow; `None`
    /// where that was refused, or had nothing against it.
    #[must_use]
    pub fn shadowed(&self) -> Option<Reason> {
        self.shadowed
    }
}
