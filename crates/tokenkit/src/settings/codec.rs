//! From a value to a checked type and back, one codec for each kind of
//! setting. An error says what is wanted; who calls adds the setting, the
//! value and where it stands.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use engine::wire::Wire;
use engine::{CidrList, OriginList, Prefix, Prefixes};

use super::value::{Kind, SyntaxError, Value};
use super::values::HostName;

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Bad {
    /// The line of the part that is wrong; 0 where there is no file.
    pub(super) line: usize,
    /// The part that is wrong, as TOML.
    pub(super) given: String,
    /// What is wanted.
    pub(super) wanted: String,
}

impl Bad {
    pub(super) fn new(value: &Value, wanted: impl Display) -> Self {
        Self {
            line: value.line,
            given: value.to_string(),
            wanted: wanted.to_string(),
        }
    }
}

/// Between a value and a checked type.
pub(super) trait Codec {
    /// The checked type.
    type Checked;
    /// Checks a value.
    fn read(&self, value: &Value) -> Result<Self::Checked, Bad>;
    /// The value that stands for a checked one.
    fn show(&self, checked: &Self::Checked) -> Value;
    /// The value that the plain text of a flag or a variable stands for.
    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        Ok(Value::text(text))
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Codec for Flag {
    type Checked = bool;

    fn read(&self, value: &Value) -> Result<bool, Bad> {
        match value.kind {
            Kind::Flag(flag) => Ok(flag),
            _ => Err(Bad::new(value, "true or false is wanted")),
        }
    }

    fn show(&self, flag: &bool) -> Value {
        Kind::Flag(*flag).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        Ok(text
            .trim()
            .parse()
            .map_or_else(|_| Value::text(text), |flag| Kind::Flag(flag).into()))
    }
}

/// A whole number within a range; a multiple of `step`.
pub(super) struct Number {
    range: RangeInclusive<u32>,
    step: u32,
    what: &'static str,
}

/// Any number of the range.
pub(super) const fn number(range: RangeInclusive<u32>) -> Number {
    Number {
        range,
        step: 1,
        what: "a whole number",
    }
}

impl Number {
    /// Only multiples of `step`.
    pub(super) const fn multiple_of(mut self, step: u32) -> Self {
        self.step = step;
        self
    }
}

impl Codec for Number {
    type Checked = u32;

    fn read(&self, value: &Value) -> Result<u32, Bad> {
        let number = match value.kind {
            Kind::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        };
        number
            .filter(|number| self.range.contains(number) && number.is_multiple_of(self.step))
            .ok_or_else(|| {
                let multiple = match self.step {
                    1 => String::new(),
                    step => format!(", a multiple of {step},"),
                };
                let (least, most) = (self.range.start(), self.range.end());
                Bad::new(
                    value,
                    format_args!("{}{multiple} from {least} to {most} is wanted", self.what),
                )
            })
    }

    fn show(&self, number: &u32) -> Value {
        Kind::Integer((*number).into()).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        Ok(text
            .trim()
            .parse()
            .map_or_else(|_| Value::text(text), |number| Kind::Integer(number).into()))
    }
}

/// A number that is used as a count in memory.
pub(super) struct Count(pub(super) Number);

impl Codec for Count {
    type Checked = usize;

    fn read(&self, value: &Value) -> Result<usize, Bad> {
        usize::try_from(self.0.read(value)?).map_err(|error| Bad::new(value, error))
    }

    fn show(&self, count: &usize) -> Value {
        Kind::Integer(i64::try_from(*count).unwrap_or(i64::MAX)).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        self.0.of_text(text)
    }
}

/// A number of seconds.
pub(super) struct Seconds(Number);

/// Seconds within a range.
pub(super) const fn seconds(range: RangeInclusive<u32>) -> Seconds {
    Seconds(Number {
        range,
        step: 1,
        what: "a whole number of seconds",
    })
}

impl Codec for Seconds {
    type Checked = Duration;

    fn read(&self, value: &Value) -> Result<Duration, Bad> {
        self.0
            .read(value)
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn show(&self, duration: &Duration) -> Value {
        Kind::Integer(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        self.0.of_text(text)
    }
}

/// An address to listen at.
pub(super) struct Address;

impl Codec for Address {
    type Checked = SocketAddr;

    fn read(&self, value: &Value) -> Result<SocketAddr, Bad> {
        text(value)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                Bad::new(
                    value,
                    "an IP address and a port are wanted, such as 127.0.0.1:8080 or [::]:8080",
                )
            })
    }

    fn show(&self, address: &SocketAddr) -> Value {
        Value::text(&address.to_string())
    }
}

/// A text that a type's own parser checks.
pub(super) struct Parsed<T>(std::marker::PhantomData<T>);

/// A text of a type.
pub(super) const fn parsed<T>() -> Parsed<T> {
    Parsed(std::marker::PhantomData)
}

impl<T: FromStr<Err: Display> + Display> Codec for Parsed<T> {
    type Checked = T;

