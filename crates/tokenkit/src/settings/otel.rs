//! Where spans are sent, and how many.

use std::fmt;
use std::str::FromStr;

use http::uri::{PathAndQuery, Scheme, Uri};

/// A collector that takes OTLP over HTTP: `http://host:port`, and a path below
/// which it does, if not the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector(Uri);

impl Collector {
    /// Where it takes spans.
    pub(crate) fn traces(&self) -> Uri {
        let mut parts = self.0.clone().into_parts();
        let below = self.0.path().trim_end_matches('/');
        parts.path_and_query = PathAndQuery::try_from(format!("{below}/v1/traces")).ok();
        // It stays a URI with all its parts.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "http://host:port is wanted, /v1/traces is added to it";
        let uri: Uri = text.parse().map_err(|_| format!("no URL: {WANTED}"))?;
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err(format!(
                "TLS to the collector is not spoken: {WANTED}; let one beside it pass the spans on"
            ));
        }
        let authority = uri.authority().ok_or(WANTED)?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP)
            && !authority.host().is_empty()
            && !authority.as_str().contains('@')
            && uri.query().is_none();
        is_plain.then_some(Self(uri)).ok_or_else(|| WANTED.into())
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio(f64);

impl Ratio {
    /// Whether a draw of 63 random bits is among so many.
    pub(crate) fn takes(self, draw: u64) -> bool {
        // Rounding takes the greatest of them for all.
        self.0 >= 1.0 || (draw as f64) < self.0 * (1_u64 << 63) as f64
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self(1.0)
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
        number
            .map(Self)
            .ok_or_else(|| "a number from 0 to 1 is wanted, such as 0.1".into())
    }
}

impl fmt::Display for Ratio {
    /// With a point, as TOML wants it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_below_the_path_of_the_collector() {
        for (given, target) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://[::1]:4318/otlp", "http://[::1]:4318/otlp/v1/traces"),
        ] {
            let collector: Collector = given.parse().unwrap();
            assert_eq!(collector.traces().to_string(), target);
        }
        for given in [
            "localhost:4318",
            "https://localhost:4318",
            "http://u:p@localhost",
            "http://localhost/?a=b",
            "",
        ] {
            let error = given.parse::<Collector>().unwrap_err();
            assert!(error.contains("http://host:port is wanted"), "{error}");
        }
    }

    #[test]
    fn a_ratio_takes_its_share() {
        let ratio = |text: &str| text.parse::<Ratio>();
        let most = u64::MAX >> 1;
        for draw in [0, 1, most / 2, most] {
            assert!(ratio("1").unwrap().takes(draw));
            assert!(!ratio("0").unwrap().takes(draw));
        }
        let tenth = ratio("0.1").unwrap();
        assert!(tenth.takes(most / 11) && !tenth.takes(most / 9));
        for wrong in ["-0.1", "1.1", "nan", "half", ""] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ratio("1").unwrap().to_string(), "1.0");
    }
}
