//! The JSON of a trace file, member by member, as it stands in the file.
//!
//! Nothing is checked here but the shape: which members there are, which may
//! be left out, and what JSON type each has. What the values mean is checked
//! in `check`.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTrace {
    pub(crate) trace: u64,
    pub(crate) name: Option<String>,
    pub(crate) config: Option<Object<RawConfig>>,
    #[serde(default)]
    pub(crate) keys: Vec<Object<RawKey>>,
    #[serde(default)]
    pub(crate) sessions: Vec<Object<RawSession>>,
    pub(crate) steps: Vec<Object<RawStep>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    #[serde(default, deserialize_with = "present")]
    pub(crate) prefixes: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    pub(crate) failures: Option<Object<RawFailures>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFailures {
    #[serde(default, deserialize_with = "present")]
    pub(crate) threshold: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) window_s: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) block_s: Option<u32>,
    #[serde(default)]
    pub(crate) exempt: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKey {
    pub(crate) name: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) secret: String,
    pub(crate) hourly_limit: Option<u64>,
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    #[serde(default)]
    pub(crate) require_origin: bool,
    #[serde(default)]
    pub(crate) ips: Vec<String>,
    pub(crate) expires_at: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) state: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSession {
    pub(crate) token: String,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) expires_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStep {
    pub(crate) at: u64,
    pub(crate) request: Option<Object<RawRequest>>,
    pub(crate) expect: Option<Object<RawExpect>>,
    #[serde(rename = "do")]
    pub(crate) action: Option<Object<RawAction>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRequest {
    pub(crate) api_key: Option<String>,
    pub(crate) ip: String,
    pub(crate) origin: Option<String>,
    pub(crate) bearer: Option<String>,
    #[serde(default)]
    pub(crate) needs_user: bool,
    #[serde(default, deserialize_with = "present")]
    pub(crate) cost: Option<u64>,
}

/// The outer `Option` tells a member left out (not compared) from `null`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExpect {
    #[serde(default, deserialize_with = "present")]
    pub(crate) status: Option<u16>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) reason: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) key: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) user: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) limit: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) remaining: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) reset: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) retry_after: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) allow_origin: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAction {
    #[serde(default, deserialize_with = "present")]
    pub(crate) revoke: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) disable: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) enable: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) set_limit: Option<(String, Option<u64>)>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) add_key: Option<Object<RawKey>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) add_session: Option<Object<RawSession>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) end_session: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) unblock: Option<String>,
}

/// Reads a member that is there, so that `None` means it was left out and a
/// `null` is an error where `T` has none.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A JSON object and nothing else. What serde derives for a struct takes an
/// array of its members' values as well; a trace may not be written so.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer
            .deserialize_map(ObjectVisitor(PhantomData))
            .map(Object)
    }
}
