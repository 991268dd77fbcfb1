//! Times as people write them, and as they read them.

use jiff::civil::DateTime;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// The last second that the calendar has, 26 hours before the year 9999 ends: a
/// later one is milliseconds by mistake.
pub(crate) const LAST: u64 = 253_402_207_200;

/// Reads a time: unix seconds (`1790000000`), RFC 3339
/// (`2026-12-31T00:00:00Z`), or a span from `now` on (`30d`, `12h`, `1d12h`).
/// A day is 24 hours.
///
/// # Errors
///
/// What is wanted, where the text is none of these.
pub(crate) fn parse_when(text: &str, now: u64) -> Result<u64, String> {
    parse(text, "a span from now", |span| now.saturating_add(span))
}

/// The same, where a span lies before `now`: `7d` is seven days ago.
///
/// # Errors
///
/// As those of [`parse_when`].
pub(crate) fn parse_ago(text: &str, now: u64) -> Result<u64, String> {
    parse(text, "a span until now", |span| now.saturating_sub(span))
}

fn parse(text: &str, a_span: &str, of_span: impl FnOnce(u64) -> u64) -> Result<u64, String> {
    let wanted = || {
        format!(
            "{text:?} is no time: unix seconds, 2026-12-31T00:00:00Z, or {a_span} such as 30d or 12h \
             is wanted"
        )
    };
    let second = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| wanted())?
    } else if let Some(time) = timestamp(text) {
        u64::try_from(time.as_second()).map_err(|_| wanted())?
    } else {
        // Months and years have no fixed length, and are refused here.
        let seconds = text
            .parse::<Span>()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| wanted())?
            .as_secs();
        of_span(u64::try_from(seconds).map_err(|_| wanted())?)
    };
    if second > LAST {
        return Err(format!(
            "{text:?} lies beyond the calendar: unix seconds are wanted, not milliseconds"
        ));
    }
    Ok(second)
}

/// Reads RFC 3339. The end of the year 9999, as some write what never ends, is
/// the last second that there is.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let beyond = || {
        let time: DateTime = text.strip_suffix('Z')?.parse().ok()?;
        (time.year() == 9999).then_some(Timestamp::MAX)
    };
    text.parse().ok().or_else(beyond)
}

/// A time as people read it, in UTC; unix seconds where it lies beyond what a
/// calendar has.
pub(crate) fn show_when(unix_s: u64) -> String {
    i64::try_from(unix_s)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .map_or_else(|| unix_s.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn each_way_to_write_a_time() {
        for (text, second) in [
            ("1790000001", NOW + 1),
            ("0", 0),
            ("2026-09-21T14:13:20Z", NOW),
            ("2026-09-21T16:13:20+02:00", NOW),
            ("30d", NOW + 30 * 86_400),
            ("12h", NOW + 12 * 3600),
            ("1d12h", NOW + 36 * 3600),
            ("90 minutes", NOW + 5400),
            ("2w", NOW + 14 * 86_400),
            ("9999-12-30T21:59:59Z", LAST - 1),
            ("9999-12-31T23:59:59Z", LAST),
            ("9999-12-31T23:59:59.999Z", LAST),
            ("253402207200", LAST),
        ] {
            assert_eq!(parse_when(text, NOW), Ok(second), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "soon",
            "30",
            "-30d",
            "1 month",
            "2026-12-31",
            "2026-12-31T00:00:00",
            "1e9",
            "½",
        ] {
            match parse_when(text, NOW) {
                // Digits alone are unix seconds, however small.
                Ok(second) => assert_eq!((text, second), ("30", 30)),
                Err(error) => assert!(
                    error.contains("is wanted") && error.contains(text),
                    "{error}"
                ),
            }
        }
        for beyond in ["1790000000000", "253402207201"] {
            let error = parse_when(beyond, NOW).unwrap_err();
            assert!(error.contains("milliseconds"), "{error}");
        }
        assert!(parse_when("99999999999999999999", NOW).is_err());
    }

    #[test]
    fn a_span_may_lie_before_now() {
        assert_eq!(parse_ago("2d", NOW), Ok(NOW - 2 * 86_400));
        assert_eq!(parse_ago("1790000001", NOW), Ok(NOW + 1));
        assert_eq!(parse_ago("99999d", NOW), Ok(0));
        assert!(parse_ago("soon", NOW).unwrap_err().contains("until now"));
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(show_when(NOW), "2026-09-21T14:13:20Z");
        assert_eq!(show_when(LAST), "9999-12-30T22:00:00Z");
        assert_eq!(parse_when(&show_when(LAST), NOW), Ok(LAST));
        assert_eq!(show_when(u64::MAX), u64::MAX.to_string());
    }
}
