//! What is read from a request's headers, what of them is marked as sensitive,
//! and what is taken out of them before the service behind sees them.

use engine::Credential;
use engine::wire::{
    API_KEY_HEADER, KEY_HEADER, PROJECT_HEADER, USER_HEADER, bearer_token, is_reserved_header,
};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN};

/// The header in which a client sends its key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static(API_KEY_HEADER);
/// The key's id, for the service behind.
pub(crate) const KEY: HeaderName = HeaderName::from_static(KEY_HEADER);
/// The project, for the service behind.
pub(crate) const PROJECT: HeaderName = HeaderName::from_static(PROJECT_HEADER);
/// The user, for the service behind.
pub(crate) const USER: HeaderName = HeaderName::from_static(USER_HEADER);

/// What of a request's headers a decision rests on.
pub(crate) struct Sent<'a> {
    /// The `api-key` header.
    pub(crate) api_key: Credential<'a>,
    /// The token of `Authorization: Bearer` (RFC 6750; the scheme in any
    /// case). Another scheme, or no token behind it, is none; of several
    /// headers none may be a bearer's.
    pub(crate) bearer: Credential<'a>,
    /// The `Origin` header; one that is no origin where it was sent more than
    /// once.
    pub(crate) origin: Option<&'a HeaderValue>,
}

impl<'a> Sent<'a> {
    /// Reads all of it in one walk: each look-up by name would hash it, and
    /// most requests have fewer headers than there are names to look for.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut api_key = Credential::Absent;
        let mut origin = None;
        let mut token = None;
        let mut authorizations = 0;
        for (name, value) in headers {
            if *name == SENT_KEY {
                api_key = match api_key {
                    Credential::Absent => Credential::One(value.as_bytes()),
                    _ => Credential::Repeated,
                };
            } else if *name == AUTHORIZATION {
                token = bearer_token(value.as_bytes()).or(token);
                authorizations += 1;
            } else if *name == ORIGIN {
                origin = Some(origin.map_or(value, |_| &NO_ORIGIN));
            }
        }
        let bearer = match token {
            Some(_) if authorizations > 1 => Credential::Repeated,
            Some(token) if !token.is_empty() => Credential::One(token),
            _ => Credential::Absent,
        };
        Self {
            api_key,
            bearer,
            origin,
        }
    }

    /// Whether no key was sent: a header of nothing but blanks is none.
    #[inline]
    pub(crate) fn is_keyless(&self) -> bool {
        match self.api_key {
            Credential::Absent => true,
            Credential::One(key) => key.iter().all(|byte| matches!(byte, b' ' | b'\t')),
            Credential::Repeated => false,
        }
    }
}

/// [`API_KEY`], to compare with in place.
static SENT_KEY: HeaderName = API_KEY;

/// What stands for an origin that was sent more than once.
static NO_ORIGIN: HeaderValue = HeaderValue::from_static("");

/// Marks the secrets among a request's headers as sensitive: the key, in every
/// spelling that is read for it, and `Authorization`. No `Debug` of the headers
/// shows their values from then on, wherever it ends up, such as in the message
/// of a panic; nor does HTTP/2 keep them in a table where they are sent on. One
/// walk, which allocates nothing.
///
/// [`Gate::check`](crate::Gate::check) begins with it. Whoever goes by
/// [`Gate::decide`](crate::Gate::decide) does as well.
pub fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        // Identity that is forged is marked with them, before it is removed.
        if *name == AUTHORIZATION || is_reserved_header(name.as_str().as_bytes()) {
            value.set_sensitive(true);
        }
    }
}

