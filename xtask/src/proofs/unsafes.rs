//! Unsafe code and the proofs beside it.

use super::source::Source;
use super::{Finding, Found};

/// Characters shown of what a block holds.
const SHOWN: usize = 60;

/// Every unsafe block, function, implementation and trait of a file. Clippy
/// asks for the proof of a block too; what it asks of a function holds for
/// public ones alone.
pub(super) fn find(source: &Source<'_>) -> Found {
    let mut found = Found::default();
    for at in 0..source.tokens.len() {
        if !source.tokens[at].is("unsafe") {
            continue;
        }
        let Some((what, wants)) = form(source, at) else {
            continue;
        };
        // What a trait's method asks for, the trait says.
        if matches!(wants, Wants::Section) && is_of_trait(source.item(at)) {
            continue;
        }
        match proof(source, at, wants) {
            Some(why) => found.findings.push(Finding {
                item: source.item(at).to_owned(),
                what,
                why,
                is_test: source.is_test(at),
            }),
            None => found.faults.push(format!(
                "{}: {what} has no {}",
                source.place(at),
                match wants {
                    Wants::Comment => "comment `// SAFETY: …` directly above its statement",
                    Wants::Section =>
                        "section `# Safety` in its docs, that says what a caller owes",
                }
            )),
        }
    }
    found
}

/// What has to be there.
#[derive(Clone, Copy)]
enum Wants {
    /// `// SAFETY: …`, that the duties are met.
    Comment,
    /// `# Safety`, that names the duties.
    Section,
}

/// What an `unsafe` begins, if it begins code: the type of a function pointer
/// has none, and of an attribute the name says what it does.
fn form(source: &Source<'_>, at: usize) -> Option<(String, Wants)> {
    let mut next = source.after(at)?;
    let mut is_extern = false;
    if source.tokens[next].is("extern") {
        is_extern = true;
        next = source.after(next)?;
        if source.tokens[next].text.starts_with('"') {
            next = source.after(next)?;
        }
    }
    let name = || source.word(source.after(next));
    match source.tokens[next].text {
        "{" if is_extern => Some(("`unsafe extern`".into(), Wants::Comment)),
        "{" => {
            let inside = source.line_of(next + 1..source.partner(next));
            Some((shown(&inside), Wants::Comment))
        }
        "fn" => name().map(|name| (format!("`unsafe fn {name}`"), Wants::Section)),
        "trait" => name().map(|name| (format!("`unsafe trait {name}`"), Wants::Section)),
        "impl" => Some(("`unsafe impl`".into(), Wants::Comment)),
        _ => None,
    }
}

/// Whether an item is directly in `<Type as Trait>`.
fn is_of_trait(item: &str) -> bool {
    let within = item.rsplit_once("::").map_or("", |(within, _)| within);
    within.contains(" as ") && within.ends_with('>')
}

/// The beginning of what a block holds.
fn shown(inside: &str) -> String {
    match inside.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{} …`", inside[..end].trim_end()),
        None => format!("`{inside}`"),
    }
}

fn proof(source: &Source<'_>, at: usize, wants: Wants) -> Option<String> {
    let mark = match wants {
        Wants::Comment => "SAFETY:",
        Wants::Section => "# Safety",
    };
    // An attribute may stand between a function's docs and its head.
    let start = source.statement_start(at);
    let comments = source.comments(start..at);
    let text = comments.iter().rev().find_map(|comment| {
        let (_, text) = comment.split_once(mark)?;
        // Another section may follow.
        text.split("\n#").next()
    })?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        find(&Source::new("a.rs", text, false)).faults
    }

    #[test]
    fn what_has_its_proof_is_listed_with_it() {
        let text = "
            /// Does.
            ///
            /// # Safety
            ///
            /// What a caller
            /// owes.
            ///
            /// # Panics
            ///
            /// Never.
            #[inline]
            pub(super) unsafe fn f() {}
            // SAFETY: shared
            // well.
            unsafe impl Sync for A {}
            fn g() {
                // SAFETY: here.
                let x = h(|| unsafe { f() });
            }
        ";
        let found = find(&Source::new("a.rs", text, false));
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let listed: Vec<_> = found
            .findings
            .iter()
            .map(|one| (&*one.item, &*one.what, &*one.why))
            .collect();
        let expected = [
            ("f", "`unsafe fn f`", "What a caller owes."),
            ("<A as Sync>", "`unsafe impl`", "shared well."),
            ("g", "`f()`", "here."),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn what_has_none_is_named_with_its_line() {
        for (text, line) in [
            ("fn f() {\n unsafe { g() } }", 2),
            ("fn f() {\n // SAFETY:\n unsafe { g() } }", 3),
            ("fn f() {\n // SAFETY: x\n a();\n unsafe { g() } }", 4),
            (
                "// SAFETY: x\nunsafe impl A for B {}\nunsafe impl C for B {}",
                3,
            ),
            ("/// Docs.\nunsafe fn f() {}", 2),
            ("assert!(\nunsafe { f() });", 2),
            ("impl A for B { fn f() {\n unsafe fn g() {} } }", 2),
            ("macro_rules! m { () => {\n unsafe { f() } } }", 2),
        ] {
            let faults = faults(text);
            let expected = format!("a.rs:{line}: ");
            assert!(
                matches!(&faults[..], [fault] if fault.starts_with(&expected)),
                "{text}: {faults:?}"
            );
        }
    }

    #[test]
    fn what_is_only_called_so_is_left_out() {
        let text = "
            #[unsafe(no_mangle)] extern \"C\" fn f(g: unsafe fn(u8), h: unsafe extern \"C\" fn()) {}
            // unsafe { }
            impl A for B { unsafe fn f() {} }
        ";
        let found = find(&Source::new("a.rs", text, false));
        assert!(found.findings.is_empty() && found.faults.is_empty());
    }
}
