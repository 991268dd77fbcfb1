//! Web origins, compared as browsers serialise them.
//!
//! An origin is scheme, host and port (RFC 6454, section 6.2; the HTML
//! standard's "ASCII serialisation of an origin"). Scheme and host compare
//! ASCII case-insensitively; the default port of a scheme may be left out.

mod host_first;
mod sent;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use smallvec::SmallVec;

pub(crate) use host_first::HostFirst;
use sent::{Sent, default_port, is_ipv4, split};

/// One entry of a list of origins: `https://app.example.com`,
/// `https://*.example.com` (one or more labels in place of the `*`), with a
/// port where it is not the scheme's own, or `null`. A scheme has at most 32
/// bytes, a host 253.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OriginPattern(Form);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    Null,
    Tuple {
        scheme: Box<str>,
        /// Lower case; with `any_label` what follows the `*`, dot included.
        host: Box<str>,
        any_label: bool,
        /// 0 where the scheme has no port of its own and none was given.
        port: u16,
    },
}

/// Why a text is no [`OriginPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginError {
    /// Not `scheme://host` or `scheme://host:port`, nor `null`.
    Form(String),
    /// `*` alone, or elsewhere than as the whole first label.
    Wildcard(String),
    /// Something follows the host and port, such as a path.
    Trailing(String),
}

impl OriginPattern {
    /// Whether a sent origin is of this pattern.
    fn matches(&self, sent: Sent<'_>) -> bool {
        match (&self.0, sent) {
            (Form::Null, Sent::Null) => true,
            (
                Form::Tuple {
                    scheme,
                    host,
                    any_label,
                    port,
                },
                Sent::Tuple {
                    scheme: sent_scheme,
                    host: sent_host,
                    port: sent_port,
                },
            ) => {
                let host_matches = if *any_label {
                    sent_host
                        .len()
                        .checked_sub(host.len())
                        .filter(|labels| *labels > 0)
                        .is_some_and(|at| sent_host[at..].eq_ignore_ascii_case(host.as_bytes()))
                } else {
                    sent_host.eq_ignore_ascii_case(host.as_bytes())
                };
                *port == sent_port
                    && host_matches
                    && sent_scheme.eq_ignore_ascii_case(scheme.as_bytes())
            }
            _ => false,
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let form = || OriginError::Form(text.into());
        if text == "*" {
            return Err(OriginError::Wildcard(text.into()));
        }
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self(Form::Null));
        }
        let (scheme, authority) = text.split_once("://").ok_or_else(form)?;
        if authority.contains(['/', '?', '#', '@']) {
            return Err(OriginError::Trailing(text.into()));
        }
        let (any_label, rest) = match authority.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, authority),
        };
        if rest.contains('*') {
            return Err(OriginError::Wildcard(text.into()));
        }
        let plain = format!("{scheme}://{rest}").to_ascii_lowercase();
        let Some(Sent::Tuple { scheme, host, port }) = split(plain.as_bytes()) else {
            return Err(form());
        };
        // A wildcard over an address would match nothing that exists.
        if any_label && (host[0] == b'[' || is_ipv4(host)) {
            return Err(OriginError::Wildcard(text.into()));
        }
        let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let host = as_serialised(lower(host));
        Ok(Self(Form::Tuple {
            scheme: lower(scheme).into(),
            host: if any_label { format!(".{host}") } else { host }.into(),
            any_label,
            port,
        }))
    }
}

/// A host as browsers write it: an IPv6 address in its one shortest form, and
/// in hexadecimal throughout (the URL standard's "IPv6 serializer").
fn as_serialised(host: String) -> String {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let Some(ip) = inner.and_then(|ip| ip.parse::<Ipv6Addr>().ok()) else {
        return host;
    };
    match (ip.to_ipv4_mapped(), ip.segments()) {
        // The one form that Rust shows with a dotted end.
        (Some(_), [.., high, low]) => format!("[::ffff:{high:x}:{low:x}]"),
        _ => format!("[{ip}]"),
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Null => f.write_str("null"),
            Form::Tuple {
                scheme,
                host,
                any_label,
                port,
            } => {
                let star = if *any_label { "*" } else { "" };
                write!(f, "{scheme}://{star}{host}")?;
                if *port == default_port(scheme.as_bytes()) {
                    Ok(())
                } else {
                    write!(f, ":{port}")
                }
            }
        }
    }
}

impl fmt::Debug for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "{text:?} is no origin: write https://app.example.com, https://*.example.com, \
                 http://localhost:3000 or null (names outside ASCII in their xn-- form)"
            ),
            Self::Wildcard(text) => write!(
                f,
                "{text:?} is no origin: a * stands for the first labels of a host name, as in \
                 https://*.example.com; to take every origin leave the list empty"
            ),
            Self::Trailing(text) => write!(
                f,
                "{text:?} is no origin: it ends with the host or port, without a path or a final /"
            ),
        }
    }
}

impl std::error::Error for OriginError {}

