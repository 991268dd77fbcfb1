//! The answer to a preflight: what a page at an origin may send.

use super::text::Text;
use super::{MAX_NUMBERS, Wire, echoed};

impl Wire {
    /// Hands `put` the headers of the 204 that answers a preflight: `OPTIONS`
    /// with `Origin` and `Access-Control-Request-Method`, whose values are
    /// `origin` and `method`. `listed` says whether the server's list or a live
    /// key lists the origin; `request_headers` is the value of
    /// `Access-Control-Request-Headers`.
    ///
    /// Of the names asked for, the first 128 are read and 2 KiB of them
    /// granted; what is no RFC 9110 token is left out.
    pub fn preflight(
        &self,
        listed: bool,
        origin: &[u8],
        method: &[u8],
        request_headers: Option<&[u8]>,
        max_age_s: u32,
        mut put: impl FnMut(&'static str, &[u8]),
    ) {
        put(
            "vary",
            b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        );
        let Some(origin) = echoed(listed, Some(origin)) else {
            return;
        };
        put("access-control-allow-origin", origin);
        if is_token(method) {
            put("access-control-allow-methods", method);
        }
        let mut names = Text::<MAX_NAMES_LEN>::new();
        grant_names(request_headers.unwrap_or_default(), &mut names);
        put("access-control-allow-headers", names.bytes());
        let mut age = Text::<MAX_NUMBERS>::new();
        put(
            "access-control-max-age",
            age.push_number(max_age_s.into()).bytes(),
        );
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let tchar = |&b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

/// Writes the names that a preflight grants: the two that carry credentials
/// (a wildcard would never cover `Authorization`), then those asked for, each
/// once. Bounded in time and space whatever is asked for.
fn grant_names(asked: &[u8], names: &mut Text<MAX_NAMES_LEN>) {
    names.push(b"api-key, authorization");
    for name in asked.split(|&b| b == b',').take(MAX_NAMES) {
        let name = name.trim_ascii();
        let mut granted = names.bytes().split(|&b| b == b',');
        if is_token(name)
            && !granted.any(|other| other.trim_ascii().eq_ignore_ascii_case(name))
            && names.room() >= b", ".len() + name.len()
        {
            names.push(b", ").push(name);
        }
    }
}

/// Names read from one `Access-Control-Request-Headers`.
const MAX_NAMES: usize = 128;
/// Room for the names that one preflight grants.
const MAX_NAMES_LEN: usize = 2048;
#[cfg(test)]
mod tests {
    use super::super::tests::{Headers, ORIGIN, collect, owned, wire};
    use super::*;

    fn preflight(listed: bool, origin: &[u8], method: &[u8], asked: Option<&[u8]>) -> Headers {
        collect(|put| wire(true).preflight(listed, origin, method, asked, 600, put))
    }

    #[test]
    fn a_listed_preflight_is_granted() {
        let asked = b"X-Trace, API-Key,content-type,, x-trace, b@d, a b, X-Last" as &[u8];
        let expected = owned(&[
            (
                "access-control-allow-headers",
                "api-key, authorization, X-Trace, content-type, X-Last",
            ),
            ("access-control-allow-methods", "PATCH"),
            ("access-control-allow-origin", "https://app.example.com"),
            ("access-control-max-age", "600"),
            (
                "vary",
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        ]);
        assert_eq!(preflight(true, ORIGIN, b"PATCH", Some(asked)), expected);
        assert_eq!(
            preflight(false, ORIGIN, b"PATCH", Some(asked)),
            expected[4..]
        );
        let bare = preflight(true, ORIGIN, b"GET\r\nx: y", None);
        assert_eq!(bare[0].1, "api-key, authorization");
        assert!(
            bare.iter()
                .all(|(name, _)| *name != "access-control-allow-methods")
        );
    }

    #[test]
    fn a_preflight_that_asks_for_much_is_granted_a_part() {
        let long = vec![b'a'; 3000];
        let many: Vec<u8> = (0..9000)
            .flat_map(|i| format!("h{i},").into_bytes())
            .collect();
        let asked = [&long[..], b",x-small,", &many].concat();
        let headers = preflight(true, ORIGIN, b"GET", Some(&asked));
        assert!(headers[0].1.len() <= MAX_NAMES_LEN);
        assert!(
            headers[0]
                .1
                .starts_with("api-key, authorization, x-small, h0, h1")
        );
        assert!(headers[0].1.ends_with("h125"));
    }
}
