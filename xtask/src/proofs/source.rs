//! A source file and its items: which function, of which type, a token is in.

use std::ops::Range;

use super::tokens::{Kind, Token, tokens};

/// A file of Rust.
pub(super) struct Source<'a> {
    /// Its path from the workspace's root.
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// Without white space.
    pub(super) tokens: Vec<Token<'a>>,
    items: Vec<Item>,
    /// The innermost item of each token.
    item_of: Vec<usize>,
    /// For each bracket its partner; for other tokens themselves.
    partner: Vec<usize>,
}

/// A function, a type, a module…; the first is the file.
struct Item {
    /// `Block::add`; of the file, nothing.
    path: String,
    /// Its first token, comments and attributes included.
    start: usize,
    /// Whether it is built for tests alone.
    is_test: bool,
}

impl<'a> Source<'a> {
    /// Takes a file apart. `is_test`: whether all of it is for tests.
    pub(super) fn new(path: &'a str, text: &'a str, is_test: bool) -> Self {
        let tokens = tokens(text);
        let mut source = Self {
            path,
            text,
            partner: partners(&tokens),
            item_of: vec![0; tokens.len()],
            items: vec![Item {
                path: String::new(),
                start: 0,
                is_test,
            }],
            tokens,
        };
        source.find_items();
        source
    }

    /// Whether what a token belongs to is built for tests alone.
    pub(super) fn is_test(&self, at: usize) -> bool {
        self.items[self.item_of[at]].is_test
    }

    /// The path of the innermost item of a token, within its file.
    pub(super) fn item(&self, at: usize) -> &str {
        &self.items[self.item_of[at]].path
    }

    /// Where the innermost item of a token begins.
    pub(super) fn item_start(&self, at: usize) -> usize {
        self.items[self.item_of[at]].start
    }

    /// The partner of a bracket.
    pub(super) fn partner(&self, at: usize) -> usize {
        self.partner[at]
    }

