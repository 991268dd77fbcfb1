//! Revisions as entity tags, so that of two who change the same thing the second
//! notices the first (RFC 9110, section 13).

use axum::extract::FromRequestParts;
use http::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;

use crate::serve::control::work::Precondition;
use crate::serve::control::{Control, Fault, Problem};

/// The tag of a revision.
pub(super) fn etag(revision: i64) -> HeaderValue {
    // Digits in quotes always are one.
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// `If-Match`: what was seen by whoever wants to change something. Not demanded.
pub(super) struct IfMatch(pub(super) Precondition);

impl FromRequestParts<Control> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Problem> {
        let tags = tags(parts, IF_MATCH, "If-Match")?;
        Ok(Self(match tags {
            // Whatever is there matches; where nothing is, that is said anyway.
            None | Some(Tags::Any) => Precondition::None,
            Some(Tags::These(tags)) => {
                // A weak one matches nothing here.
                let strong = tags.into_iter().filter(|tag| !tag.weak);
                Precondition::OneOf(strong.filter_map(|tag| tag.revision).collect())
            }
        }))
    }
}

/// `If-None-Match`: what a client has already.
#[derive(Default)]
pub(super) struct IfNoneMatch(Option<Tags>);

impl FromRequestParts<Control> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Problem> {
        tags(parts, IF_NONE_MATCH, "If-None-Match").map(Self)
    }
}

impl IfNoneMatch {
    /// Whether the client has a revision already.
    pub(super) fn has(&self, revision: i64) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|tag| tag.revision == Some(revision)),
        }
    }
}

enum Tags {
    Any,
    These(Vec<Tag>),
}

struct Tag {
    weak: bool,
    /// None for one that this server never made.
    revision: Option<i64>,
}

/// The tags of a header, of all its lines.
fn tags(parts: &Parts, name: HeaderName, shown: &'static str) -> Result<Option<Tags>, Problem> {
    let bad = || {
        Problem::invalid(vec![Fault::header(
            shown,
            "entity tags in quotes, as ETag showed them, or * are wanted",
        )])
    };
    let mut found = None;
    for line in parts.headers.get_all(name) {
        let line = line.to_str().map_err(|_| bad())?.trim();
        match (&mut found, line) {
            (None, "*") => found = Some(Tags::Any),
            (Some(Tags::Any), _) | (Some(_), "*") => return Err(bad()),
            (found, line) => {
                let tags: Option<Vec<Tag>> = line.split(',').map(|tag| read(tag.trim())).collect();
                let tags = tags.ok_or_else(bad)?;
                match found {
                    Some(Tags::These(more)) => more.extend(tags),
                    _ => *found = Some(Tags::These(tags)),
                }
            }
        }
    }
    Ok(found)
}

/// A tag. None of ours has a comma in it, so that one who splits at commas
/// takes another's for several, none of which matches.
fn read(text: &str) -> Option<Tag> {
    let (weak, text) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('"')).then(|| Tag {
        weak,
        revision: inner
            .parse()
            .ok()
            .filter(|_| !inner.starts_with(['+', '-'])),
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(name: &str, lines: &[&str]) -> Parts {
        let mut request = Request::builder();
        for line in lines {
            request = request.header(name, *line);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn tags_are_read_as_they_were_shown() {
        let read = |lines: &[&str]| tags(&parts("if-match", lines), IF_MATCH, "If-Match");
        assert!(matches!(read(&[]), Ok(None)));
        assert!(matches!(read(&["*"]), Ok(Some(Tags::Any))));
        let Ok(Some(Tags::These(these))) = read(&["\"7\", W/\"8\"", "\"other\""]) else {
            panic!("these are tags");
        };
        let read_back: Vec<_> = these.iter().map(|tag| (tag.weak, tag.revision)).collect();
        assert_eq!(
            read_back,
            [(false, Some(7)), (true, Some(8)), (false, None)]
        );
        for bad in [
            &["7"][..],
            &["\"7"],
            &[""],
            &["*", "\"7\""],
            &["\"7\"", "*"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(etag(7), "\"7\"");
    }
}