    fn read(&self, value: &Value) -> Result<T, Bad> {
        let text = text(value).ok_or_else(|| Bad::new(value, TEXT))?;
        text.parse().map_err(|error| Bad::new(value, error))
    }

    fn show(&self, checked: &T) -> Value {
        Value::text(&checked.to_string())
    }
}

/// A decimal number that a type's own parser checks.
pub(super) struct Decimal<T>(pub(super) Parsed<T>);

impl<T: FromStr<Err: Display> + Display> Codec for Decimal<T> {
    type Checked = T;

    fn read(&self, value: &Value) -> Result<T, Bad> {
        let written = match &value.kind {
            Kind::Other(written) | Kind::Text(written) => written.clone(),
            Kind::Integer(number) => number.to_string(),
            _ => String::new(),
        };
        written.parse().map_err(|error| Bad::new(value, error))
    }

    fn show(&self, checked: &T) -> Value {
        Kind::Other(checked.to_string()).into()
    }
}

/// What another codec reads, where an empty text is none.
pub(super) struct Optional<C>(pub(super) C);

impl<C: Codec> Codec for Optional<C> {
    type Checked = Option<C::Checked>;

    fn read(&self, value: &Value) -> Result<Option<C::Checked>, Bad> {
        match text(value) {
            Some("") => Ok(None),
            _ => self.0.read(value).map(Some),
        }
    }

    fn show(&self, checked: &Option<C::Checked>) -> Value {
        checked
            .as_ref()
            .map_or_else(|| Value::text(""), |checked| self.0.show(checked))
    }
}

/// A path.
pub(super) struct Path;

impl Codec for Path {
    type Checked = PathBuf;

    fn read(&self, value: &Value) -> Result<PathBuf, Bad> {
        match text(value) {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
            _ => Err(Bad::new(value, "the path of a file or folder is wanted")),
        }
    }

    fn show(&self, path: &PathBuf) -> Value {
        Value::text(&path.to_string_lossy())
    }
}

/// The realm of the challenge.
pub(super) struct Realm;

impl Codec for Realm {
    type Checked = String;

    fn read(&self, value: &Value) -> Result<String, Bad> {
        let realm = text(value).ok_or_else(|| Bad::new(value, TEXT))?;
        match Wire::new(realm, true) {
            Ok(_) => Ok(realm.into()),
            Err(error) => Err(Bad::new(value, error)),
        }
    }

    fn show(&self, realm: &String) -> Value {
        Value::text(realm)
    }
}

/// A list of texts that is checked as a whole.
pub(super) struct Texts<T> {
    pub(super) read: fn(&[&str]) -> Result<T, String>,
    pub(super) show: fn(&T) -> Vec<String>,
}

impl<T> Codec for Texts<T> {
    type Checked = T;

    fn read(&self, value: &Value) -> Result<T, Bad> {
        const WANTED: &str = "a list of texts is wanted, such as [\"one\", \"two\"]";
        let Kind::List(items) = &value.kind else {
            return Err(Bad::new(value, WANTED));
        };
        let texts: Option<Vec<&str>> = items.iter().map(text).collect();
        (self.read)(&texts.ok_or_else(|| Bad::new(value, WANTED))?)
            .map_err(|error| Bad::new(value, error))
    }

    fn show(&self, checked: &T) -> Value {
        Kind::List(
            (self.show)(checked)
                .iter()
                .map(|text| Value::text(text))
                .collect(),
        )
        .into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(Kind::List(items.map(Value::text).collect()).into())
    }
}

/// Address blocks.
pub(super) const CIDRS: Texts<CidrList> = Texts {
    read: |texts| CidrList::parse(texts).map_err(|error| error.to_string()),
    show: |list| list.iter().map(ToString::to_string).collect(),
};

/// Names of this machine.
pub(super) const HOSTS: Texts<Vec<HostName>> = Texts {
    read: |texts| texts.iter().map(|text| text.parse()).collect(),
    show: |list| list.iter().map(ToString::to_string).collect(),
};

/// Browser origins.
pub(super) const ORIGINS: Texts<OriginList> = Texts {
    read: |texts| OriginList::parse(texts).map_err(|error| error.to_string()),
    show: |list| list.iter().map(ToString::to_string).collect(),
};

/// Key prefixes.
pub(super) const PREFIXES: Texts<Prefixes> = Texts {
    read: |texts| {
        let list: Result<Vec<Prefix>, _> = texts.iter().map(|text| text.parse()).collect();
        list.and_then(Prefixes::new)
            .map_err(|error| error.to_string())
    },
    show: |list| list.iter().map(ToString::to_string).collect(),
};

/// What is wanted where a text stands not.
pub(super) const TEXT: &str = "a text in quotes is wanted";

/// The text of a value that is one.
pub(super) fn text(value: &Value) -> Option<&str> {
    match &value.kind {
        Kind::Text(text) => Some(text),
        _ => None,
    }
}
