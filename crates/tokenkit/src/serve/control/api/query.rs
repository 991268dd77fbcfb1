//! The parameters of a query, each checked; everything that is wrong is told at
//! once.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::members::hidden;
use crate::serve::control::{Control, Fault, Problem};
use crate::settings::nearest;

/// Entries on a page, where nobody says how many; and the most.
pub(super) const PAGE: usize = 50;
pub(super) const MAX_PAGE: usize = 500;
/// The longest text to look for, in characters.
const MAX_WORDS: usize = 200;

/// Parameters that were not taken out yet, and what was wrong with the others.
pub(super) struct Query {
    rest: Vec<(String, String)>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl FromRequestParts<Control> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            rest: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            known: Vec::new(),
            faults: Vec::new(),
        })
    }
}

impl Query {
    /// A parameter that may be left out; `None` also where it is wrong.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(name);
        let at = self.rest.iter().position(|(found, _)| found == name)?;
        let (_, value) = self.rest.remove(at);
        if self.rest.iter().any(|(found, _)| found == name) {
            self.rest.retain(|(found, _)| found != name);
            self.fault(name, "it stands twice");
            return None;
        }
        match read(&value) {
            Ok(read) => Some(read),
            Err(detail) => {
                self.fault(name, detail);
                None
            }
        }
    }

    /// One that has to be there; `None` where it is wrong or missing.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.rest.iter().any(|(found, _)| found == name) {
            self.known.push(name);
            self.fault(name, "it is missing");
            return None;
        }
        self.optional(name, read)
    }

    /// The parameters of a page: how many entries, and where they begin.
    pub(super) fn page<C>(&mut self, most: usize) -> (usize, Option<C>)
    where
        C: std::str::FromStr<Err: std::fmt::Display>,
    {
        let limit = self.optional("limit", |text| {
            let limit = text.parse().ok();
            limit
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| format!("a whole number from 1 to {most} is wanted"))
        });
        // An empty one is the first page's.
        let cursor = self.optional("cursor", |text| match text {
            "" => Ok(None),
            text => parsed(text).map(Some),
        });
        (limit.unwrap_or(PAGE), cursor.flatten())
    }

    /// What all of them make, where none is wrong.
    ///
    /// # Errors
    ///
    /// 422, with everything that is wrong.
    pub(super) fn finish<T>(mut self, made: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        for (name, _) in std::mem::take(&mut self.rest) {
            let hint = match nearest(&name, self.known.iter().copied()) {
                "" => String::new(),
                known => format!("; did you mean {known}?"),
            };
            self.fault(&hidden(&name), format!("no such parameter is known{hint}"));
        }
        match made() {
            Some(made) if self.faults.is_empty() => Ok(made),
            _ => Err(Problem::invalid(self.faults)),
        }
    }

    /// That no parameter is wrong, and none is left.
    ///
    /// # Errors
    ///
    /// 422, with those that there are.
    pub(super) fn end(self) -> Result<(), Problem> {
        self.finish(|| Some(()))
    }

    fn fault(&mut self, name: &str, detail: impl ToString) {
        self.faults.push(Fault::parameter(name, detail));
    }
}

/// A text that a type's own parser takes.
pub(super) fn parsed<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| hidden(error))
}

/// `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "true or false is wanted".to_owned())
}

/// A text to look for, of at most 200 characters.
pub(super) fn words(text: &str) -> Result<String, String> {
    match text.chars().nth(MAX_WORDS) {
        None => Ok(text.into()),
        Some(_) => Err(format!("at most {MAX_WORDS} characters are wanted")),
    }
}
