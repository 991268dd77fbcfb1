//! Atomic operations, their orderings, and the comments that say why.

use std::collections::HashSet;

use super::calls::{self, is_operation, is_ordering};
use super::source::Source;
use super::tokens::Kind;
use super::{Finding, Found};

/// What makes a comment hold for the rest of its file.
const FOR_THE_REST: [&str; 2] = ["here and below", "throughout"];

/// Every atomic operation of a file, tests apart, with the comment that says
/// why its ordering suffices: one that names the ordering, above the
/// statement, within it or behind it, above what the statement is in, in its
/// function's docs, or before it in the file with the words "here and below"
/// or "throughout".
pub(super) fn find(source: &Source<'_>) -> Found {
    let mut found = Found {
        faults: calls::faults(source),
        ..Found::default()
    };
    // By their brackets: those that were seen.
    let mut seen = HashSet::new();
    let mut imports_end = 0;
    for at in 0..source.tokens.len() {
        if source.tokens[at].is("use") && source.is_statement(at) {
            imports_end = source.end_of_import(at);
        }
        if at < imports_end || ordering(source, at).is_none() || source.is_test(at) {
            continue;
        }
        let Some(operation) = Operation::around(source, at) else {
            found.faults.push(format!(
                "{}: `{}` stands apart from the operation that it is for: write it there, \
                 where its reason can be seen",
                source.place(at),
                source.tokens[at].text
            ));
            continue;
        };
        if !seen.insert(operation.open) {
            continue;
        }
        match operation.reasons(source) {
            Ok(why) => found.findings.push(Finding {
                item: source.item(at).to_owned(),
                what: format!("`{}` | {}", operation.text, operation.orderings.join(", ")),
                why,
                is_test: false,
            }),
            Err(missing) => found.faults.push(format!(
                "{}: no comment says why {missing} suffices for `{}`: name {missing} and the \
                 reason above the statement, or once in the file with \"here and below\"",
                source.place(at),
                operation.text,
            )),
        }
    }
    found
}

/// The name of an ordering, if a token is one.
fn ordering<'a>(source: &Source<'a>, at: usize) -> Option<&'a str> {
    source.word(Some(at)).filter(|name| is_ordering(name))
}

/// An atomic operation.
struct Operation<'a> {
    /// The bracket that opens its arguments.
    open: usize,
    /// `self.word.load`.
    text: String,
    /// As they stand.
    orderings: Vec<&'a str>,
}

impl<'a> Operation<'a> {
    /// The operation whose argument an ordering is.
    fn around(source: &Source<'a>, at: usize) -> Option<Self> {
        let open = opened_by(source, at)?;
        let name = source.before(open)?;
        if !is_operation(source.word(Some(name))?) {
            return None;
        }
        let within = open + 1..source.partner(open);
        let orderings = within
            .filter(|&at| opened_by(source, at) == Some(open))
            .filter_map(|at| ordering(source, at))
            .collect();
        Some(Self {
            open,
            text: source.line_of(receiver_start(source, name)..name + 1),
            orderings,
        })
    }

    /// The comments that say why, without repetition; or the ordering that
    /// none names.
    fn reasons(&self, source: &Source<'a>) -> Result<String, &'a str> {
        let close = source.partner(self.open);
        let mut comments = source.comments(self.open..close);
        comments.extend(source.comment_behind(close));
        comments.extend(source.comments_about(self.open));
        let all_before = source.comments(0..self.open);
        let for_the_rest = |comment: &&String| {
            let comment = comment.to_lowercase();
            FOR_THE_REST.iter().any(|words| comment.contains(words))
        };
        comments.extend(all_before.iter().rev().filter(for_the_rest).cloned());
        let mut why: Vec<String> = Vec::new();
        for ordering in &self.orderings {
            let names = comments.iter().find(|comment| names(comment, ordering));
            let text = names.ok_or(*ordering)?.trim();
            if !why.iter().any(|why| why == text) {
                why.push(text.to_owned());
            }
        }
        Ok(why.join(" "))
    }
}

/// The round bracket that a token is directly in.
fn opened_by(source: &Source<'_>, at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(before) = at.checked_sub(1) {
        let token = &source.tokens[before];
        if [")", "]", "}"].iter().any(|end| token.is(end)) {
            at = source.partner(before);
        } else if token.is("(") {
            return Some(before);
        } else if [";", "{", "["].iter().any(|mark| token.is(mark)) {
            return None;
        } else {
            at = before;
        }
    }
    None
}

