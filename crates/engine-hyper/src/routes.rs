//! What a request needs by where it goes: a user, and how many units.

use std::fmt;

use http::Method;

use crate::path;
use crate::pattern::{Case, PathPattern, PatternError};

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
/// the strictest rule for its method does. Not known here is what a service adds
/// of its own: one that takes `/users.json` for `/users`, or
/// `X-HTTP-Method-Override` for the method, wants rules wide enough for it.
///
/// The paths are those that the layer sees. Within a router that strips a
/// prefix before the layer (`Router::nest` of axum) that is the stripped one.
#[derive(Clone, Debug, Default)]
pub struct RoutePolicy {
    rules: Vec<RouteRule>,
    /// Whether a pattern has an upper-case letter.
    has_upper: bool,
}

impl RoutePolicy {
    /// A policy of rules, the first first.
    #[must_use]
    pub fn new(rules: Vec<RouteRule>) -> Self {
        Self {
            has_upper: rules.iter().any(|rule| rule.pattern.has_upper()),
            rules,
        }
    }

    /// What a request needs. Takes no heap for a plain path (one without
    /// `%`, `\`, `;`, `//` and `/.`) and a method in capitals; time is linear in
    /// the path times the rules, and bounded for odd paths. The path comes without
    /// the query.
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
        let needs = self.first(method, Case::Sensitive, || path::plain_segments(path));
        if self.has_upper || path.iter().any(u8::is_ascii_uppercase) {
            let folded = self.first(method, Case::Ignored, || path::plain_segments(path));
            return needs.strictest(folded);
        }
        needs
    }

    #[cold]
    fn needs_of_odd(&self, method: &Method, path: &[u8]) -> RouteNeeds {
        let mut needs = None;
        let readable = path::readings(path, |segments| {
            for case in [Case::Sensitive, Case::Ignored] {
                let found = self.first(method, case, || segments.iter().copied());
                needs = Some(needs.map_or(found, |needs: RouteNeeds| needs.strictest(found)));
            }
        });
        match (readable, needs) {
            (Ok(()), Some(needs)) => needs,
            _ => self.strictest(method),
        }
    }

    /// What the first rule that matches needs.
    fn first<'a, I: Iterator<Item = &'a [u8]>>(
        &self,
        method: &Method,
        case: Case,
        segments: impl Fn() -> I,
    ) -> RouteNeeds {
        let matching =
            |rule: &&RouteRule| rule.takes(method) && rule.pattern.matches(segments(), case);
        self.rules
            .iter()
            .find(matching)
            .map_or_else(RouteNeeds::default, |rule| rule.needs)
    }

    /// What the strictest rule for a method needs, whatever the path.
    fn strictest(&self, method: &Method) -> RouteNeeds {
        let rules = self.rules.iter().filter(|rule| rule.takes(method));
        rules.fold(RouteNeeds::default(), |needs, rule| {
            needs.strictest(rule.needs)
        })
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(methods: &[Method], path: &str, needs_user: bool, cost: u32) -> RouteRule {
        let needs = RouteNeeds { needs_user, cost };
        RouteRule::new(methods.iter().cloned(), path, needs).unwrap()
    }

    fn policy() -> RoutePolicy {
        RoutePolicy::new(vec![
            rule(&[Method::GET], "/v1/public/**", false, 0),
            rule(&[], "/v1/admin/users", true, 5),
            rule(&[Method::POST], "/v1/**", false, 10),
        ])
    }

    fn needs(method: Method, path: &str) -> (bool, u32) {
        let needs = policy().needs(&method, path.as_bytes());
        (needs.needs_user, needs.cost)
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        assert_eq!(needs(Method::GET, "/v1/public/a"), (false, 0));
        assert_eq!(needs(Method::HEAD, "/v1/public/a"), (false, 0));
        assert_eq!(needs(Method::POST, "/v1/public/a"), (false, 10));
        assert_eq!(needs(Method::GET, "/v1/admin/users"), (true, 5));
        assert_eq!(needs(Method::POST, "/v1/admin/users/"), (true, 5));
        assert_eq!(needs(Method::GET, "/v1/admin"), (false, 1));
        assert_eq!(needs(Method::OPTIONS, "*"), (false, 1));
        assert_eq!(needs(Method::CONNECT, ""), (false, 1));
        let get = Method::from_bytes(b"get").unwrap();
        assert_eq!(needs(get, "/v1/public/a"), (false, 1));
    }

    #[test]
    fn small_letters_in_a_method_loosen_no_rule() {
        for method in ["post", "Post", "pOST"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(needs(method.clone(), "/v1/a"), (false, 10));
            assert_eq!(needs(method.clone(), "/v1//a"), (false, 10));
            assert_eq!(needs(method, "/V1/ADMIN/users"), (true, 5));
        }
        // A rule for a method of one's own is as it is written.
        let own = Method::from_bytes(b"purge").unwrap();
        let policy = RoutePolicy::new(vec![
            rule(std::slice::from_ref(&own), "/v1", true, 3),
            rule(&[Method::from_bytes(b"PURGE").unwrap()], "/v1", false, 7),
        ]);
        let found = policy.needs(&own, b"/v1");
        assert_eq!((found.needs_user, found.cost), (true, 7));
    }

    #[test]
    fn without_rules_nothing_is_needed() {
        let needs = RoutePolicy::default().needs(&Method::GET, b"/%");
        assert_eq!(needs, RouteNeeds::default());
    }

    #[test]
    fn an_odd_path_gets_the_strictest_reading() {
        for path in [
            "/v1/%61dmin/users",
            "/v1/%2561dmin/users",
            "/v1/admin%2Fusers",
            "/v1/admin%5cusers",
            "/v1\\admin\\users",
            "/v1//admin///users//",
            "/v1/./admin/users/.",
            "/x/../v1/admin/users",
            "/../v1/admin/users",
            "/v1/public/../admin/users",
            "/v1/public/%2e%2e/admin/users",
            "/v1/public/..;/admin/users",
            "/v1;a=b/admin;c/users;",
            "/v1/admin/users%3Fx",
            "/v1/admin/users?x",
            "//evil.test/v1/admin/users",
            "/V1/Admin/USERS",
            "/v1/%41dmin/users",
            "/v1/admin/users/%2e",
            "/v1/public//../admin/users",
            "/v1/admin/users%00",
            "/v1/admin/users%",
            "/%c0%af",
        ] {
            let (needs_user, cost) = needs(Method::GET, path);
            assert!(needs_user && cost >= 5, "{path}");
        }
        // Odd, and yet in every reading free.
        assert_eq!(needs(Method::GET, "/v1/public/a%20b"), (false, 0));
        assert_eq!(needs(Method::GET, "/v1/public/a%2Fb;c"), (false, 0));
        // One reading leaves the free part.
        assert_eq!(needs(Method::GET, "/v1/public/../x"), (false, 1));
        // The case of letters cannot loosen a rule.
        assert_eq!(needs(Method::GET, "/v1/PUBLIC/a"), (false, 1));
    }

    #[test]
    fn a_rule_that_could_not_match_is_refused() {
        let get = Method::from_bytes(b"get").unwrap();
        let error = RouteRule::new([get], "/v1", RouteNeeds::default()).unwrap_err();
        assert!(error.to_string().contains("\"/v1\"") && error.to_string().contains("\"GET\""));
        let error = RouteRule::new([], "v1", RouteNeeds::default()).unwrap_err();
        assert_eq!(
            error,
            RouteError::Pattern(PatternError::NoSlash("v1".into()))
        );
        let own = Method::from_bytes(b"purge").unwrap();
        assert!(RouteRule::new([own], "/v1", RouteNeeds::default()).is_ok());
    }

    /// One way to spell a byte of a path.
    fn spelt(byte: u8, way: u8) -> String {
        match (way, byte) {
            (0, _) => format!("%{byte:02x}"),
            (1, _) => format!("%{byte:02X}"),
            (2, _) => format!("%25{byte:02x}"),
            (3, b'/') => "\\".into(),
            (3, _) => char::from(byte).to_ascii_uppercase().into(),
            _ => char::from(byte).into(),
        }
    }

    /// One way to part two segments.
    fn parted(way: u8) -> &'static str {
        match way {
            0 => "//",
            1 => "/./",
            2 => "/x/../",
            3 => ";p=q/",
            4 => "\\",
            5 => "%2f",
            6 => "/x/%2e%2E/",
            7 => "/x/..;p/",
            8 => "/%2e/",
            9 => "/y/x/../../",
            _ => "/",
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// However a protected path is spelt, it stays protected.
        #[test]
        fn no_spelling_escapes_a_rule(
            spellings in proptest::collection::vec(0_u8..40, 12),
            parts in proptest::collection::vec(0_u8..20, 3),
        ) {
            let mut ways = spellings.into_iter();
            let mut path = String::new();
            for (segment, part) in ["v1", "admin", "users"].into_iter().zip(parts) {
                path.push_str(parted(part));
                for byte in segment.bytes() {
                    path.push_str(&spelt(byte, ways.next().unwrap_or(9)));
                }
            }
            if !path.starts_with('/') {
                path.insert(0, '/');
            }
            // Found by one of the readings, not by giving up on them.
            let mut found = false;
            let read = path::readings(path.as_bytes(), |segments| {
                let path = segments.join(&b'/').to_ascii_lowercase();
                found |= path == b"v1/admin/users";
            });
            prop_assert!(found || read.is_err(), "{}", path);
            prop_assert!(path.len() > 60 || read.is_ok(), "{}", path);
            prop_assert!(policy().needs(&Method::GET, path.as_bytes()).needs_user, "{}", path);
        }

        #[test]
        fn matching_never_panics(path in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = policy().needs(&Method::GET, &path);
        }

        #[test]
        fn matching_odd_paths_never_panics(path in "[/\\\\.;%?#a25fF]{0,40}") {
            let _ = policy().needs(&Method::GET, path.as_bytes());
        }
    }
}
