//! What adapters read from a request's headers, whatever they are made of.

use super::{API_KEY_HEADER, KEY_HEADER, PROJECT_HEADER, USER_HEADER};

/// The token in a value of `Authorization` (RFC 6750; the scheme in any case),
/// empty where none is behind the scheme; `None` for another scheme.
///
/// An empty token is as good as none. Of several headers none may be a
/// bearer's: one among them makes the token
/// [`Repeated`](crate::Credential::Repeated).
#[must_use]
pub fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let value = authorization.trim_ascii();
    let end = value.iter().position(|&b| b == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    scheme
        .eq_ignore_ascii_case(b"Bearer")
        .then(|| token.trim_ascii())
}

/// Whether a request's header must not come from the client to the service
/// behind: it reads as an identity header or as the `api-key`.
///
/// Many services cannot tell `x_tokenkit_key` from `x-tokenkit-key` (CGI, WSGI,
/// PHP and Rack turn both into `X_TOKENKIT_KEY`, some map other signs too). So
/// every spelling counts that has some sign where the name has a hyphen; of the
/// `api-key` too, which nobody looked at under such a name.
#[must_use]
pub fn is_reserved_header(name: &[u8]) -> bool {
    let reads_as = |reserved: &str| {
        name.len() == reserved.len()
            && reserved.bytes().zip(name).all(|(wanted, found)| {
                found.eq_ignore_ascii_case(&wanted)
                    || (wanted == b'-' && !found.is_ascii_alphanumeric())
            })
    };
    [API_KEY_HEADER, KEY_HEADER, PROJECT_HEADER, USER_HEADER]
        .into_iter()
        .any(reads_as)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_stands_behind_its_scheme() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bEARER   abc ", Some("abc")),
            (" Bearer a b", Some("a b")),
            ("Bearer", Some("")),
            ("Bearer ", Some("")),
            ("Basic abc", None),
            ("Bearerabc", None),
            ("", None),
        ] {
            assert_eq!(bearer_token(value.as_bytes()), token.map(str::as_bytes));
        }
    }

    #[test]
    fn every_spelling_of_a_reserved_name_counts() {
        for name in [
            "api-key",
            "Api_Key",
            "x-tokenkit-key",
            "X_TOKENKIT.PROJECT",
            "x-tokenkit-user",
        ] {
            assert!(is_reserved_header(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "apikey",
            "api-keys",
            "apixkey",
            "x-tokenkit-keys",
            "host",
        ] {
            assert!(!is_reserved_header(name.as_bytes()), "{name}");
        }
    }
}
