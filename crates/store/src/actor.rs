//! Who makes a change.

use std::fmt;

use engine::KeyId;

/// The longest user name that is kept, in characters.
const MAX_USER: usize = 64;

/// Who makes a change, as the audit log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(Box<str>);

impl Actor {
    /// A user of this machine, at the command line. What could not be shown is
    /// shown as `?`.
    #[must_use]
    pub fn cli(user: &str) -> Self {
        let shown = user.chars().take(MAX_USER);
        let shown: String = shown
            .map(|char| if char.is_control() { '?' } else { char })
            .collect();
        Self(format!("cli:{shown}").into())
    }

    /// A program that showed an admin token.
    #[must_use]
    pub fn token(id: KeyId) -> Self {
        Self(format!("token:{id}").into())
    }

    /// Somebody at the page who signed in with an admin token.
    #[must_use]
    pub fn page(id: KeyId) -> Self {
        Self(format!("page:{id}").into())
    }

    /// tokenkit itself, such as at its first start.
    #[must_use]
    pub fn system() -> Self {
        Self("system".into())
    }

    /// The actor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_one_printable_line() {
        let id = "0123456789".parse().unwrap();
        assert_eq!(Actor::cli("root").as_str(), "cli:root");
        assert_eq!(Actor::cli("a\nb\u{1b}").as_str(), "cli:a?b?");
        assert_eq!(Actor::cli(&"é".repeat(99)).as_str().chars().count(), 68);
        assert_eq!(Actor::token(id).to_string(), "token:0123456789");
        assert_eq!(Actor::page(id).as_str(), "page:0123456789");
        assert_eq!(Actor::system().as_str(), "system");
    }
}
