//! What a request needs by where it goes: a user, and how many units.

use std::fmt;

use http::Method;

use crate::path::{self, Odd};
use crate::pattern::{Case, PathPattern, PatternError};
use crate::words::Words;

/// Steps that the readings of one odd path may take together: to walk one takes
/// a step for each of its marks, to match it one for each segment of each rule
/// that could. Bounds the time of a hostile path to some tens of microseconds
/// beside what reading it once takes, and leaves one that is odd by accident its
/// exact outcome, also where there are a thousand rules.
const MAX_WORK: usize = 8 * 1024;

/// What an endpoint asks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteNeeds {
    /// Whether a user's bearer token is wanted.
    pub needs_user: bool,
    /// The units that a request takes from the key's hour.
    pub cost: u32,
}

impl Default for RouteNeeds {
    /// No user, 1 unit.
    fn default() -> Self {
        Self {
            needs_user: false,
            cost: 1,
        }
    }
}

impl RouteNeeds {
    /// A user if either wants one, and the larger cost.
    fn strictest(self, other: Self) -> Self {
        Self {
            needs_user: self.needs_user || other.needs_user,
            cost: self.cost.max(other.cost),
        }
    }
}

/// One rule: which methods and paths need what.
#[derive(Clone, Debug)]
pub struct RouteRule {
    methods: Vec<Method>,
    pattern: PathPattern,
    needs: RouteNeeds,
}

/// Why there is no such rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The path is no pattern.
    Pattern(PatternError),
    /// A method of HTTP in small letters, which would never match; beside it
    /// the pattern of its rule.
    MethodCase(Method, String),
}

