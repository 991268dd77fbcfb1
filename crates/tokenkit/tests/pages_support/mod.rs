//! Somebody at the pages: their cookie, their forms, and what they are shown.

// Each test file uses a part of this.
#![allow(dead_code)]

use super::serve_support::Server;
use super::serve_support::http::{Answer, Client};

/// Somebody who is signed in, or not.
pub(crate) struct Visitor<'s> {
    pub(crate) server: &'s Server,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

/// The admin token of a first start.
pub(crate) fn first_token(server: &Server) -> String {
    secret_in(&server.greeting, "tk_admin_")
}

/// The first word of a text that begins so.
pub(crate) fn secret_in(text: &str, beginning: &str) -> String {
    let at = text
        .find(beginning)
        .unwrap_or_else(|| panic!("no {beginning} in {text}"));
    let end = |byte: char| !byte.is_ascii_alphanumeric() && byte != '_';
    let word = &text[at..];
    let found = &word[..word.find(end).unwrap_or(word.len())];
    // Not the beginning alone, as in a hint.
    match found == beginning {
        true => secret_in(&word[beginning.len()..], beginning),
        false => found.to_owned(),
    }
}

/// The value of a hidden field of a page.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page
        .find(&start)
        .unwrap_or_else(|| panic!("no {name} in {page}"))
        + start.len();
    page[at..].split('"').next().unwrap().to_owned()
}

/// Fields as a form sends them.
pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl<'s> Visitor<'s> {
    /// Somebody who is not signed in.
    pub(crate) fn stranger(server: &'s Server) -> Self {
        Self {
            server,
            cookie: String::new(),
            csrf: String::new(),
        }
    }

    /// Somebody who signed in with the first token.
    pub(crate) fn first(server: &'s Server) -> Self {
        Self::with(server, &first_token(server))
    }

    /// Somebody who signed in with a token.
    pub(crate) fn with(server: &'s Server, token: &str) -> Self {
        let mut visitor = Self::stranger(server);
        let answer = visitor.send("POST /sign-in", "", &encoded(&[("token", token)]));
        assert_eq!(answer.status, 303, "{}", answer.text());
        let cookie = answer
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        visitor.cookie = cookie.to_owned();
        visitor.csrf = hidden(&visitor.page("/keys"), "csrf");
        visitor
    }

    /// One request as a browser sends it, with more of a head.
    pub(crate) fn send(&self, line: &str, head: &str, body: &str) -> Answer {
        let cookie = match self.cookie.as_str() {
            "" => String::new(),
            cookie => format!("cookie: {cookie}\r\n"),
        };
        let media_type = match line.starts_with("POST") {
            true => "content-type: application/x-www-form-urlencoded\r\n",
            false => "",
        };
        let head = format!("accept: text/html,*/*;q=0.8\r\n{cookie}{media_type}{head}");
        let host = self.server.admin.to_string();
        Client::connect(self.server.admin).ask_as(&host, line, &head, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", "")
    }

    /// The text of a page that is there.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// Sends a form of theirs.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("csrf", self.csrf.as_str())], fields].concat();
        self.send(&format!("POST {path}"), "", &encoded(&fields))
    }

    /// Makes a key with some fields; its whole value, and its id.
    pub(crate) fn key(&self, fields: &[(&str, &str)]) -> (String, String) {
        let once = hidden(&self.page("/keys/new"), "once");
        let usual = [
            ("once", once.as_str()),
            ("project", "shop"),
            ("limited", "no"),
        ];
        let given = |name: &str| fields.iter().any(|(found, _)| *found == name);
        let usual = usual.iter().filter(|(name, _)| !given(name)).copied();
        let all: Vec<(&str, &str)> = usual.chain(fields.iter().copied()).collect();
        let answer = self.post("/keys", &all);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = secret_in(&answer.text(), "tk_live_");
        let id = key["tk_live_".len()..][..10].to_owned();
        (key, id)
    }
}
