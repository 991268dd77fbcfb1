//! The forms that usage comes in, and which of them a client likes best
//! (RFC 9110, section 12.5.1).

use std::cmp::Reverse;

use http::header::{ACCEPT, HeaderMap};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Lines,
}

/// A media range of `Accept`.
struct Range<'a> {
    name: &'a str,
    /// In thousandths; 0 is "not that".
    weight: u16,
}

impl Form {
    /// Of what a client likes equally, and names alike, the first.
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Lines];

    /// That which the client likes best of those that there are; JSON where it
    /// likes none, for that says more than a refusal.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let ranges = lines.flat_map(|line| line.split(','));
        let ranges: Vec<_> = ranges.filter_map(Range::of).collect();
        let liked = Self::ALL.into_iter().filter_map(|form| {
            let (weight, place) = form.liking(&ranges)?;
            Some((form, (Reverse(weight), place)))
        });
        let best = liked.min_by_key(|(_, rank)| *rank);
        best.map_or(Self::Json, |(form, _)| form)
    }

    /// How well a client likes it, and the place of the range that says so: of
    /// those that match, the most specific.
    fn liking(self, ranges: &[Range<'_>]) -> Option<(u16, usize)> {
        let matching = ranges.iter().enumerate().filter_map(|(place, range)| {
            let specific = self.specific(range.name)?;
            Some((specific, Reverse(place), range.weight))
        });
        let (_, Reverse(place), weight) = matching.max()?;
        (weight > 0).then_some((weight, place))
    }

    /// How exactly a range names it, if it does.
    fn specific(self, range: &str) -> Option<u8> {
        let (names, kind): (&[&str], _) = match self {
            Self::Json => (&["application/json"], "application/*"),
            Self::Csv => (&["text/csv"], "text/*"),
            Self::Lines => (
                &["application/jsonl", "application/x-ndjson"],
                "application/*",
            ),
        };
        if names.iter().any(|name| range.eq_ignore_ascii_case(name)) {
            Some(2)
        } else if range.eq_ignore_ascii_case(kind) {
            Some(1)
        } else {
            (range == "*/*").then_some(0)
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Lines => "application/jsonl",
        }
    }
}

impl<'a> Range<'a> {
    /// A range with its weight; one whose weight is none says nothing.
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?;
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        Some(Self {
            name,
            weight: weight.map_or(Some(1000), thousandths)?,
        })
    }
}

/// A weight, `0` to `1` with up to three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || digits.len() > 3 || !are_digits {
        return None;
    }
    let weight = format!("{whole}{digits:0<3}").parse().ok()?;
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_likes_best_is_sent() {
        for (accept, form) in [
            ("text/csv", Form::Csv),
            ("Text/CSV;header=present", Form::Csv),
            ("application/x-ndjson", Form::Lines),
            ("*/*", Form::Json),
            ("text/*", Form::Csv),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", Form::Json),
            // The first of equals, the heaviest of others.
            ("text/csv, application/json", Form::Csv),
            ("application/json, text/csv", Form::Json),
            ("application/json;q=0.5, text/csv;q=0.51", Form::Csv),
            ("text/csv;q=0.1, application/jsonl; Q=0.2", Form::Lines),
            // The most specific counts, and 0 is no.
            ("text/csv;q=0, application/json", Form::Json),
            ("text/csv;q=0.000, text/*", Form::Json),
            ("*/*, application/json;q=0", Form::Csv),
            ("application/*;q=0.2, application/json;q=0.1", Form::Lines),
            // What is none of them, and what is no weight.
            ("text/csv;q=0", Form::Json),
            ("image/png", Form::Json),
            ("text/csv;q=2, application/jsonl;q=0.1", Form::Lines),
            (
                "text/csv;q=1.001, text/csv;q=-1, text/csv;q=0.1234",
                Form::Json,
            ),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Form::accepted(&headers), form, "{accept}");
        }
        assert_eq!(Form::accepted(&HeaderMap::new()), Form::Json);
    }
}
