//! Rust source as words, marks and comments, each with its line.
//!
//! No parser of Rust keeps comments, and comments are what is looked for. So
//! this one knows no grammar: only what may hide a word (strings, characters
//! and comments), which also lets it see into macros.

/// What a piece of source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name.
    Word,
    /// One character of punctuation.
    Mark,
    /// A number, a string, a character, or a lifetime.
    Literal,
    /// A comment, with its marks; doc comments too.
    Comment,
}

/// A piece of source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// The line that it begins on, from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    /// Whether it is this word or mark.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text == text
    }
}

/// The tokens of a file, in order; white space is left out.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        if first.is_whitespace() {
            line += usize::from(first == '\n');
            at += first.len_utf8();
            continue;
        }
        let (kind, len) = first_token(rest);
        let text = &rest[..len];
        found.push(Token {
            kind,
            text,
            at,
            line,
        });
        line += text.matches('\n').count();
        at += len;
    }
    found
}

/// Kind and length of what some source begins with, which is no white space.
fn first_token(rest: &str) -> (Kind, usize) {
    let word = word_len(rest);
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment_len(rest))
    } else if let Some(len) = string_len(rest) {
        (Kind::Literal, len)
    } else if rest.starts_with("r#") && word_len(&rest[2..]) > 0 {
        (Kind::Word, 2 + word_len(&rest[2..]))
    } else if rest.starts_with(|first: char| first.is_ascii_digit()) {
        (Kind::Literal, word)
    } else if word > 0 {
        (Kind::Word, word)
    } else if rest.starts_with('\'') {
        (Kind::Literal, quote_len(rest))
    } else {
        (Kind::Mark, rest.chars().next().map_or(0, char::len_utf8))
    }
}

fn word_len(rest: &str) -> usize {
    let no_word = |letter: char| !letter.is_alphanumeric() && letter != '_';
    rest.find(no_word).unwrap_or(rest.len())
}

/// Comments nest.
fn block_comment_len(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string of any sort: `"…"`, `b"…"`, `c"…"`, `r#"…"#` and so on.
fn string_len(rest: &str) -> Option<usize> {
    let prefix = word_len(rest);
    if !["", "b", "c", "r", "br", "cr", "b'"].contains(&&rest[..prefix]) {
        return None;
    }
    let raw = rest[..prefix].ends_with('r');
    let quoted = &rest[prefix..];
    if prefix == 1 && rest.starts_with("b'") {
        return Some(1 + quote_len(quoted));
    }
    let hashes = if raw {
        quoted.len() - quoted.trim_start_matches('#').len()
    } else {
        0
    };
    let inside = quoted[hashes..].strip_prefix('"')?;
    let before = prefix + hashes + 1;
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(before + len);
    }
    Some(before + closed_by(inside, '"'))
}

/// The length of what a character ends that no backslash stands before.
fn closed_by(inside: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, letter) in inside.char_indices() {
        if !escaped && letter == end {
            return at + letter.len_utf8();
        }
        escaped = letter == '\\' && !escaped;
    }
    inside.len()
}

/// A character (`'a'`, `'\''`) or a lifetime (`'a`).
fn quote_len(rest: &str) -> usize {
    let mut letters = rest[1..].char_indices();
    match letters.next() {
        Some((_, '\\')) => 1 + closed_by(&rest[1..], '\''),
        Some(_) if matches!(letters.next(), Some((_, '\''))) => 1 + closed_by(&rest[1..], '\''),
        _ => 1 + word_len(&rest[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        let tokens = tokens(source);
        let words = tokens.iter().filter(|token| token.kind == Kind::Word);
        words.map(|token| token.text).collect()
    }

    #[test]
    fn what_stands_in_a_string_or_a_comment_is_no_word() {
        let source = r####"
            one("unsafe \" unsafe", r#"unsafe " unsafe"#, b"unsafe", c"unsafe", br##"unsafe "# "##);
            // unsafe
            two('"', '\'', b'"', '\\', "\\"); /* unsafe /* unsafe */ unsafe */
            three::<'static>('a', 'ä'); r#unsafe
        "####;
        assert_eq!(words(source), ["one", "two", "three", "r#unsafe"]);
    }

    #[test]
    fn a_token_knows_its_line() {
        let found = tokens("a\n\"b\n\" /*\n*/ c");
        let lines: Vec<_> = found.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a", 1), ("\"b\n\"", 2), ("/*\n*/", 3), ("c", 4)]);
    }

    #[test]
    fn what_has_no_end_ends_with_the_file() {
        for source in ["\"a", "r#\"a\"", "/* /* */", "'", "b'", "'\\", "r#", "//"] {
            let end = tokens(source)
                .last()
                .map(|token| token.at + token.text.len());
            assert_eq!(end, Some(source.len()), "{source}");
        }
    }
}
