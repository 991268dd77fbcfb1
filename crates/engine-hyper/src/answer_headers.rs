//! Writes what the engine renders into a header map, with few allocations:
//! constant values are shared, those that most answers say alike are kept from
//! the last one, and all others lie in one buffer.

use std::cell::RefCell;

use bytes::BytesMut;
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
    values: Values,
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
            values: Values::default(),
        }
    }

    /// Puts a header. What a service behind said under the same name gives
    /// way, so that none stands twice; the two that are lists of names are
    /// joined to what it said.
    pub(crate) fn put(&mut self, name: &'static str, value: &[u8]) {
        let name = header_name(name);
        let Some(value) = self.value(&name, value) else {
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

    fn value(&mut self, name: &HeaderName, value: &[u8]) -> Option<HeaderValue> {
        let same = |known: &HeaderValue| known.as_bytes() == value;
        if *name == header::ACCESS_CONTROL_ALLOW_ORIGIN {
            if let Some(origin) = self.origin.filter(|origin| same(origin)) {
                return Some(origin.clone());
            }
        } else if let Some(constant) = self.constants.of(name).filter(same) {
            return Some(constant);
        }
        match Alike::of(name) {
            Some(alike) => alike.value(value),
            None => self.values.make(value),
        }
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
    /// What a name of the engine's rendering stands for.
    fn of(name: &HeaderName) -> Option<Self> {
        if *name == POLICY {
            Some(Self::Policy)
        } else if *name == LIMIT {
            Some(Self::Limit)
        } else if *name == RESET {
            Some(Self::Reset)
        } else {
            None
        }
    }

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

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Makes header values that share one buffer.
#[derive(Default)]
pub(crate) struct Values(BytesMut);

impl Values {
    /// A value; `None` where the bytes cannot stand in a header, of which the
    /// engine renders none.
    pub(crate) fn make(&mut self, value: &[u8]) -> Option<HeaderValue> {
        if self.0.capacity() < value.len() {
            self.0.reserve(value.len().max(ROOM));
        }
        self.0.extend_from_slice(value);
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }
}

/// Holds the values of a budget that differ from answer to answer, or those of
/// an identity.
const ROOM: usize = 96;

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

/// The typed form of a name, without parsing it.
fn header_name(name: &'static str) -> HeaderName {
    macro_rules! own {
        ($($text:literal),+) => {
            match name {
                "vary" => header::VARY,
                "cache-control" => header::CACHE_CONTROL,
                "retry-after" => header::RETRY_AFTER,
                "www-authenticate" => header::WWW_AUTHENTICATE,
                "access-control-allow-origin" => header::ACCESS_CONTROL_ALLOW_ORIGIN,
                "access-control-expose-headers" => header::ACCESS_CONTROL_EXPOSE_HEADERS,
                $($text => const { HeaderName::from_static($text) },)+
                other => HeaderName::from_static(other),
            }
        };
    }
    own!(
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset"
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

    #[test]
    fn values_outlive_their_buffer() {
        let mut values = Values::default();
        let long = vec![b'x'; 3 * ROOM];
        let made: Vec<_> = [b"a", &long[..], b"b"]
            .map(|value| values.make(value).unwrap())
            .into();
        drop(values);
        assert_eq!(made[0], "a");
        assert_eq!(made[1].as_bytes(), long);
        assert_eq!(made[2], "b");
        assert!(Values::default().make(b"a\nb").is_none());
    }
}