/// Removes what a client must not tell the service behind: identity headers,
/// and, unless it is to be forwarded, the key.
/// In every spelling: see [`is_reserved_header`].
pub(crate) fn remove_forged(headers: &mut HeaderMap, forward_key: bool) {
    let forged = |name: &&HeaderName| {
        is_reserved_header(name.as_str().as_bytes()) && !(forward_key && **name == API_KEY)
    };
    // One spelling, the key's own, is there most times.
    let Some(first) = headers.keys().find(forged).cloned() else {
        return;
    };
    headers.remove(first);
    while let Some(next) = headers.keys().find(forged).cloned() {
        headers.remove(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn shown(credential: Credential<'_>) -> String {
        match credential {
            Credential::Absent => "absent".into(),
            Credential::One(value) => String::from_utf8(value.to_vec()).unwrap(),
            Credential::Repeated => "repeated".into(),
        }
    }

    #[test]
    fn two_keys_are_repeated_even_if_equal() {
        assert_eq!(shown(Sent::of(&headers(&[])).api_key), "absent");
        assert_eq!(shown(Sent::of(&headers(&[("Api-Key", "k")])).api_key), "k");
        assert_eq!(
            shown(Sent::of(&headers(&[("api-key", "k"), ("API-KEY", "k")])).api_key),
            "repeated"
        );
    }

    #[test]
    fn bearer_tokens_are_found() {
        let cases: [(&[&str], &str); 14] = [
            (&[], "absent"),
            (&["Bearer t"], "t"),
            (&["bEARER   t "], "t"),
            (&["Bearer a b"], "a b"),
            (&["Bearer"], "absent"),
            (&["Bearer  "], "absent"),
            (&["Bearert"], "absent"),
            (&["Basic t"], "absent"),
            (&["t"], "absent"),
            (&[""], "absent"),
            (&["Basic x", "Digest y"], "absent"),
            (&["Basic x", "Bearer t"], "repeated"),
            (&["Bearer t", "Basic x"], "repeated"),
            (&["Bearer t", "Bearer t"], "repeated"),
        ];
        for (values, expected) in cases {
            let pairs: Vec<_> = values
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            assert_eq!(
                shown(Sent::of(&headers(&pairs)).bearer),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn several_origins_are_none_that_could_be_listed() {
        assert_eq!(Sent::of(&headers(&[])).origin, None);
        assert_eq!(
            Sent::of(&headers(&[("origin", "https://a.b")]))
                .origin
                .unwrap(),
            "https://a.b"
        );
        let two = headers(&[("origin", "https://a.b"), ("origin", "https://a.b")]);
        assert_eq!(Sent::of(&two).origin.unwrap(), "");
    }

    #[test]
    fn the_secrets_are_marked_wherever_they_stand() {
        let secret = [
            ("api-key", "1"),
            ("Api-Key", "2"),
            ("api_key", "3"),
            ("api.key", "4"),
            ("authorization", "5"),
            ("Authorization", "6"),
        ];
        let others = [("accept", "7"), ("apikey", "8"), ("origin", "9")];
        let mut headers = headers(&[&secret[..], &others].concat());
        mark_sensitive(&mut headers);
        let mut values: Vec<_> = headers.values().map(|v| format!("{v:?}")).collect();
        values.sort();
        let marked = ["Sensitive"; 6];
        assert_eq!(
            values,
            [&[r#""7""#, r#""8""#, r#""9""#][..], &marked].concat()
        );
        // What they say stays as it is.
        assert_eq!(shown(Sent::of(&headers).api_key), "repeated");
    }

    #[test]
    fn forged_names_go_in_every_spelling() {
        let sent = [
            ("x-tokenkit-key", "1"),
            ("x-tokenkit-key", "2"),
            ("x_tokenkit_key", "3"),
            ("X-Tokenkit.Project", "4"),
            ("x_tokenkit-user", "5"),
            ("x~tokenkit'user", "6"),
            ("api-key", "7"),
            ("api_key", "8"),
            ("x-tokenkit-keys", "9"),
            ("xx-tokenkit-key", "10"),
            ("apiskey", "11"),
            ("accept", "12"),
        ];
        let left = |forward_key| {
            let mut headers = headers(&sent);
            remove_forged(&mut headers, forward_key);
            let mut left: Vec<_> = headers
                .values()
                .map(|v| v.to_str().unwrap().to_owned())
                .collect();
            left.sort_by_key(|value| value.parse::<u8>().unwrap());
            left
        };
        assert_eq!(left(false), ["9", "10", "11", "12"]);
        assert_eq!(left(true), ["7", "9", "10", "11", "12"]);
    }
}