    /// `path:line`, where someone has to look.
    pub(super) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.tokens[at].line)
    }

    /// The source of some tokens, on one line.
    pub(super) fn line_of(&self, range: Range<usize>) -> String {
        let tokens = &self.tokens[range];
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            return String::new();
        };
        let text = &self.text[first.at..last.at + last.text.len()];
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").replace(" .", ".")
    }

    /// The last token before this one that is no comment.
    pub(super) fn before(&self, at: usize) -> Option<usize> {
        (0..at)
            .rev()
            .find(|&at| self.tokens[at].kind != Kind::Comment)
    }

    /// The first token after this one that is no comment.
    pub(super) fn after(&self, at: usize) -> Option<usize> {
        (at + 1..self.tokens.len()).find(|&at| self.tokens[at].kind != Kind::Comment)
    }

    pub(super) fn is(&self, at: Option<usize>, text: &str) -> bool {
        at.is_some_and(|at| self.tokens[at].is(text))
    }

    /// The word at a place, if one is there.
    pub(super) fn word(&self, at: Option<usize>) -> Option<&'a str> {
        let token = self.tokens[at?];
        (token.kind == Kind::Word).then_some(token.text)
    }

    /// Where the statement or item begins that a token is in: after the last
    /// `;`, `{` or `}` that is not in brackets of its own. Comments above it
    /// are part of it.
    pub(super) fn statement_start(&self, at: usize) -> usize {
        let mut start = at;
        while let Some(before) = start.checked_sub(1) {
            let token = &self.tokens[before];
            if token.is(")") || token.is("]") {
                start = self.partner[before];
            } else if [";", "{", "}"].iter().any(|end| token.is(end))
                // Docs of the file are of no item in it.
                || (token.kind == Kind::Comment && token.text.starts_with("//!"))
            {
                break;
            } else {
                start = before;
            }
        }
        start
    }

    /// Whether a word begins a statement, apart from its visibility.
    pub(super) fn is_statement(&self, at: usize) -> bool {
        let before = self.before(at);
        let ends = ["pub", ")", "]", ";", "{", "}"];
        before.is_none() || ends.iter().any(|end| self.is(before, end))
    }

    /// Where the `use` that begins here ends.
    pub(super) fn end_of_import(&self, at: usize) -> usize {
        let mut rest = at..self.tokens.len();
        rest.find(|&at| self.tokens[at].is(";")).unwrap_or(at)
    }

    /// The comment that stands behind a statement, on its last line.
    pub(super) fn comment_behind(&self, at: usize) -> Option<String> {
        let line = self.tokens[at].line;
        let mut same_line =
            (at + 1..self.tokens.len()).take_while(|&at| self.tokens[at].line == line);
        let comment = same_line.find(|&at| self.tokens[at].kind == Kind::Comment)?;
        self.comments(comment..comment + 1).pop()
    }

    /// The modules that the file names and does not hold: `mod name;`, each
    /// with whether it is for tests alone.
    pub(super) fn modules(&self) -> impl Iterator<Item = (&'a str, bool)> {
        (0..self.tokens.len()).filter_map(|at| {
            let name = self.after(at).filter(|_| self.tokens[at].is("mod"));
            let ends = name.and_then(|name| self.after(name));
            let name = self.word(name).filter(|_| self.is(ends, ";"))?;
            Some((name, self.is_test(at)))
        })
    }

    /// Whether an inner attribute forbids unsafe code.
    pub(super) fn forbids_unsafe(&self) -> bool {
        let words = ["forbid", "(", "unsafe_code", ")"];
        let mut places = self.tokens.windows(words.len());
        places.any(|at| at.iter().zip(words).all(|(token, word)| token.is(word)))
    }

    fn find_items(&mut self) {
        // Open braces, each with the item that was current before.
        let mut open: Vec<(bool, usize)> = Vec::new();
        let mut current = 0;
        // An item whose body is still to come, and the depth it stands at.
        let mut head: Option<(usize, usize, bool)> = None;
        for at in 0..self.tokens.len() {
            self.item_of[at] = head.map_or(current, |(item, ..)| item);
            let token = self.tokens[at];
            match token.text {
                _ if matches!(token.kind, Kind::Comment | Kind::Literal) => {}
                "(" | "[" => open.push((false, current)),
                "{" => {
                    open.push((true, current));
                    let depth = open.len() - 1;
                    // `Foo<{ N }>` is no body, nor is what a constant is made by.
                    let is_value = self.is(self.before(at), "<") || self.is(self.before(at), ",");
                    if let Some((item, _, false)) =
                        head.filter(|(_, at, _)| *at == depth && !is_value)
                    {
                        current = item;
                        head = None;
                    }
                }
                ")" | "]" | "}" => {
                    if let Some((_, before)) = open.pop() {
                        current = before;
                    }
                }
                ";" if head.is_some_and(|(_, depth, _)| depth == open.len()) => head = None,
                _ if head.is_none() => {
                    let Some((name, is_constant)) = self.named(at) else {
                        continue;
                    };
                    let item = self.add_item(at, current, &name);
                    head = Some((item, open.len(), is_constant));
                }
                _ => {}
            }
        }
    }

    /// The item that a word begins, if it does: its name, and whether it is a
    /// constant or static, whose braces are no body.
    fn named(&self, at: usize) -> Option<(String, bool)> {
        let before = self.before(at);
        let next = self.after(at);
        let name = self.word(next);
        match self.word(Some(at))? {
            "fn" | "mod" | "trait" | "struct" | "enum" | "union" => {
                // A variable may be called `union`.
                let is_path = self.is(before, ".") || self.is(before, ":");
                Some((name.filter(|_| !is_path)?.to_owned(), false))
            }
            "macro_rules" => Some((self.word(self.after(next?))?.to_owned(), false)),
            "const" | "static" => {
                let is_parameter = self.is(before, "<") || self.is(before, ",");
                let is_named = self.is(self.after(next?), ":") && !is_parameter;
                Some((name.filter(|_| is_named)?.to_owned(), true))
            }
            "impl" => {
                let is_item = before.is_none_or(|before| {
                    [";", "}", "{", "]", "unsafe", "default"]
                        .iter()
                        .any(|word| self.tokens[before].is(word))
                });
                is_item.then(|| (self.impl_name(at), false))
            }
            _ => None,
        }
    }

    /// `Type`, or `<Type as Trait>`.
    fn impl_name(&self, at: usize) -> String {
        let mut at = at + 1;
        if self.is(Some(at), "<") {
            at = self.angle_end(at) + 1;
        }
        let (mut parts, mut depth) = (vec![String::new()], 0_i32);
        while let Some(token) = self.tokens.get(at) {
            let is_arrow = token.is(">") && self.is(at.checked_sub(1), "-");
            depth += i32::from(token.is("<")) - i32::from(token.is(">") && !is_arrow);
            match token.text {
                "{" | ";" | "where" if depth == 0 => break,
                // `for<'a>` begins a type.
                "for" if depth == 0 && !self.is(Some(at + 1), "<") => parts.push(String::new()),
                _ if token.kind == Kind::Comment => {}
                text => {
                    if let Some(part) = parts.last_mut() {
                        let touches = |letter: char| letter.is_alphanumeric() || letter == '_';
                        if part.ends_with(touches) && text.starts_with(touches) {
                            part.push(' ');
                        }
                        part.push_str(text);
                    }
                }
            }
            at += 1;
        }
        match &parts[..] {
            [of] => of.clone(),
            [of, name, ..] => format!("<{name} as {of}>"),
            [] => String::new(),
        }
    }

    /// The `>` that closes this `<`.
    fn angle_end(&self, at: usize) -> usize {
        let mut depth = 0_i32;
        for end in at..self.tokens.len() {
            let is_arrow = end > 0 && self.tokens[end - 1].is("-");
            depth += i32::from(self.tokens[end].is("<"));
            depth -= i32::from(self.tokens[end].is(">") && !is_arrow);
            if depth == 0 {
                return end;
            }
        }
        at
    }

    /// Notes an item; what stands before its keyword belongs to it already.
    fn add_item(&mut self, at: usize, parent: usize, name: &str) -> usize {
        let start = self.statement_start(at);
        let path = match &self.items[parent].path {
            above if above.is_empty() => name.to_owned(),
            above => format!("{above}::{name}"),
        };
        self.items.push(Item {
            path,
            start,
            is_test: self.items[parent].is_test || self.is_for_tests(start..at),
        });
        let item = self.items.len() - 1;
        self.item_of[start..=at].fill(item);
        item
    }

    /// Whether attributes among these tokens are `#[test]` or a `cfg` that
    /// only tests fulfil.
    fn is_for_tests(&self, range: Range<usize>) -> bool {
        range.clone().any(|at| {
            let is_attribute = self.tokens[at].is("#") && self.is(Some(at + 1), "[");
            if !is_attribute {
                return false;
            }
            let inside: Vec<&str> = self.tokens[at + 2..self.partner[at + 1]]
                .iter()
                .map(|token| token.text)
                .collect();
            match &inside[..] {
                ["test"] => true,
                ["cfg", "(", condition @ .., ")"] => needs_test(condition),
                _ => false,
            }
        })
    }

    /// The comments about a token, nearest first: those of its statement, of
    /// what the statement is in, and so on to its function's head.
    pub(super) fn comments_about(&self, at: usize) -> Vec<String> {
        let item = self.item_start(at);
        let mut found = Vec::new();
        let mut inner = at;
        loop {
            let start = self.statement_start(inner).max(item);
            found.extend(self.comments(start..inner).into_iter().rev());
            // Out of the braces, if braces are before it.
            let Some(mut before) = start.checked_sub(1).filter(|_| start > item) else {
                return found;
            };
            // Statements that came before say nothing about this one.
            while !self.tokens[before].is("{") {
                let to = if self.tokens[before].is("}") {
                    self.partner[before]
                } else {
                    before
                };
                match to.checked_sub(1).filter(|to| *to >= item) {
                    Some(to) => before = to,
                    None => return found,
                }
            }
            inner = before;
        }
    }

    /// The comments among some tokens: lines that follow each other are one.
    /// Without their marks, on one line.
    pub(super) fn comments(&self, range: Range<usize>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut last: Option<(usize, bool)> = None;
        for at in range {
            let token = &self.tokens[at];
            if token.kind != Kind::Comment {
                continue;
            }
            let is_doc = token.text.starts_with("///");
            let text = token.text.trim_start_matches(['/', '*', '!']);
            let text = text.trim_end_matches(['*', '/']).trim();
            match found.last_mut() {
                Some(found) if last == Some((at - 1, is_doc)) => {
                    // A heading is kept apart.
                    found.push(if text.starts_with('#') { '\n' } else { ' ' });
                    found.push_str(text);
                }
                _ => found.push(text.to_owned()),
            }
            last = Some((at, is_doc));
        }
        found
    }
}

