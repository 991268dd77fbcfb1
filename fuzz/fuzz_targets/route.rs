//! However a path is spelt, its needs are never looser than those of the plain
//! spelling; and no path makes the matching panic.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use engine_hyper::{RouteNeeds, RoutePolicy, RouteRule};
use http::Method;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// Any bytes, for the paths that cannot be read.
    raw: &'a [u8],
    /// Segments, and how each and the slash before it are spelt.
    segments: Vec<(u8, Parting, Vec<Spelling>)>,
    pattern: &'a str,
}

#[derive(Debug, Arbitrary)]
enum Parting {
    Plain,
    Encoded,
    Backslash,
    Double,
    Dot,
    DotDot,
    Parameter,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Spelling {
    Plain,
    Upper,
    Percent,
    PercentUpper,
    Twice,
}

const WORDS: [&str; 6] = ["v1", "admin", "users", "public", "x", "keys"];

static POLICY: LazyLock<RoutePolicy> = LazyLock::new(|| {
    let rule = |methods: &[Method], path, needs_user, cost| {
        RouteRule::new(methods.to_vec(), path, RouteNeeds { needs_user, cost }).expect("a rule")
    };
    RoutePolicy::new(vec![
        rule(&[Method::GET], "/v1/public/**", false, 0),
        rule(&[], "/v1/admin/*/keys", true, 7),
        rule(&[], "/v1/admin/users", true, 5),
        rule(&[Method::POST], "/v1/**", false, 10),
    ])
});

fn spelt(byte: u8, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain => char::from(byte).into(),
        Spelling::Upper => char::from(byte).to_ascii_uppercase().into(),
        Spelling::Percent => format!("%{byte:02x}"),
        Spelling::PercentUpper => format!("%{byte:02X}"),
        Spelling::Twice => format!("%25{byte:02x}"),
    }
}

fn parted(parting: &Parting) -> &'static str {
    match parting {
        Parting::Plain => "/",
        Parting::Encoded => "%2f",
        Parting::Backslash => "\\",
        Parting::Double => "//",
        Parting::Dot => "/./",
        Parting::DotDot => "/x/../",
        Parting::Parameter => ";p=q/",
    }
}

fuzz_target!(|input: Input| {
    for method in [Method::GET, Method::POST] {
        assert!(POLICY.needs(&method, input.raw).cost <= 10);
        let (mut plain, mut odd) = (String::new(), String::new());
        for (word, parting, spellings) in input.segments.iter().take(8) {
            let word = WORDS[usize::from(*word) % WORDS.len()];
            plain.push('/');
            plain.push_str(word);
            // A path that is sent starts with a slash.
            odd.push_str(if odd.is_empty() { "/" } else { parted(parting) });
            let spellings = spellings
                .iter()
                .copied()
                .chain(std::iter::repeat(Spelling::Plain));
            odd.extend(
                word.bytes()
                    .zip(spellings)
                    .map(|(byte, way)| spelt(byte, way)),
            );
        }
        let wanted = POLICY.needs(&method, plain.as_bytes());
        let found = POLICY.needs(&method, odd.as_bytes());
        assert!(
            found.cost >= wanted.cost && found.needs_user >= wanted.needs_user,
            "{plain} needs {wanted:?}, {odd} only {found:?}"
        );
    }
    if let Ok(pattern) = input.pattern.parse::<engine_hyper::PathPattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
});
