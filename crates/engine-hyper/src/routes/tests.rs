use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::steps::counted;

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

/// What odd paths are made of.
const PIECES: [&str; 24] = [
    "/",
    "//",
    "\\",
    "%2f",
    "%5c",
    "%252f",
    "/..",
    "/.",
    "/%2e%2e",
    ".",
    "%2e",
    ";",
    "%3b",
    "?",
    "%3f",
    "#",
    "v1",
    "/V1",
    "/admin",
    "/%61dmin",
    "/adm%2569n",
    "/users",
    "/public/",
    "a",
];

/// Rules that cross: what is free by one is dear by another.
fn crossing() -> RoutePolicy {
    RoutePolicy::new(vec![
        rule(&[Method::GET], "/v1/public/**", false, 0),
        rule(&[], "/v1/Admin", false, 3),
        rule(&[], "/v1/admin/*/users", false, 8),
        rule(&[], "/*/users", true, 2),
        rule(&[Method::POST], "/v1/**", false, 10),
        rule(&[], "/users/*", true, 0),
        rule(&[], "/**", false, 0),
    ])
}

/// A thousand rules, of which any path could match many.
static MANY: LazyLock<RoutePolicy> = LazyLock::new(|| {
    let words = ["v1", "*", "admin", "users", "a"];
    let path = |n: usize| {
        let word = |place: u32| words[n / words.len().pow(place) % words.len()];
        let words: Vec<&str> = (0..5).map(word).collect();
        format!("/{}/**", words.join("/"))
    };
    RoutePolicy::new(
        (0..1000)
            .map(|n| rule(&[], &path(n), n % 2 == 0, 1000))
            .collect(),
    )
});

/// A thousand rules of the usual kind.
static USUAL: LazyLock<RoutePolicy> = LazyLock::new(|| {
    let path = |n| format!("/api/v1/resource{n}/*/items/**");
    RoutePolicy::new((0..1000).map(|n| rule(&[], &path(n), n > 500, n)).collect())
});

#[test]
fn a_path_that_is_odd_by_accident_keeps_its_exact_outcome() {
    for (path, needs_user, cost) in [
        ("/api/v1//resource7/12/items/3", false, 7),
        ("//api/v1/resource7/12/items/3/", false, 7),
        ("/api/v1/resource7/a%2fb/items", false, 7),
        ("/api/v1/resource7;x=1/12/items", false, 7),
        ("/api/v1/resource7/caf%C3%A9%20x/items/", false, 7),
        ("/api/./v1/resource7/x/../12/items", false, 7),
        ("//api/v1/resource7;x=1/a%2fb/items/", false, 7),
        ("/api/v1//resource700/12/items/3", true, 700),
        ("/api/v1//resource700/12/parts", false, 1),
        ("/api/v1//nothing/12/items", false, 1),
    ] {
        let found = USUAL.needs(&Method::GET, path.as_bytes());
        assert_eq!((found.needs_user, found.cost), (needs_user, cost), "{path}");
    }
}

/// All of it odd, in each of the ways that there are.
const ODDEST: &str = ".%2f%2e%5c%252f%252e%252e%5c;?#";

#[test]
fn a_path_with_too_many_readings_needs_what_the_strictest_rule_does_that_could_match() {
    let needs = |policy: &RoutePolicy, path: &str| {
        let path = format!("//{path}/{ODDEST}");
        let (found, steps) = counted(|| policy.needs(&Method::GET, path.as_bytes()));
        assert_eq!(steps, 0, "it is not read");
        (found.needs_user, found.cost)
    };
    // Of 1000 rules those for this resource alone, or hardly more.
    let (needs_user, cost) = needs(&USUAL, "api/v1/resource700/12/items");
    assert!(needs_user && cost >= 700, "{cost}");
    assert_eq!(needs(&USUAL, "api/v1/nothing/12/parts"), (false, 1));
    assert_eq!(needs(&MANY, "v1/admin/users/a/a"), (true, 1000));
    // Not less than where no rule matches, which none might.
    let free = RoutePolicy::new(vec![rule(&[], "/free/*/a/b/c/d/e/**", false, 0)]);
    assert_eq!(needs(&free, "free/x/a/b/c/d/e/"), (false, 1));
}

#[test]
fn steps_are_counted() {
    let count = |path: &str| counted(|| USUAL.needs(&Method::GET, path.as_bytes())).1;
    assert!(count("/api/v1/nothing") >= 1000);
    assert!(count("/api/v1//resource7/12/items") >= 20);
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
        Odd::new(path.as_bytes()).unwrap().each_reading(|segments| {
            let path = segments.join(&b'/').to_ascii_lowercase();
            found |= path == b"v1/admin/users";
        });
        prop_assert!(found, "{}", path);
        prop_assert!(policy().needs(&Method::GET, path.as_bytes()).needs_user, "{}", path);
    }

    /// No reading that a service may make asks for more than was answered,
    /// be it that all were matched or that it would have taken too long.
    #[test]
    fn no_reading_needs_more(pieces in proptest::collection::vec(0..PIECES.len(), 1..14)) {
        let path: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let policy = crossing();
        for method in [Method::GET, Method::POST] {
            let found = policy.needs(&method, path.as_bytes());
            let Ok(odd) = Odd::new(path.as_bytes()) else {
                continue;
            };
            let (mut all, mut readings) = (None, 0);
            odd.each_reading(|segments| {
                readings += 1;
                for case in CASES {
                    let rules = policy.rules.iter().filter(|rule| rule.takes(&method));
                    let needs = first(rules, case, || segments.iter().copied());
                    all = Some(all.map_or(needs, |all: RouteNeeds| all.strictest(needs)));
                }
            });
            let all = all.unwrap();
            prop_assert_eq!(found.strictest(all), found, "{}", path);
            // What is odd in a few ways alone gets no more than it needs.
            prop_assert!(readings > 40 || found == all, "{} {}", path, readings);
        }
    }

    /// However long and odd a path is, and however many the rules are.
    #[test]
    fn the_steps_of_a_path_are_bounded(
        pieces in proptest::collection::vec(0..PIECES.len(), 1..40),
        times in 1_usize..300,
    ) {
        let pieces: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let mut path = format!("/v1/admin{}", pieces.repeat(times));
        path.truncate(8 * 1024);
        let (_, steps) = counted(|| MANY.needs(&Method::GET, path.as_bytes()));
        // A plain path is matched once in each case.
        let plain = path::is_plain(path.as_bytes());
        prop_assert!(plain || steps <= MAX_WORK, "{} steps: {}", steps, path);
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
