//! A client of the admin API.

use std::net::SocketAddr;

use serde_json::Value;

use super::Server;
use super::http::{Answer, Client};

/// Whoever holds an admin token.
#[derive(Clone)]
pub(crate) struct Admin {
    address: SocketAddr,
    pub(crate) token: String,
}

impl Admin {
    /// With the token that a first start has shown.
    pub(crate) fn first(server: &Server) -> Self {
        let words = server
            .greeting
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let token = words.into_iter().find(|word| word.starts_with("tk_admin_"));
        Self::with(server, token.unwrap())
    }

    /// With a token.
    pub(crate) fn with(server: &Server, token: &str) -> Self {
        Self {
            address: server.admin,
            token: token.into(),
        }
    }

    /// A request with more headers, each ending in `\r\n`, and a body.
    pub(crate) fn ask(&self, line: &str, head: &str, body: &str) -> Answer {
        let head = format!("authorization: Bearer {}\r\n{head}", self.token);
        Client::connect(self.address).ask_as(&self.address.to_string(), line, &head, body)
    }

    /// A `GET`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// What a `GET` shows.
    pub(crate) fn see(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A request with a JSON body.
    pub(crate) fn send(&self, line: &str, head: &str, body: &Value) -> Answer {
        let head = format!("content-type: application/json\r\n{head}");
        self.ask(line, &head, &body.to_string())
    }

    /// What a `POST` has made.
    pub(crate) fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.send(&format!("POST {path}"), "", body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// A `POST` without a body, and what it leaves.
    pub(crate) fn act(&self, path: &str) -> Answer {
        self.ask(&format!("POST {path}"), "", "")
    }
}

impl Answer {
    /// The reason of a problem; its media type and members are checked.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let json = self.json();
        assert_eq!(json["status"], self.status);
        assert!(json["detail"].is_string() && json["title"].is_string());
        json["reason"].as_str().unwrap().to_owned()
    }

    /// Where the faults of a 422 lie.
    pub(crate) fn faults(&self) -> Vec<String> {
        assert_eq!(
            (self.status, self.problem().as_str()),
            (422, "invalid"),
            "{}",
            self.text()
        );
        let errors = self.json()["errors"].as_array().unwrap().clone();
        let place = |error: &Value| {
            let place = ["pointer", "parameter", "header"].map(|name| error[name].as_str());
            place.into_iter().flatten().next().unwrap().to_owned()
        };
        errors.iter().map(place).collect()
    }
}