/// A list of origins. One stays inline.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OriginList(SmallVec<[OriginPattern; 1]>);

impl OriginList {
    /// Reads a list of texts.
    ///
    /// # Errors
    ///
    /// That of the first text that is no origin.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        texts
            .into_iter()
            .map(|text| text.as_ref().parse())
            .collect()
    }

    /// Whether the list names an `Origin` header's value. Linear in the list;
    /// false for what is no origin.
    #[must_use]
    pub fn lists(&self, origin: &[u8]) -> bool {
        // Most lists are empty: spare them the parsing.
        !self.is_empty()
            && split(origin).is_some_and(|sent| self.0.iter().any(|entry| entry.matches(sent)))
    }

    /// Whether the list names no origin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &OriginPattern> {
        self.0.iter()
    }
}

impl FromIterator<OriginPattern> for OriginList {
    fn from_iter<I: IntoIterator<Item = OriginPattern>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl fmt::Debug for OriginList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_as_browsers_write_them() {
        let cases = [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "HTTPS://APP.example.com", true),
            (
                "https://APP.example.com:443",
                "https://app.example.com",
                true,
            ),
            (
                "https://app.example.com",
                "https://app.example.com:443",
                true,
            ),
            (
                "https://app.example.com",
                "https://app.example.com:0443",
                false,
            ),
            ("https://app.example.com", "https://app.example.com:", false),
            (
                "https://app.example.com",
                "https://app.example.com:8443",
                false,
            ),
            ("https://app.example.com", "http://app.example.com", false),
            (
                "https://app.example.com",
                "http://app.example.com:443",
                false,
            ),
            ("https://app.example.com", "https://app.example.com.", false),
            ("https://app.example.com", "https://app.example.com/", false),
            (
                "https://app.example.com",
                "https://app.example.com.evil.test",
                false,
            ),
            (
                "https://app.example.com",
                "https://u@app.example.com",
                false,
            ),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:3000", "http://localhost", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.EXAMPLE.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "https://a..example.com", false),
            ("https://*.example.com", "https://evil-example.com", false),
            ("https://*.example.com", "https://a.example.com:8443", false),
            (
                "https://*.example.com:8443",
                "https://a.example.com:8443",
                true,
            ),
            ("null", "null", true),
            ("null", "NULL", false),
            ("null", "https://null", false),
            ("https://null", "null", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("http://[::1]:3000", "http://[::2]:3000", false),
            (
                "chrome-extension://abcdef",
                "chrome-extension://abcdef",
                true,
            ),
            (
                "chrome-extension://abcdef",
                "chrome-extension://abcdef:1",
                false,
            ),
        ];
        for (entry, sent, expected) in cases {
            let list = OriginList::parse([entry]).unwrap();
            assert_eq!(list.lists(sent.as_bytes()), expected, "{entry} {sent}");
        }
    }

    #[test]
    fn garbage_matches_nothing() {
        let list = OriginList::parse(["null", "https://*.a.b", "http://[::1]"]).unwrap();
        for sent in [
            "",
            "x",
            ":",
            "://",
            "https://",
            "https:// a.b",
            "http://[::1",
            "http://[",
            "null ",
        ] {
            assert!(!list.lists(sent.as_bytes()), "{sent}");
        }
        assert!(!list.lists(b"https://\xff.a.b"));
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in [
            "",
            "x",
            "https://",
            "app.example.com",
            "https://a:0",
            "https://é.test",
            "://a",
        ] {
            let error = bad.parse::<OriginPattern>().unwrap_err();
            assert_eq!(error, OriginError::Form(bad.into()));
        }
        for bad in [
            "*",
            "https://*",
            "https://a.*.b",
            "https://*a.b",
            "https://*.*.b",
            "http://*.1.2.3.4",
        ] {
            let error = bad.parse::<OriginPattern>().unwrap_err();
            assert_eq!(error, OriginError::Wildcard(bad.into()));
        }
        for bad in [
            "https://a.b/",
            "https://a.b/c",
            "https://u@a.b",
            "https://a?b",
        ] {
            let error = bad.parse::<OriginPattern>().unwrap_err();
            assert_eq!(error, OriginError::Trailing(bad.into()));
        }
    }

    #[test]
    fn an_entry_is_shown_in_its_normal_form() {
        for (given, shown) in [
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("https://*.Example.com:8443", "https://*.example.com:8443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0::0:1]:80", "http://[::1]"),
            ("https://[2001:DB8:0::0a]", "https://[2001:db8::a]"),
            ("https://[1:0:0:2::3]", "https://[1:0:0:2::3]"),
            ("https://[::ffff:192.0.2.1]", "https://[::ffff:c000:201]"),
            ("https://[::192.0.2.1]", "https://[::c000:201]"),
            ("Null", "null"),
        ] {
            let entry: OriginPattern = given.parse().unwrap();
            assert_eq!(entry.to_string(), shown);
            assert_eq!(shown.parse::<OriginPattern>().unwrap(), entry);
        }
    }
}
