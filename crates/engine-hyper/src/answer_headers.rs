//! Writes what the engine renders into a header map, with few allocations:
//! constant values are shared, and those that most answers say alike are kept
//! from the last one.

use std::cell::RefCell;

use engine::wire::Wire;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The values of one [`Wire`] that are the same in every answer.
#[derive(Clone, Debug)]
pub(crate) struct Constants {
    /// A [`Wire`] has checked that it can stand in a header.
    challenge: Option<HeaderValue>,
    exposed: HeaderValue,
}

impl Constants {
    pub(crate) fn new(wire: &Wire) -> Self {
        Self {
            challenge: HeaderValue::from_str(wire.challenge()).ok(),
            exposed: HeaderValue::from_static(wire.exposed()),
        }
    }

    /// The constant that a name has in most answers.
    fn of(&self, name: &HeaderName) -> Option<HeaderValue> {
        match *name {
            header::VARY => Some(HeaderValue::from_static("Origin")),
            header::CACHE_CONTROL => Some(HeaderValue::from_static("no-store")),
            header::WWW_AUTHENTICATE => self.challenge.clone(),
            header::ACCESS_CONTROL_EXPOSE_HEADERS => Some(self.exposed.clone()),
            _ => None,
        }
    }
}

/// Puts one answer's headers into a map.
pub(crate) struct Writer<'a> {
    headers: &'a mut HeaderMap,
    constants: &'a Constants,
    origin: Option<&'a HeaderValue>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        headers: &'a mut HeaderMap,
        constants: &'a Constants,
        origin: Option<&'a HeaderValue>,
    ) -> Self {
        Self {
            headers,
            constants,
            origin,
        }
    }

    /// Puts a header. What a service behind said under the same name gives
    /// way, so that none stands twice; the two that are lists of names are
    /// joined to what it said.
    pub(crate) fn put(&mut self, name: &'static str, value: &[u8]) {
        let (name, alike) = known(name);
        let value = match alike {
            Some(alike) => alike.value(value),
            None => self.value(&name, value),
        };
        // The engine renders none that cannot stand in a header.
        let Some(value) = value else {
            return;
        };
        match name {
            header::VARY => {
                if !lists(self.headers, &name, value.as_bytes()) {
                    self.headers.append(name, value);
                }
            }
            header::ACCESS_CONTROL_EXPOSE_HEADERS => {
                self.headers.append(name, value);
            }
            name => {
                self.headers.insert(name, value);
            }
        }
    }

    fn value(&self, name: &HeaderName, value: &[u8]) -> Option<HeaderValue> {
        let same = |known: &HeaderValue| known.as_bytes() == value;
        let known = match *name {
            header::ACCESS_CONTROL_ALLOW_ORIGIN => self.origin.cloned(),
            _ => self.constants.of(name),
        };
        known
            .filter(same)
            .or_else(|| HeaderValue::from_bytes(value).ok())
    }
}

/// Values that are the same in most answers of a thread: there are few limits
/// and projects, and one end of the hour.
#[derive(Clone, Copy)]
pub(crate) enum Alike {
    Policy,
    Limit,
    Reset,
    Project,
}

thread_local! {
    /// The last of each. A thread's own, so that no count of users is written
    /// by two processors in turn.
    static LAST: RefCell<[Option<HeaderValue>; 4]> = const { RefCell::new([const { None }; 4]) };
}

impl Alike {
    /// A value, the last one if that is the same; `None` where the bytes
    /// cannot stand in a header.
    pub(crate) fn value(self, bytes: &[u8]) -> Option<HeaderValue> {
        LAST.with_borrow_mut(|last| {
            let last = &mut last[self as usize];
            if let Some(same) = last.as_ref().filter(|last| last.as_bytes() == bytes) {
                return Some(same.clone());
            }
            *last = HeaderValue::from_bytes(bytes).ok();
            last.clone()
        })
    }
}

/// Whether a header that is a list of names has one of them already, or `*`.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    let mut listed = headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','));
    listed.any(|other| {
        let other = other.trim_ascii();
        other == b"*" || other.eq_ignore_ascii_case(wanted)
    })
}

/// The typed form of a name, without parsing it, and whether most answers say
/// its value alike.
fn known(name: &'static str) -> (HeaderName, Option<Alike>) {
    macro_rules! own {
        ($($text:literal => $alike:expr,)+) => {
            match name {
                "vary" => (header::VARY, None),
                "cache-control" => (header::CACHE_CONTROL, None),
                "retry-after" => (header::RETRY_AFTER, None),
                "www-authenticate" => (header::WWW_AUTHENTICATE, None),
                "access-control-allow-origin" => (header::ACCESS_CONTROL_ALLOW_ORIGIN, None),
                "access-control-expose-headers" => (header::ACCESS_CONTROL_EXPOSE_HEADERS, None),
                $($text => (const { HeaderName::from_static($text) }, $alike),)+
                other => (HeaderName::from_static(other), None),
            }
        };
    }
    own!(
        "ratelimit" => None,
        "ratelimit-policy" => Some(Alike::Policy),
        "x-ratelimit-limit" => Some(Alike::Limit),
        "x-ratelimit-remaining" => None,
        "x-ratelimit-reset" => Some(Alike::Reset),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        before: &[(&'static str, &'static str)],
        name: &'static str,
        value: &str,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let constants = Constants::new(&Wire::default());
        Writer::new(&mut headers, &constants, None).put(name, value.as_bytes());
        headers
    }

    fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .map(|v| v.to_str().unwrap().into())
            .collect()
    }

    #[test]
    fn ours_takes_the_place_of_what_the_service_said() {
        let name = "access-control-allow-origin";
        let headers = written(&[(name, "*"), (name, "https://x.y")], name, "https://a.b");
        assert_eq!(lines(&headers, name), ["https://a.b"]);
    }

    #[test]
    fn lists_are_joined() {
        let said = |value| lines(&written(&[("vary", value)], "vary", "Origin"), "vary");
        assert_eq!(said("Accept"), ["Accept", "Origin"]);
        assert_eq!(said("Accept, origin"), ["Accept, origin"]);
        assert_eq!(said("*"), ["*"]);
        let name = "access-control-expose-headers";
        assert_eq!(
            lines(&written(&[(name, "etag")], name, "ratelimit"), name),
            ["etag", "ratelimit"]
        );
    }

    #[test]
    fn a_value_that_differs_from_the_constant_is_written_as_it_is() {
        let headers = written(&[], "cache-control", "private");
        assert_eq!(lines(&headers, "cache-control"), ["private"]);
    }

    #[test]
    fn values_alike_are_told_from_others() {
        for text in ["1000", "1000", "1001", "", "1000"] {
            assert_eq!(Alike::Limit.value(text.as_bytes()).unwrap(), text);
            assert_eq!(Alike::Reset.value(b"1000").unwrap(), "1000");
        }
        assert!(Alike::Limit.value(b"a\nb").is_none());
        assert_eq!(Alike::Limit.value(b"1000").unwrap(), "1000");
    }
}