/// For each bracket its partner; for other tokens, and brackets without one,
/// themselves.
fn partners(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut partner: Vec<usize> = (0..tokens.len()).collect();
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if ["(", "[", "{"].iter().any(|mark| token.is(mark)) {
            open.push(at);
        } else if [")", "]", "}"].iter().any(|mark| token.is(mark))
            && let Some(begin) = open.pop()
        {
            partner[begin] = at;
            partner[at] = begin;
        }
    }
    partner
}

/// Whether a condition of `cfg` holds in tests alone.
fn needs_test(condition: &[&str]) -> bool {
    match condition {
        ["test"] => true,
        ["all", "(", parts @ .., ")"] => conditions(parts).into_iter().any(needs_test),
        ["any", "(", parts @ .., ")"] => conditions(parts).into_iter().all(needs_test),
        _ => false,
    }
}

/// The conditions between the commas.
fn conditions<'s, 'a>(parts: &'s [&'a str]) -> Vec<&'s [&'a str]> {
    let mut depth = 0_i32;
    let found = parts.split(|part| {
        depth += i32::from(*part == "(") - i32::from(*part == ")");
        *part == "," && depth == 0
    });
    found.filter(|condition| !condition.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of every word `here`, in order.
    fn items_of_here(text: &str) -> Vec<String> {
        let source = Source::new("a.rs", text, false);
        let here = (0..source.tokens.len()).filter(|&at| source.tokens[at].is("here"));
        here.map(|at| source.item(at).to_owned()).collect()
    }

    #[test]
    fn items_are_named_by_their_path() {
        let text = "
            here;
            const N: usize = { here };
            mod a {
                impl<T: Fn() -> u8, const N: usize> Show for B<T> where T: C { fn c() { here } }
                unsafe impl Sync for B<'static> { here }
                impl B { here; unsafe extern \"C\" fn d<F>(f: here) where F: Fn() { here } }
                fn e(f: impl Fn()) -> impl Fn() { { here } macro!{ here } here }
            }
            #[cfg(x)] struct S { here }
            thread_local! { static T: u8 = here; }
            fn f(f: unsafe fn(u8)); here
        ";
        let expected = [
            "",
            "N",
            "a::<B<T> as Show>::c",
            "a::<B<'static> as Sync>",
            "a::B",
            "a::B::d",
            "a::B::d",
            "a::e",
            "a::e",
            "a::e",
            "S",
            "T",
            "",
        ];
        assert_eq!(items_of_here(text), expected);
    }

    #[test]
    fn tests_are_told_from_the_rest() {
        let text = "
            fn a() { here }
            #[cfg(test)] mod tests { fn b() { here } }
            #[cfg(all(test, loom))] fn c() { here }
            #[cfg(not(test))] fn d() { here }
            #[cfg(any(test, fuzzing))] fn e() { here }
            #[test] fn f() { here }
            #[cfg(all(test, not(loom)))] mod g { here }
            #[cfg(all(not(test), loom))] mod h { here }
            #[cfg(any(all(loom, test), all(test, miri),))] mod i { here }
        ";
        let source = Source::new("a.rs", text, false);
        let here = (0..source.tokens.len()).filter(|&at| source.tokens[at].is("here"));
        let is_test: Vec<bool> = here.map(|at| source.is_test(at)).collect();
        let expected = [false, true, true, false, false, true, true, false, true];
        assert_eq!(is_test, expected);
    }

    #[test]
    fn comments_are_those_of_the_statement_and_of_what_it_is_in() {
        let text = "
            // of another
            fn other() {}
            /// head
            fn f() {
                // no
                one();
                // two
                // and three
                two(|| {
                    // no
                    if x { y }
                    // near
                    z(here)
                });
            }
        ";
        let source = Source::new("a.rs", text, false);
        let here = (0..source.tokens.len()).find(|&at| source.tokens[at].is("here"));
        let about = source.comments_about(here.unwrap());
        assert_eq!(about, ["near", "two and three", "head"]);
    }

    #[test]
    fn modules_elsewhere_are_known() {
        let source = Source::new("a.rs", "mod a; #[cfg(test)] mod b; mod c {}", false);
        assert_eq!(
            source.modules().collect::<Vec<_>>(),
            [("a", false), ("b", true)]
        );
    }
}
