//! Path patterns: `/v1/users`, `/v1/users/*/keys`, `/v1/**`.

use std::fmt;
use std::str::FromStr;

/// A pattern over the segments of a decoded path. A literal matches itself,
/// `*` any one segment that is not empty, a final `**` whatever is left, also
/// nothing. A slash at the end of a path or a pattern makes no difference.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// Whether the pattern ends with `**`.
    open: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    Any,
}

/// Why a text is no [`PathPattern`]; the text is the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// It does not start with a slash.
    NoSlash(String),
    /// `**` elsewhere than as the last segment.
    RestNotLast(String),
    /// A `*` that is only a part of a segment.
    PartialWildcard(String),
    /// A segment that other routers would take for a parameter with a name,
    /// such as `{id}` or `:id`. Taken for itself it would match nothing that
    /// its writer meant, and so want no user where one is wanted.
    NamedParameter(String),
    /// A segment that is empty, `.` or `..`: matching resolves them in paths.
    Unresolved(String),
    /// A character that no decoded path keeps, or a control character.
    Character(String, char),
}

/// How letters compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Ignored,
}

impl PathPattern {
    /// Whether the pattern matches a path's segments.
    pub(crate) fn matches<'a>(&self, mut path: impl Iterator<Item = &'a [u8]>, case: Case) -> bool {
        #[cfg(test)]
        crate::steps::took(1);
        for segment in &self.segments {
            #[cfg(test)]
            crate::steps::took(1);
            let Some(found) = path.next() else {
                return false;
            };
            let equal = match segment {
                Segment::Any => !found.is_empty(),
                Segment::Literal(wanted) if case == Case::Ignored => {
                    wanted.eq_ignore_ascii_case(found)
                }
                Segment::Literal(wanted) => **wanted == *found,
            };
            if !equal {
                return false;
            }
        }
        self.open || path.next().is_none()
    }

    /// Whether a literal has an upper-case letter.
    pub(crate) fn has_upper(&self) -> bool {
        self.literals()
            .any(|literal| literal.iter().any(u8::is_ascii_uppercase))
    }

    /// The segments that match themselves alone.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(literal) => Some(&**literal),
            Segment::Any => None,
        })
    }

    /// The steps that matching a path takes at most: one for each segment, and
    /// one for its end.
    pub(crate) fn steps(&self) -> usize {
        self.segments.len() + 1
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PatternError::NoSlash(text.into()));
        };
        let lost = |c: &char| c.is_control() || matches!(c, '%' | '\\' | ';' | '?' | '#');
        if let Some(character) = text.chars().find(lost) {
            return Err(PatternError::Character(text.into(), character));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut pattern = Self {
            segments: Vec::new(),
            open: false,
        };
        if rest.is_empty() && text == "/" {
            return Ok(pattern);
        }
        for segment in rest.split('/') {
            if pattern.open {
                return Err(PatternError::RestNotLast(text.into()));
            }
            match segment {
                "**" => pattern.open = true,
                "*" => pattern.segments.push(Segment::Any),
                "" | "." | ".." => return Err(PatternError::Unresolved(text.into())),
                part if part.contains('*') => {
                    return Err(PatternError::PartialWildcard(text.into()));
                }
                part if part.starts_with(':') || part.contains(['{', '}']) => {
                    return Err(PatternError::NamedParameter(text.into()));
                }
                literal => pattern
                    .segments
                    .push(Segment::Literal(literal.as_bytes().into())),
            }
        }
        Ok(pattern)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                // A pattern is read from text, so a literal is text.
                Segment::Literal(literal) => {
                    write!(f, "/{}", String::from_utf8_lossy(literal))?;
                }
                Segment::Any => f.write_str("/*")?,
            }
        }
        match (self.open, self.segments.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash(text) => {
                write!(f, "{text:?} is no path pattern: it must start with a /")
            }
            Self::RestNotLast(text) => write!(
                f,
                "{text:?} is no path pattern: ** stands only at the end; write * for one segment"
            ),
            Self::PartialWildcard(text) => write!(
                f,
                "{text:?} is no path pattern: a * stands for a whole segment, as in /v1/*/keys"
            ),
            Self::NamedParameter(text) => write!(
                f,
                "{text:?} is no path pattern: parameters have no names here; \
                 write * for one segment, ** at the end for any number"
            ),
            Self::Unresolved(text) => write!(
                f,
                "{text:?} is no path pattern: leave out empty segments, . and .., \
                 which are resolved before matching"
            ),
            Self::Character(text, character) => write!(
                f,
                "{text:?} is no path pattern: {character:?} cannot stand in it; \
                 write the path decoded, without parameters and query"
            ),
        }
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &[&str]) -> bool {
        let path = path.iter().map(|segment| segment.as_bytes());
        let pattern: PathPattern = pattern.parse().unwrap();
        pattern.matches(path, Case::Sensitive)
    }

    #[test]
    fn patterns_match_segment_by_segment() {
        assert!(matches("/", &[]));
        assert!(!matches("/", &["v1"]));
        assert!(matches("/v1/users", &["v1", "users"]));
        assert!(matches("/v1/users/", &["v1", "users"]));
        assert!(!matches("/v1/users", &["v1"]));
        assert!(!matches("/v1/users", &["v1", "users", "7"]));
        assert!(!matches("/v1/users", &["v1", "Users"]));
        assert!(matches("/v1/*/keys", &["v1", "7", "keys"]));
        assert!(!matches("/v1/*/keys", &["v1", "", "keys"]));
        assert!(!matches("/v1/*/keys", &["v1", "keys"]));
        assert!(matches("/v1/**", &["v1"]));
        assert!(matches("/v1/**", &["v1", "a", "b"]));
        assert!(!matches("/v1/**", &["v2"]));
        assert!(matches("/**", &[]));
        assert!(matches("/a b/é", &["a b", "é"]));
    }

    #[test]
    fn letters_compare_as_asked() {
        let pattern: PathPattern = "/v1/Users".parse().unwrap();
        let path = || [&b"V1"[..], b"uSERS"].into_iter();
        assert!(pattern.matches(path(), Case::Ignored));
        assert!(!pattern.matches(path(), Case::Sensitive));
        assert!(pattern.has_upper());
        assert!(!"/v1/*/**".parse::<PathPattern>().unwrap().has_upper());
    }

    #[test]
    fn bad_patterns_are_named() {
        type Error = fn(String) -> PatternError;
        let cases: [(&str, Error); 18] = [
            ("", PatternError::NoSlash),
            ("v1", PatternError::NoSlash),
            ("*", PatternError::NoSlash),
            ("/**/v1", PatternError::RestNotLast),
            ("/**/**", PatternError::RestNotLast),
            ("/v1*", PatternError::PartialWildcard),
            ("/v1/***", PatternError::PartialWildcard),
            ("/v1/{id}", PatternError::NamedParameter),
            ("/v1/:id/a", PatternError::NamedParameter),
            ("/v1/a{b", PatternError::NamedParameter),
            ("/v1/<id>}", PatternError::NamedParameter),
            ("//", PatternError::Unresolved),
            ("/v1//", PatternError::Unresolved),
            ("/v1//a", PatternError::Unresolved),
            ("/v1/../a", PatternError::Unresolved),
            ("/v1/.", PatternError::Unresolved),
            ("/%76", |text| PatternError::Character(text, '%')),
            ("/v1?x", |text| PatternError::Character(text, '?')),
        ];
        for (text, error) in cases {
            let found = text.parse::<PathPattern>().unwrap_err();
            assert_eq!(found, error(text.into()));
            assert!(found.to_string().contains(&format!("{text:?}")));
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_reads() {
        for text in ["/", "/**", "/v1", "/v1/*/keys", "/v1/**", "/*"] {
            assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), text);
        }
        assert_eq!("/v1/".parse::<PathPattern>().unwrap().to_string(), "/v1");
    }
}