impl RouteRule {
    /// A rule for some methods (none named: for all) on the paths that a
    /// pattern matches. Methods compare case-sensitively, as HTTP has it, but
    /// see [`RoutePolicy`]; a `HEAD` is also matched by a rule for `GET`.
    ///
    /// # Errors
    ///
    /// The path is no [`PathPattern`], or a method is misspelt.
    pub fn new(
        methods: impl IntoIterator<Item = Method>,
        path: &str,
        needs: RouteNeeds,
    ) -> Result<Self, RouteError> {
        let pattern = path.parse().map_err(RouteError::Pattern)?;
        let methods: Vec<Method> = methods.into_iter().collect();
        let misspelt = |method: &&Method| {
            let name = method.as_str();
            STANDARD
                .iter()
                .any(|known| *known != name && known.eq_ignore_ascii_case(name))
        };
        if let Some(method) = methods.iter().find(misspelt) {
            return Err(RouteError::MethodCase(method.clone(), path.into()));
        }
        Ok(Self {
            methods,
            pattern,
            needs,
        })
    }

    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// The methods of RFC 9110 and RFC 5789.
const STANDARD: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// A list of rules, of which the first that matches counts; a request that
/// none matches needs no user and costs 1 unit.
///
/// Services read odd paths (`/v1/%61dmin`, `/v1//admin`, `/x/../v1/admin`) in
/// different ways, and some ignore the case of letters, of methods too. So a
/// path is matched in every plausible reading, a method with small letters also
/// in capitals, and the strictest outcome counts: a user if any reading wants
/// one, the largest cost of all. A path that cannot be read at all needs what
/// the strictest rule for its method does; one that would take too long to read
/// in all ways, as none does by accident, what the strictest does of those whose
/// words stand in it. Not known here is what a service adds of its own: one that
/// takes `/users.json` for `/users`, or `X-HTTP-Method-Override` for the method,
/// wants rules wide enough for it.
///
/// The paths are those that the layer sees. Within a router that strips a
/// prefix before the layer (`Router::nest` of axum) that is the stripped one.
#[derive(Clone, Debug, Default)]
pub struct RoutePolicy {
    rules: Vec<RouteRule>,
    /// The words of each rule, apart from them: plain paths have no use for it.
    words: Vec<Words>,
    /// Whether a pattern has an upper-case letter.
    has_upper: bool,
}

impl RoutePolicy {
    /// A policy of rules, the first first.
    #[must_use]
    pub fn new(rules: Vec<RouteRule>) -> Self {
        Self {
            words: rules
                .iter()
                .map(|rule| rule.pattern.literals().collect())
                .collect(),
            has_upper: rules.iter().any(|rule| rule.pattern.has_upper()),
            rules,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a request needs. Takes no heap for a plain path (one without
    /// `%`, `\`, `;`, `//` and `/.`) and a method in capitals; time is linear in
    /// the path times the rules. For an odd path it is linear in the path plus
    /// the rules, and some tens of microseconds beyond that. The path comes
    /// without the query.
    #[must_use]
    pub fn needs(&self, method: &Method, path: &[u8]) -> RouteNeeds {
        if self.rules.is_empty() {
            return RouteNeeds::default();
        }
        let needs = self.needs_by(method, path);
        match in_capitals(method) {
            Some(capitals) => needs.strictest(self.needs_by(&capitals, path)),
            None => needs,
        }
    }

    /// The same of the method as it stands.
    fn needs_by(&self, method: &Method, path: &[u8]) -> RouteNeeds {
        if !path::is_plain(path) {
            return self.needs_of_odd(method, path);
        }
        let first = |case| {
            let rules = self.rules.iter().filter(|rule| rule.takes(method));
            first(rules, case, || path::plain_segments(path))
        };
        let needs = first(Case::Sensitive);
        if self.has_upper || path.iter().any(u8::is_ascii_uppercase) {
            return needs.strictest(first(Case::Ignored));
        }
        needs
    }

    /// The same of an odd path. Fails closed: a rule is left out only if no
    /// reading has its words, and what is not read is the strictest of the rest.
    #[cold]
    fn needs_of_odd(&self, method: &Method, path: &[u8]) -> RouteNeeds {
        let Ok(odd) = Odd::new(path) else {
            return strictest(self.rules.iter().filter(|rule| rule.takes(method)));
        };
        let words: Words = odd.words().collect();
        // Those that could match, which few do of a path that is odd by accident.
        let could: Vec<&RouteRule> = self
            .rules
            .iter()
            .zip(&self.words)
            .filter(|(rule, wanted)| words.hold(**wanted) && rule.takes(method))
            .map(|(rule, _)| rule)
            .collect();
        if could.is_empty() {
            return RouteNeeds::default();
        }
        let once: usize = could.iter().map(|rule| rule.pattern.steps()).sum();
        if odd.work(once.saturating_mul(CASES.len())) > MAX_WORK {
            return strictest(could.into_iter());
        }
        let mut needs: Option<RouteNeeds> = None;
        odd.each_reading(|segments| {
            for case in CASES {
                let found = first(could.iter().copied(), case, || segments.iter().copied());
                needs = Some(needs.map_or(found, |needs| needs.strictest(found)));
            }
        });
        needs.unwrap_or_else(|| strictest(could.into_iter()))
    }
}

/// How each reading is matched.
const CASES: [Case; 2] = [Case::Sensitive, Case::Ignored];

/// What the first of some rules that matches needs.
fn first<'a, 'r, I: Iterator<Item = &'a [u8]>>(
    mut rules: impl Iterator<Item = &'r RouteRule>,
    case: Case,
    segments: impl Fn() -> I,
) -> RouteNeeds {
    rules
        .find(|rule| rule.pattern.matches(segments(), case))
        .map_or_else(RouteNeeds::default, |rule| rule.needs)
}

/// What the strictest of some rules needs, be it that none of them matches.
fn strictest<'r>(rules: impl Iterator<Item = &'r RouteRule>) -> RouteNeeds {
    rules.fold(RouteNeeds::default(), |needs, rule| {
        needs.strictest(rule.needs)
    })
}

/// A method that has small letters, without them.
fn in_capitals(method: &Method) -> Option<Method> {
    let name = method.as_str();
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    name.to_ascii_uppercase().parse().ok()
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(error) => error.fmt(f),
            Self::MethodCase(method, path) => write!(
                f,
                "the rule for {path:?} would never match the method {:?}: write {:?}",
                method.as_str(),
                method.as_str().to_ascii_uppercase()
            ),
        }
    }
}

impl std::error::Error for RouteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pattern(error) => Some(error),
            Self::MethodCase(..) => None,
        }
    }
}

#[cfg(test)]
mod tests;
