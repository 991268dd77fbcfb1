//! Calls that take an ordering. It has to stand there by its name: one that
//! comes by a parameter, a constant or another name says nothing to who reads.

use std::ops::Range;

use super::source::Source;
use super::tokens::Kind;

/// How many arguments an atomic operation has at the least, and how many of them
/// are orderings.
fn orderings_of(operation: &str) -> Option<(usize, usize)> {
    Some(match operation {
        "fence" | "compiler_fence" | "load" => (1, 1),
        "store" | "swap" => (2, 1),
        "compare_exchange" | "compare_exchange_weak" => (4, 2),
        "fetch_update" | "try_update" | "update" => (3, 2),
        _ if operation.starts_with("fetch_") => (2, 1),
        _ => return None,
    })
}

/// Whether a name is that of an atomic operation.
pub(super) fn is_operation(name: &str) -> bool {
    orderings_of(name).is_some()
}

/// A stand-in for an atomic, under loom alone: the ordering is its caller's, who
/// names it.
const PASSED_ON: &str = "loom's stand-in";

/// Called as an operation is, with as many arguments, by something that is no
/// atomic of the engine's: the file, the method and what it is.
const NO_ATOMICS: [(&str, &str, &str); 7] = [
    ("crates/engine/src/sync/pointers.rs", "load", PASSED_ON),
    ("crates/engine/src/sync/pointers.rs", "store", PASSED_ON),
    ("crates/engine/src/sync/pointers.rs", "fetch_or", PASSED_ON),
    (
        "crates/engine/src/sync/pointers.rs",
        "compare_exchange",
        PASSED_ON,
    ),
    ("crates/engine-ffi/src/follow.rs", "load", "a follower's"),
    ("crates/engine/src/engine.rs", "update", "the keyring's"),
    (
        "crates/tokenkit/src/serve/follow.rs",
        "load",
        "a follower's",
    ),
];

/// The calls of a file, tests apart, that take an ordering from elsewhere, and
/// the imports that give one another name.
pub(super) fn faults(source: &Source<'_>) -> Vec<String> {
    let code = || (0..source.tokens.len()).filter(|&at| !source.is_test(at));
    let calls = code().filter(|&at| is_blind(source, at)).map(|at| {
        format!(
            "{}: the ordering of `{}` comes from elsewhere: write its name there; if this is no \
             atomic, say so in xtask/src/proofs/calls.rs",
            source.place(at),
            source.tokens[at].text
        )
    });
    let imports = code().filter(|&at| renames(source, at)).map(|at| {
        format!(
            "{}: an import gives an ordering, or where it is from, another name",
            source.place(at)
        )
    });
    calls.chain(imports).collect()
}

