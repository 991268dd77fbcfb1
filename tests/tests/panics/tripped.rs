//! Secrets, and what panics over what they went into have said.

use std::fmt::{Debug, Display};

use engine::{KeyDigest, KeyPolicy, Prefix, SecretKey, ServerSecret, SessionRecord, SessionToken};
use store::{Label, Scope, StoredKey, StoredSession, StoredToken};
use tests::canaries::Canaries;
use tests::panics::{heard, over, over_two};
use tests::public_types::public_types;

use crate::NOW;

/// Secrets, and what is looked for of them.
pub(crate) struct Secrets {
    pub(crate) server: ServerSecret,
    pub(crate) prefix: Prefix,
    pub(crate) key: SecretKey,
    pub(crate) token: SessionToken,
    pub(crate) admin: SecretKey,
    pub(crate) canaries: Canaries,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let server = ServerSecret::generate().unwrap();
        let key = SecretKey::generate(&prefix).unwrap();
        let token = SessionToken::generate().unwrap();
        let admin = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
        let mut canaries = Canaries::of_short_pieces();
        canaries.add("the server secret", server.expose());
        canaries.key("the key", key.expose(), Some(&server));
        canaries.key("the admin token", admin.expose(), Some(&server));
        canaries.token("the token", token.expose(), Some(&server));
        Self {
            server,
            prefix,
            key,
            token,
            admin,
            canaries,
        }
    }

    pub(crate) fn key_digest(&self) -> KeyDigest {
        self.server.digest_key(self.key.expose().as_bytes())
    }

    pub(crate) fn stored_key(&self) -> StoredKey {
        let policy = KeyPolicy::new("p".parse().unwrap());
        let label = Label::default();
        StoredKey::of(&self.key, &self.server, self.prefix, policy, label, NOW)
    }

    pub(crate) fn stored_session(&self) -> StoredSession {
        let session = SessionRecord {
            project: "p".parse().unwrap(),
            user: "u".parse().unwrap(),
            expires_at: None,
        };
        StoredSession::of(&self.token, &self.server, session, NOW)
    }

    pub(crate) fn stored_token(&self) -> StoredToken {
        let label = Label::default();
        StoredToken::of(&self.admin, &self.server, label, Scope::Read, None, NOW)
    }

    /// Everything that could be given where something else was meant.
    pub(crate) fn texts(&self) -> [String; 4] {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            self.key.expose().into(),
            self.token.expose().into(),
            self.admin.expose().into(),
            hex(self.server.expose()),
        ]
    }
}

/// What was tripped over, and what may not be found in that.
pub(crate) struct Tripped<'s> {
    pub(crate) secrets: &'s Secrets,
    pub(crate) seen: Vec<&'static str>,
}

impl<'s> Tripped<'s> {
    pub(crate) fn new(secrets: &'s Secrets) -> Self {
        Self {
            secrets,
            seen: Vec::new(),
        }
    }

    pub(crate) fn said(&mut self, name: &'static str, said: &str) {
        let found = self.secrets.canaries.found_in_shown(said);
        assert_eq!(found, None, "{name} shows it: {said}");
        self.seen.push(name);
    }

    pub(crate) fn over(&mut self, name: &'static str, value: &dyn Debug) {
        self.said(name, &over(value));
    }

    pub(crate) fn over_two<T: Debug + PartialEq>(
        &mut self,
        name: &'static str,
        one: &T,
        other: &T,
    ) {
        self.over(name, one);
        self.said(name, &over_two(one, other));
    }

    pub(crate) fn over_error<E: Debug + Display>(&mut self, name: &'static str, error: &E) {
        self.over(name, error);
        self.said(name, &heard(|| panic!("{error}")).concat());
    }

    /// Fails if a public type of a crate was not thought of.
    pub(crate) fn all_of(&self, lib: &str, besides: &[&[&str]]) {
        let names = public_types(lib);
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let seen = self.seen.contains(&&*name) || besides.concat().contains(&&*name);
            assert!(seen, "what do panics over {name} say?");
        }
    }
}