/// Where what a method is called on begins: `self.words[at]` of
/// `self.words[at].load`.
fn receiver_start(source: &Source<'_>, name: usize) -> usize {
    let mut start = name;
    while let Some(before) = source.before(start) {
        let token = &source.tokens[before];
        let is_joined = [".", ":"].iter().any(|mark| token.is(mark));
        let follows_mark = [".", ":", "(", "["]
            .iter()
            .any(|mark| source.tokens[start].is(mark));
        if is_joined {
            start = before;
        } else if (token.is(")") || token.is("]")) && follows_mark {
            start = source.partner(before);
        } else if matches!(token.kind, Kind::Word | Kind::Literal) && follows_mark {
            start = before;
        } else {
            break;
        }
    }
    start
}

/// Whether a comment speaks of an ordering. One half of `AcqRel` may be all
/// that there is to say.
fn names(comment: &str, ordering: &str) -> bool {
    let mut words = comment.split(|letter: char| !letter.is_alphanumeric());
    words.any(|word| {
        word == ordering || (ordering == "AcqRel" && ["Acquire", "Release"].contains(&word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        find(&Source::new("a.rs", text, false))
    }

    #[test]
    fn an_operation_is_listed_with_its_orderings_and_why() {
        let text = "
            use std::sync::atomic::{Ordering, Ordering::{Relaxed, SeqCst}};
            impl A {
                fn f(&self) {
                    // Release publishes. Acquire on failure: as in g.
                    let _ = self.words[at]
                        .compare_exchange(a, b(c), Ordering::Release, Ordering::Acquire);
                    // Relaxed: a copy.
                    to(1).store(x.0.load(Relaxed), Relaxed);
                    fence(SeqCst); // SeqCst: because.
                }
            }
        ";
        let found = found(text);
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let listed: Vec<_> = found
            .findings
            .iter()
            .map(|one| (&*one.item, &*one.what, &*one.why))
            .collect();
        let expected = [
            (
                "A::f",
                "`self.words[at].compare_exchange` | Release, Acquire",
                "Release publishes. Acquire on failure: as in g.",
            ),
            ("A::f", "`x.0.load` | Relaxed", "Relaxed: a copy."),
            ("A::f", "`to(1).store` | Relaxed", "Relaxed: a copy."),
            ("A::f", "`fence` | SeqCst", "SeqCst: because."),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_comment_may_cover_more_than_one() {
        for text in [
            "/// Relaxed: docs.\nfn f() { a.load(Relaxed); }",
            "fn f() { // Relaxed: above.\n if a.load(Relaxed) { b.load(Relaxed); } }",
            "// Relaxed, here and below: hints.\nfn f() {}\nfn g() { a.load(Relaxed); }",
            "/// Relaxed suffices throughout.\nstruct S;\nfn g() { a.load(Relaxed); }",
        ] {
            assert!(found(text).faults.is_empty(), "{text}");
            assert!(!found(text).findings.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_no_comment_speaks_of_is_named_with_its_line() {
        for (text, line) in [
            ("fn f() {\n a.load(Relaxed) }", 2),
            ("fn f() {\n // Acquire: of another.\n a.load(Relaxed) }", 3),
            (
                "fn f() {\n // Relaxed: a.\n a.load(Relaxed);\n b.load(Relaxed); }",
                4,
            ),
            (
                "fn f() {\n // Relaxed: a.\n if a.load(Relaxed) {}\n b.load(Relaxed); }",
                4,
            ),
            (
                "fn f() { /* Relaxed: in f. */ }\nfn g() { a.load(Relaxed); }",
                2,
            ),
            (
                "fn f() {\n // Release: half.\n a.compare_exchange(b, c, Release,\n Acquire); }",
                3,
            ),
            (
                "fn f() {\n // Relaxed: by a name.\n let order = Relaxed; }",
                3,
            ),
            ("fn f() {\n // Relaxed: by a call.\n g(Relaxed); }", 3),
        ] {
            let faults = found(text).faults;
            let expected = format!("a.rs:{line}: ");
            assert!(
                matches!(&faults[..], [fault] if fault.starts_with(&expected)),
                "{text}: {faults:?}"
            );
        }
    }

    #[test]
    fn tests_may_order_as_they_like() {
        let tests = "#[cfg(test)] mod tests { fn f() { a.load(SeqCst); } }";
        let found = found(tests);
        assert!(found.findings.is_empty() && found.faults.is_empty());
    }
}
