//! The settings' own types: checked when they are read, so that whoever uses
//! them need not check again.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Method;
use http::uri::{Authority, Scheme, Uri};

/// The service behind: `http://host:port`, nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream(Authority);

impl Upstream {
    /// Host and port, for the request's target and `Host` header.
    pub(crate) fn authority(&self) -> &Authority {
        &self.0
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "http://host:port is wanted";
        let uri: Uri = text.parse().map_err(|_| format!("no URL: {WANTED}"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(format!(
                    "TLS to the upstream is not spoken: {WANTED}; let a proxy beside it add the TLS"
                ));
            }
            Some(scheme) => return Err(format!("the scheme {scheme} is not spoken: {WANTED}")),
            None => return Err(format!("the scheme is missing: {WANTED}")),
        }
        if uri.path() != "/" || uri.query().is_some() || text.ends_with('/') || text.contains('#') {
            return Err(format!(
                "a request's own path is forwarded as it is, so that the upstream takes none: {WANTED}"
            ));
        }
        let authority = uri.into_parts().authority.ok_or(WANTED)?;
        if authority.as_str().contains('@') {
            return Err(format!("a user or password is not sent: {WANTED}"));
        }
        if authority.host().is_empty() {
            return Err(format!("the host is missing: {WANTED}"));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(format!("the port is no number from 1 to 65535: {WANTED}"));
        }
        Ok(Self(authority))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// A name or address, without a port, by which this machine may be called;
/// in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl HostName {
    /// The name, an IPv6 address in brackets.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text.parse::<Authority>().ok().filter(|authority| {
            // Neither a user nor a port stands beside it.
            authority.host() == text && !text.is_empty() && !text.contains('*')
        });
        authority
            .map(|_| Self(text.to_ascii_lowercase()))
            .ok_or_else(|| {
                format!("{text:?} is no host: a name such as admin.example.com is wanted, without scheme and port")
            })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of `[[routes]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The methods that it is about; empty is any.
    pub(crate) methods: Vec<Method>,
    /// A path pattern, such as `/v1/**`.
    pub(crate) path: String,
    /// Whether a request needs a user's bearer token.
    pub(crate) needs_user: bool,
    /// The units that a request costs.
    pub(crate) cost: u32,
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The words, in the order of the variants.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("one of {} is wanted", Self::WORDS.join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Where hours and failures are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LedgerPlace {
    /// A file beside the store, and of its name.
    #[default]
    BesideStore,
    /// Memory of the server's own.
    Memory,
    /// A file.
    File(PathBuf),
}

impl LedgerPlace {
    /// The word for memory.
    const MEMORY: &str = "none";
}

impl FromStr for LedgerPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::BesideStore),
            Self::MEMORY => Ok(Self::Memory),
            text if text.contains('\0') => Err("the path of a file, or none, is wanted".into()),
            text => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BesideStore => Ok(()),
            Self::Memory => f.write_str(Self::MEMORY),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

words! {
    /// The header in which trusted proxies name their peer.
    ForwardedHeader {
        /// `X-Forwarded-For`.
        #[default]
        XForwardedFor = "x-forwarded-for",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

words! {
    /// The least that is logged.
    LogLevel {
        /// What keeps the server from its work.
        Error = "error",
        /// What somebody should look at.
        Warn = "warn",
        /// What an operator wants to know.
        #[default]
        Info = "info",
        /// What helps to find a fault.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        #[default]
        Text = "text",
        /// One JSON object each, for programs.
        Json = "json",
    }
}
