//! `traceparent` (W3C Trace Context): where a request stands in a trace, as it is
//! taken over from the caller and told to the service behind.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A trace's number; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct TraceId(u128);

/// A span's number; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanId(u64);

/// A request's place in a trace: its own span and that of its caller.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Place {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) parent: Option<SpanId>,
    sampled: bool,
}

impl TraceId {
    /// That which a caller says, if it says one.
    pub(in crate::serve) fn said(headers: &HeaderMap) -> Option<Self> {
        Caller::of(headers).map(|caller| caller.trace)
    }

    /// The random bits by which samplers go: 63 of them.
    pub(super) fn low_bits(self) -> u64 {
        self.0 as u64 >> 1
    }
}

impl Place {
    /// The place of a request with such headers. `samples` says whether its
    /// trace is sampled, and is told what the caller says about that.
    pub(super) fn of(
        headers: &HeaderMap,
        samples: impl FnOnce(TraceId, Option<bool>) -> bool,
    ) -> Self {
        let caller = Caller::of(headers);
        let trace = match &caller {
            Some(caller) => caller.trace,
            None => TraceId(fastrand::u128(1..)),
        };
        Self {
            trace,
            span: SpanId(fastrand::u64(1..)),
            parent: caller.as_ref().map(|caller| caller.span),
            sampled: samples(trace, caller.map(|caller| caller.sampled)),
        }
    }

    /// Its trace.
    pub(in crate::serve) fn trace(&self) -> TraceId {
        self.trace
    }

    /// Whether a span is sent.
    pub(in crate::serve) fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Tells the service behind, whose caller we are. What else a caller said
    /// about a trace goes where that trace is not taken over.
    pub(in crate::serve) fn tell(&self, headers: &mut HeaderMap) {
        let flags = u8::from(self.sampled);
        let text = format!("00-{}-{}-{flags:02x}", self.trace, self.span);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(TRACEPARENT, value);
        }
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
    }
}

/// What a caller says.
struct Caller {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl Caller {
    /// Reads the header; one that stands twice, or is not of its form, is as
    /// none.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value)
    }

    fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace = hex(fields.next()?, 32)?;
        let span = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        // Later versions may say more, and begin like the first.
        let is_whole = version != 0 || fields.next().is_none();
        if version == 0xff || trace == 0 || span == 0 || !is_whole {
            return None;
        }
        Some(Self {
            trace: TraceId(trace),
            span: SpanId(u64::try_from(span).ok()?),
            sampled: flags & 1 == 1,
        })
    }
}

/// A number of so many digits, in small letters.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_the_caller_says_is_taken_over() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true)] {
            let headers = headers(&[&format!("00-{TRACE}-{SPAN}-{flags}")]);
            let place = Place::of(&headers, |trace, caller| {
                assert_eq!(trace.to_string(), TRACE);
                caller.unwrap()
            });
            assert_eq!(place.trace.to_string(), TRACE);
            assert_eq!(place.parent.unwrap().to_string(), SPAN);
            assert_ne!(place.span.to_string(), SPAN);
            assert_eq!(place.is_sampled(), sampled);
        }
        let later = headers(&[&format!("cc-{TRACE}-{SPAN}-01-what-comes")]);
        assert_eq!(TraceId::said(&later).unwrap().to_string(), TRACE);
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        let zero = "0".repeat(32);
        for value in [
            "",
            "00",
            &format!("00-{TRACE}-{SPAN}"),
            &format!("00-{TRACE}-{SPAN}-01-more"),
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("00-{zero}-{SPAN}-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-+7ad6b7169203331-01"),
        ] {
            let place = Place::of(&headers(&[value]), |_, caller| {
                assert_eq!(caller, None, "{value}");
                true
            });
            assert!(place.parent.is_none(), "{value}");
            assert_ne!(place.trace.to_string(), TRACE, "{value}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert!(TraceId::said(&headers(&[&good, &good])).is_none());
    }

    #[test]
    fn the_service_behind_is_told_our_span() {
        let mut told = headers(&[&format!("00-{TRACE}-{SPAN}-00")]);
        told.insert(TRACESTATE, "a=b".parse().unwrap());
        let place = Place::of(&told, |_, _| true);
        place.tell(&mut told);
        let expected = format!("00-{TRACE}-{}-01", place.span);
        assert_eq!(told[TRACEPARENT], expected);
        assert_eq!(told[TRACESTATE], "a=b");
        // Of a trace that is not taken over nothing stays.
        let mut other = headers(&["junk"]);
        other.insert(TRACESTATE, "a=b".parse().unwrap());
        Place::of(&other, |_, _| true).tell(&mut other);
        assert!(!other.contains_key(TRACESTATE));
    }
}
