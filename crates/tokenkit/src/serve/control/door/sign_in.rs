//! Who is signed in to the pages: a bounded table in memory, by the digest of
//! the cookie that the browser keeps.
//!
//! A restart signs everybody out. So does the end of the token by which
//! somebody signed in, which the door looks after.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::{KeyId, ServerSecret, SessionToken, TokenDigest};
use http::HeaderMap;
use http::header::COOKIE as COOKIE_HEADER;

use super::Admin;
use crate::serve::control::problem::Problem;
use crate::serve::door::is_hidden;
use crate::settings;

/// The cookie's name. Where only TLS carries it, its name says so, which binds
/// browsers to that.
const COOKIE: &str = "tokenkit_admin";
const SECURE_COOKIE: &str = "__Host-tokenkit_admin";
/// A browser sends them to every port of the host: they are for nobody else.
pub(crate) const COOKIES: [&str; 2] = [COOKIE, SECURE_COOKIE];

/// Seconds without a request after which somebody has to sign in again.
const IDLE_S: u64 = 1800;
/// How many may be signed in at a time; of these, by one token.
const MAX_VISITS: usize = 1024;
const MAX_VISITS_OF_ONE: usize = 32;

/// Whoever is signed in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) admin: Admin,
    csrf: String,
}

impl Visit {
    pub(super) fn new(admin: Admin, csrf: String) -> Self {
        Self { admin, csrf }
    }

    /// The word that every form of this visitor carries, and no other page can
    /// know.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Visit({:?})", self.admin)
    }
}

/// What is kept of one.
struct Entry {
    token: KeyId,
    csrf: SessionToken,
    until: u64,
    seen: u64,
}

impl Entry {
    fn is_live(&self, now: u64) -> bool {
        now < self.until && now < self.seen.saturating_add(IDLE_S)
    }
}

/// All who are signed in.
pub(super) struct Visits {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
    session_s: u64,
    secure: bool,
}

impl Visits {
    pub(super) fn new(settings: &settings::Admin) -> Self {
        Self {
            entries: Mutex::default(),
            session_s: settings.session.as_secs(),
            secure: settings.secure_cookie,
        }
    }

    /// Lets somebody in; the value of `Set-Cookie`. Linear in those who are
    /// signed in.
    pub(super) fn begin(
        &self,
        admin: &Admin,
        secret: &ServerSecret,
        now: u64,
    ) -> Result<String, Problem> {
        let generate = || SessionToken::generate().map_err(Problem::internal);
        let (cookie, csrf) = (generate()?, generate()?);
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.is_live(now));
        while let Some(victim) = superfluous(&entries, admin.id) {
            entries.remove(&victim);
        }
        let entry = Entry {
            token: admin.id,
            csrf,
            until: now.saturating_add(self.session_s),
            seen: now,
        };
        entries.insert(
            place(secret.digest_token(cookie.expose().as_bytes())),
            entry,
        );
        Ok(self.set_cookie(cookie.expose(), self.session_s))
    }

    /// The token by which the sender of a cookie signed in, and the word of its
    /// forms.
    pub(super) fn find(
        &self,
        headers: &HeaderMap,
        secret: &ServerSecret,
        now: u64,
    ) -> Option<(KeyId, String)> {
        let at = self.place_of(headers, secret)?;
        let mut entries = self.entries();
        let entry = entries.get_mut(&at)?;
        if !entry.is_live(now) {
            entries.remove(&at);
            return None;
        }
        // A clock that steps back makes nobody stay longer.
        entry.seen = now.max(entry.seen);
        Some((entry.token, entry.csrf.expose().into()))
    }

    /// Shows somebody out; the value of `Set-Cookie`.
    pub(super) fn end(&self, headers: &HeaderMap, secret: &ServerSecret) -> String {
        if let Some(at) = self.place_of(headers, secret) {
            self.entries().remove(&at);
        }
        self.set_cookie("", 0)
    }

    /// Shows out all who signed in by a token.
    pub(super) fn end_all_of(&self, token: KeyId) {
        self.entries().retain(|_, entry| entry.token != token);
    }

    fn set_cookie(&self, value: &str, max_age_s: u64) -> String {
        let name = self.name();
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}")
    }

    fn name(&self) -> &'static str {
        if self.secure { SECURE_COOKIE } else { COOKIE }
    }

    /// Where the entry of the cookie lies that a request carries; nowhere,
    /// where it carries several.
    fn place_of(&self, headers: &HeaderMap, secret: &ServerSecret) -> Option<[u8; 32]> {
        debug_assert!(is_hidden(headers, COOKIE_HEADER.as_str()));
        let lines = headers.get_all(COOKIE_HEADER).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok());
        let mut values = pairs
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .map(|(_, value)| value);
        let value = values.next()?;
        match values.next() {
            Some(_) => None,
            None => Some(place(secret.digest_token(value.as_bytes()))),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        // Nothing that is done under the lock leaves it half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Found by a digest under a secret key: how long a look-up takes tells nothing
/// about any cookie.
fn place(digest: TokenDigest) -> [u8; 32] {
    *digest.as_bytes()
}

/// Who has to go before another may come in by a token: of those by the same
/// one, or else of all, whoever did nothing for longest.
fn superfluous(entries: &HashMap<[u8; 32], Entry>, token: KeyId) -> Option<[u8; 32]> {
    let own = entries.iter().filter(|(_, entry)| entry.token == token);
    let idlest = |entry: &(&[u8; 32], &Entry)| entry.1.seen;
    let found = if own.clone().count() >= MAX_VISITS_OF_ONE {
        own.min_by_key(idlest)
    } else if entries.len() >= MAX_VISITS {
        entries.iter().min_by_key(idlest)
    } else {
        None
    };
    found.map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use store::Scope;

    use super::*;

    #[test]
    fn no_panic_over_a_visit_shows_the_word_of_its_forms() {
        let csrf = SessionToken::generate().unwrap();
        let admin = Admin {
            id: "aaaaaaaaaa".parse().unwrap(),
            name: "a token".into(),
            scope: Scope::Read,
        };
        let mut canaries = ::tests::canaries::Canaries::of_short_pieces();
        canaries.add("the word", csrf.expose().as_bytes());
        let said = ::tests::panics::over(&Visit::new(admin, csrf.expose().into()));
        assert!(said.contains("a token"), "{said}");
        assert_eq!(canaries.found_in_shown(&said), None, "{said}");
    }
}
