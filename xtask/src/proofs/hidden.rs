//! What puts code out of sight of the other checks: a file that is read by
//! another way than `mod`, and what an attribute does that is unsafe.

use std::fmt;

use super::source::Source;

/// What hides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `include!(…)`: whatever the file is called.
    Include,
    /// `#[path = …]`: from wherever.
    Path,
    /// `#[unsafe(no_mangle)]`: whoever links takes it by its name.
    NoMangle,
    /// Any other `#[unsafe(…)]`: no block, and so no proof beside it.
    Attribute,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Include => "`include!` reads",
            Self::Path => "`path = …` reads",
            Self::NoMangle => "`unsafe(no_mangle)` does",
            Self::Attribute => "`unsafe(…)` in an attribute does",
        })
    }
}

/// Where one stands all the same: the beginning of the paths, and the reason why
/// nothing is hidden.
const ALLOWED: [(&str, Way, &str); 4] = [
    (
        "crates/engine-ffi/src/",
        Way::NoMangle,
        "C calls these functions by their names, which begin with `tk_`",
    ),
    (
        "crates/engine-ffi/tests/",
        Way::Path,
        "a module that several tests have, in their folder; and `seat.rs`, under loom's atomics",
    ),
    (
        "crates/tokenkit/tests/client_examples.rs",
        Way::Path,
        "the program that a page of the docs shows, in the tests' folder",
    ),
    (
        "crates/tokenkit/src/command/mod.rs",
        Way::Path,
        "a file beside it, which is read here like all others",
    ),
];

/// Every such thing that is not allowed, and what is allowed for nothing.
pub(super) fn faults(sources: &[Source<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = [false; ALLOWED.len()];
    for source in sources {
        for (at, way) in find(source) {
            let allowed = ALLOWED
                .iter()
                .position(|(path, allowed, _)| source.path.starts_with(path) && *allowed == way);
            match allowed {
                Some(place) => used[place] = true,
                None => faults.push(format!(
                    "{}: {way} what this check does not see: write it as a module or a block, or \
                     say in xtask/src/proofs/hidden.rs why it may stand",
                    source.place(at)
                )),
            }
        }
    }
    let unneeded = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    faults.extend(unneeded.map(|((path, way, _), _)| {
        format!("{path}: {way} nothing any more: xtask/src/proofs/hidden.rs allows it")
    }));
    faults
}

/// Every such thing in a file, with where it stands.
fn find(source: &Source<'_>) -> Vec<(usize, Way)> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        let next = source.after(at);
        if source.tokens[at].is("include") && source.is(next, "!") {
            found.push((at, Way::Include));
        }
        let Some(open) = attribute(source, at) else {
            continue;
        };
        // Within `cfg_attr` too.
        for at in open..source.partner(open) {
            let next = source.after(at);
            if source.tokens[at].is("path") && source.is(next, "=") {
                found.push((at, Way::Path));
            }
            if source.tokens[at].is("unsafe") && source.is(next, "(") {
                let name = next.and_then(|open| source.after(open));
                let is_name = source.is(name, "no_mangle");
                found.push((
                    at,
                    if is_name {
                        Way::NoMangle
                    } else {
                        Way::Attribute
                    },
                ));
            }
        }
    }
    found
}

/// The bracket of the attribute that a `#` begins.
fn attribute(source: &Source<'_>, at: usize) -> Option<usize> {
    let next = source.after(at).filter(|_| source.tokens[at].is("#"))?;
    let open = match source.tokens[next].text {
        "!" => source.after(next)?,
        _ => next,
    };
    source.tokens[open].is("[").then_some(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Way> {
        let source = Source::new("a.rs", text, false);
        find(&source).into_iter().map(|(_, way)| way).collect()
    }

    #[test]
    fn what_hides_code_is_found() {
        for (text, way) in [
            ("include!(\"x.in\");", Way::Include),
            ("mod a { core::include ! { \"x.in\" } }", Way::Include),
            ("#[path = \"x.in\"] mod x;", Way::Path),
            (
                "#[cfg_attr(not(windows), path = \"x.in\")] mod x;",
                Way::Path,
            ),
            ("#[unsafe(no_mangle)] fn f() {}", Way::NoMangle),
            (
                "#[cfg_attr(all(), unsafe(export_name = \"malloc\"))] fn f() {}",
                Way::Attribute,
            ),
        ] {
            assert_eq!(found(text), [way], "{text}");
        }
    }

    #[test]
    fn what_only_looks_so_is_left_alone() {
        for text in [
            "const PAGE: &str = include_str!(\"page.html\");",
            "let path = a; #[serde(path)] f(\"#[path = x]\"); // include!(x)",
            "fn f(g: unsafe fn(u8)) { let x = [a, path == b]; }",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_named_with_its_line() {
        let text = "\n#[unsafe(no_mangle)] fn f() {}";
        let named = |path: &str| {
            let faults = faults(&[Source::new(path, text, true)]);
            let line = format!("{path}:2: ");
            faults.iter().any(|fault| fault.starts_with(&line))
        };
        assert!(named("crates/engine/src/a.rs"));
        assert!(named("crates/engine/src/engine-ffi/src/a.rs"));
        assert!(!named("crates/engine-ffi/src/a.rs"));
        // Whatever is allowed is there for something.
        let nothing = faults(&[]);
        assert_eq!(nothing.len(), ALLOWED.len(), "{nothing:?}");
    }
}