/// What is said to be no atomic and is not there any more.
pub(super) fn unneeded(sources: &[Source<'_>]) -> Vec<String> {
    let is_there = |path: &str, method: &str| {
        let mut file = sources.iter().filter(|source| source.path == path);
        file.any(|source| (0..source.tokens.len()).any(|at| takes_none(source, at, method)))
    };
    let gone = NO_ATOMICS
        .iter()
        .filter(|(path, method, _)| !is_there(path, method));
    gone.map(|(path, method, _)| {
        format!("{path}: `{method}` is not called any more: xtask/src/proofs/calls.rs names it")
    })
    .collect()
}

/// Whether a word is a call of that method that names no ordering.
fn takes_none(source: &Source<'_>, at: usize, method: &str) -> bool {
    source.tokens[at].is(method) && lacks_orderings(source, at)
}

/// Whether a word calls an atomic operation without naming its orderings.
fn is_blind(source: &Source<'_>, at: usize) -> bool {
    let known = |(path, method, _): &(&str, &str, &str)| {
        source.path == *path && source.tokens[at].is(method)
    };
    lacks_orderings(source, at) && !NO_ATOMICS.iter().any(known)
}

fn lacks_orderings(source: &Source<'_>, at: usize) -> bool {
    let Some(name) = source.word(Some(at)) else {
        return false;
    };
    let Some((least, wanted)) = orderings_of(name) else {
        return false;
    };
    let open = source.after(at).filter(|open| source.tokens[*open].is("("));
    let by_type = match source.before(at) {
        Some(before) if source.tokens[before].is(".") => false,
        Some(before) if source.tokens[before].is(":") => match is_of_atomic(source, before) {
            true => true,
            // Of a module: a fence may be.
            false if name.ends_with("fence") => false,
            false => return false,
        },
        // A definition.
        Some(before) if source.tokens[before].is("fn") => return false,
        _ if name.ends_with("fence") => false,
        _ => return false,
    };
    let Some(open) = open else {
        // Handed on as a function, whose calls nobody finds.
        return by_type;
    };
    let arguments = arguments(source, open);
    let named = arguments
        .iter()
        .filter(|argument| is_literal(source, (*argument).clone()));
    arguments.len() >= least + usize::from(by_type) && named.count() < wanted
}

/// Whether the type before `::`, whose last colon this is, is an atomic's:
/// `AtomicU64::` or `<…>::`.
fn is_of_atomic(source: &Source<'_>, colon: usize) -> bool {
    let path = source.before(colon).and_then(|colon| source.before(colon));
    let is_type = source
        .word(path)
        .is_some_and(|name| name.starts_with("Atomic"));
    is_type || source.is(path, ">")
}

/// What stands between the commas of a bracket, without comments.
fn arguments(source: &Source<'_>, open: usize) -> Vec<Range<usize>> {
    let close = source.partner(open);
    let (mut found, mut start, mut at) = (Vec::new(), open + 1, open + 1);
    while at < close {
        let token = &source.tokens[at];
        if token.is(",") {
            found.push(start..at);
            start = at + 1;
        }
        at = source.partner(at).max(at) + 1;
    }
    found.push(start..close);
    let is_empty = |range: &Range<usize>| {
        let mut tokens = source.tokens[range.clone()].iter();
        tokens.all(|token| token.kind == Kind::Comment)
    };
    found.retain(|range| !is_empty(range));
    found
}

/// What a path to an ordering is made of.
const PATH: [&str; 6] = ["std", "core", "loom", "sync", "atomic", "Ordering"];

/// Whether an argument is an ordering by its name, and nothing else.
fn is_literal(source: &Source<'_>, argument: Range<usize>) -> bool {
    let tokens = source.tokens[argument].iter();
    let words: Vec<&str> = tokens
        .filter(|token| token.kind != Kind::Comment && !token.is(":"))
        .map(|token| token.text)
        .collect();
    matches!(&words[..], [path @ .., name]
        if is_ordering(name) && path.iter().all(|part| PATH.contains(part)))
}

/// Whether it is an ordering's name.
pub(super) fn is_ordering(name: &str) -> bool {
    ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"].contains(&name)
}

/// Whether an import begins here that gives an ordering another name, or the
/// types and modules by which one is found.
fn renames(source: &Source<'_>, at: usize) -> bool {
    if !source.tokens[at].is("use") || !source.is_statement(at) {
        return false;
    }
    let words = &source.tokens[at..source.end_of_import(at)];
    let is_about = |name: &str| ["atomic", "Ordering"].contains(&name) || is_ordering(name);
    let mut names = words.iter().filter(|token| token.kind == Kind::Word);
    names.any(|token| is_about(token.text)) && words.iter().any(|token| token.is("as"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        faults(&Source::new("a.rs", text, false)).len()
    }

    #[test]
    fn an_ordering_by_another_name_is_found() {
        for text in [
            "use Ordering::Relaxed as Lax;",
            "pub(crate) use std::sync::atomic::Ordering::{Acquire, Relaxed as Release};",
            "use std::sync::atomic::{AtomicU64, Ordering as Order};",
            "use std::sync::{Mutex, atomic as words};",
            "fn f() { x.store(true, Lax) }",
            "fn f() { x.load(Order::Relaxed) }",
            "fn f() { x.load(lax::Relaxed) }",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn an_ordering_from_elsewhere_is_found() {
        for text in [
            "fn go(how: Ordering) { x.store(true, how) }",
            "fn go(how: Ordering) { x.store(f::<A, B>(true), how,) }",
            "fn go(how: Ordering) { self.words[0] . load(/* Relaxed */ how) }",
            "fn go(how: Ordering) { x.swap(1, how); }",
            "fn go(how: Ordering) { x.compare_exchange(a, b, how, Relaxed); }",
            "fn go(how: Ordering) { x.compare_exchange_weak(a, b, Release, how, guard); }",
            "fn go(how: Ordering) { x.fetch_add(1, how); }",
            "fn go(how: Ordering) { x.fetch_update(Relaxed, how, |x| Some(x)); }",
            "fn go(how: Ordering) { fence(how); }",
            "fn go(how: Ordering) { std::sync::atomic::compiler_fence(how); }",
            "fn go(how: Ordering) { AtomicU64::store(&x, 1, how); }",
            "fn go(how: Ordering) { <AtomicU64>::load(&x, how); }",
            "fn go() { let store = AtomicU64::store; }",
            "macro_rules! m { ($o:ident) => { x.load($o) } }",
            "fn go() { x.load(if y { Relaxed } else { Acquire }) }",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn an_ordering_by_its_name_is_none() {
        for text in [
            "use std::sync::atomic::{AtomicU64, Ordering::{self, Relaxed}};",
            "use crate::a::b as c; fn f() { x as u64 }",
            "fn f() { x.store(a, Relaxed); x.load(Ordering::Acquire); }",
            "fn f() { x.load(std::sync::atomic::Ordering::SeqCst, guard); }",
            "fn f() { x.fetch_add(\n1, // Relaxed: so.\n Relaxed,\n); fence(SeqCst); }",
            "fn f() { x.compare_exchange(a, g(b, c), AcqRel, Acquire); }",
            "fn f() { AtomicU64::store(&x, 1, Release); }",
            // No atomic's: they have too few arguments, or are no methods.
            "fn f() { list.load(); list.store(it); one.swap(two); x.update(y, z); }",
            "fn fence(post: u8) {} fn load(x: u8) { load(x); std::mem::swap(a, b); }",
            "#[cfg(test)] mod tests { fn go(how: Ordering) { x.load(how) } }",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }

    #[test]
    fn what_is_no_atomic_is_known_by_its_file() {
        let text = "fn f() { follower.load(engine) }";
        let of = |path| Source::new(path, text, false);
        assert_eq!(faults(&of("crates/engine-ffi/src/follow.rs")).len(), 0);
        assert_eq!(faults(&of("crates/engine-ffi/src/seats.rs")).len(), 1);
        let there = [of("crates/engine-ffi/src/follow.rs")];
        assert_eq!(unneeded(&there).len(), NO_ATOMICS.len() - 1);
    }
}
