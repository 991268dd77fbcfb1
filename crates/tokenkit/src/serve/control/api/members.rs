//! The members of a JSON body, each checked; everything that is wrong is told
//! at once, with a pointer to where it stands.

use axum::body::Body;
use axum::extract::FromRequest;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::object_members::ObjectMembers;
use crate::serve::control::extract::{Whole, wants_type};
use crate::serve::control::{Control, Fault, Problem};
use crate::settings::nearest;
use crate::when;

/// The media type of bodies.
const JSON: &str = "application/json";

/// A JSON object, as it was sent.
pub(super) struct Json {
    object: Map<String, Value>,
    /// The bytes that it was made of.
    pub(super) bytes: bytes::Bytes,
}

impl FromRequest<Control> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, control: &Control) -> Result<Self, Problem> {
        wants_type(&request, JSON)?;
        let Whole(bytes) = Whole::from_request(request, control).await?;
        Self::of(bytes)
    }
}

impl Json {
    fn of(bytes: bytes::Bytes) -> Result<Self, Problem> {
        let ObjectMembers(members) =
            serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
                Category::Data => Problem::invalid(vec![Fault::body("an object is wanted")]),
                _ => Problem::bad_request(format!(
                    "The body is no JSON: line {}, column {}.",
                    error.line(),
                    error.column()
                )),
            })?;
        let mut object = Map::new();
        for (name, value) in members {
            if object.contains_key(&name) {
                let fault = Fault::member(&hidden(name), "it stands twice");
                return Err(Problem::invalid(vec![fault]));
            }
            object.insert(name, value);
        }
        Ok(Self { object, bytes })
    }

    /// The members, to be taken out one by one.
    pub(super) fn members(self) -> Members {
        Members {
            rest: self.object,
            known: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// The same, or no body at all, which is as good as an empty object.
pub(super) struct JsonOrNothing(pub(super) Json);

impl FromRequest<Control> for JsonOrNothing {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, control: &Control) -> Result<Self, Problem> {
        if request.headers().contains_key(CONTENT_TYPE) {
            return Json::from_request(request, control).await.map(Self);
        }
        let Whole(bytes) = Whole::from_request(request, control).await?;
        if bytes.is_empty() {
            return Json::of(bytes::Bytes::from_static(b"{}")).map(Self);
        }
        // It says so with the type that is wanted.
        wants_type(&Request::new(Body::empty()), JSON)?;
        Json::of(bytes).map(Self)
    }
}

/// No body, or an empty object: for what has no members to say, so that none is
/// passed over. The type does not matter where there is nothing.
pub(super) struct Nothing;

impl FromRequest<Control> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, control: &Control) -> Result<Self, Problem> {
        let Whole(bytes) = Whole::from_request(request, control).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        Json::of(bytes)?.members().finish(|| Some(Self))
    }
}

/// Members that were not taken out yet, and what was wrong with the others.
pub(super) struct Members {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Members {
    /// A member that may be left out; `None` also where it is wrong.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(name);
        let value = self.rest.remove(name)?;
        match read(&value) {
            Ok(read) => Some(read),
            Err(detail) => {
                self.faults.push(Fault::member(name, detail));
                None
            }
        }
    }

    /// A member that has to be there; `None` where it is wrong or missing.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.rest.contains_key(name) {
            self.known.push(name);
            self.faults.push(Fault::member(name, "it is missing"));
            return None;
        }
        self.optional(name, read)
    }

    /// What all of them make, where none is wrong.
    ///
    /// # Errors
    ///
    /// 422, with everything that is wrong.
    pub(super) fn finish<T>(mut self, made: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        for name in self.rest.keys() {
            let hint = match nearest(name, self.known.iter().copied()) {
                "" => String::new(),
                known => format!("; did you mean {known}?"),
            };
            // What stands there could be a secret in a wrong place.
            let fault = Fault::member(&hidden(name), format!("no such member is known{hint}"));
            self.faults.push(fault);
        }
        match made() {
            Some(made) if self.faults.is_empty() => Ok(made),
            _ => Err(Problem::invalid(self.faults)),
        }
    }
}

/// A text.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "a text is wanted".into())
}

/// A text that a type's own parser takes.
pub(super) fn parsed<T>(value: &Value) -> Result<T, String>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text(value)?.parse().map_err(|error: T::Err| hidden(error))
}

/// A value, or `null` for none.
pub(super) fn nullable<T>(
    read: impl FnOnce(&Value) -> Result<T, String>,
) -> impl FnOnce(&Value) -> Result<Option<T>, String> {
    |value| match value {
        Value::Null => Ok(None),
        value => read(value).map(Some),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "true or false is wanted".into())
}

/// Whole units, or seconds. To JSON `1.0` is the same number as `1`.
pub(super) fn number(value: &Value) -> Result<u64, String> {
    /// The first that a float cannot tell from the next.
    const INEXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |float: &f64| float.fract() == 0.0 && (0.0..INEXACT).contains(float);
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(whole).map(|float| float as u64))
        .ok_or_else(|| "a whole number, not negative, is wanted".into())
}

/// A list of texts.
pub(super) fn texts(value: &Value) -> Result<Vec<&str>, String> {
    let wanted = || "a list of texts is wanted".to_owned();
    let items = value.as_array().ok_or_else(wanted)?.iter();
    items.map(|item| item.as_str().ok_or_else(wanted)).collect()
}

/// A time: RFC 3339, in whole seconds from 1970 to 9999, of which the last day
/// is as its beginning; a fraction is cut off.
pub(super) fn time(value: &Value) -> Result<u64, String> {
    time_of(text(value)?)
}

/// The same, of a text.
pub(super) fn time_of(text: &str) -> Result<u64, String> {
    let wanted = || "a time as 2026-12-31T00:00:00Z (RFC 3339), from 1970 on, is wanted".to_owned();
    let time = when::timestamp(text).ok_or_else(wanted)?;
    // The parser takes more than RFC 3339 has, such as names of time zones.
    if !text.is_ascii() || text.contains(['[', ' ']) || time.as_second() < 0 {
        return Err(wanted());
    }
    u64::try_from(time.as_second()).map_err(|_| wanted())
}

/// A time as the API shows it: one that no calendar has as the last that it has.
pub(super) fn shown_time(unix_s: u64) -> String {
    when::show_when(unix_s.min(when::LAST))
}

/// An error as it may be shown: what was sent could be a secret in a wrong
/// place.
pub(super) fn hidden(error: impl std::fmt::Display) -> String {
    crate::error::without_secrets(&error.to_string())
}
