//! What pages are made of.

use maud::{Markup, html};

use super::draft::Draft;
use crate::when::show_when;

/// A time, in UTC.
pub(super) fn time(unix_s: u64) -> Markup {
    let full = show_when(unix_s);
    // `2026-09-21T14:13:20Z`, for people without its letters and seconds.
    let shown = match full.split_at_checked(16) {
        Some((shown, ":" | _)) if full.ends_with('Z') => shown.replace('T', " "),
        _ => full.clone(),
    };
    html! { time datetime=(full) { (shown) } }
}

/// A time, or a word where there is none.
pub(super) fn time_or(unix_s: Option<u64>, none: &str) -> Markup {
    match unix_s {
        Some(unix_s) => time(unix_s),
        None => html! { span.quiet { (none) } },
    }
}

/// When a key was last used. What was used since it was last written down is
/// known by the hour.
pub(super) fn last_used(saved: Option<u64>, used_this_hour: u64, now: u64) -> Markup {
    let hour = now - now % 3600;
    match used_this_hour > 0 && saved.is_none_or(|saved| saved < hour) {
        true => html! { "this hour" },
        false => time_or(saved, "never"),
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// How much of a limit is used, as a bar beside the numbers.
pub(super) fn used(used: u64, limit: Option<u64>) -> Markup {
    let Some(limit) = limit else {
        return html! { span.num { (number(used)) } span.quiet { " / unlimited" } };
    };
    // Of a limit of nothing all is used.
    let share = match limit {
        0 => 100,
        limit => (u128::from(used.min(limit)) * 100 / u128::from(limit)) as u64,
    };
    let class = match share {
        100 => "bar full",
        80.. => "bar high",
        _ => "bar",
    };
    html! {
        span.num { (number(used)) } span.quiet { " / " (number(limit)) }
        svg class=(class) viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.rail width="100" height="4" {}
            rect width=(share) height="4" {}
        }
    }
}

/// Columns that fit wherever they are.
const FEW: usize = 3;

/// A table that becomes a list of cards where it is narrow; the roles say to
/// those who hear it what it still is then.
pub(super) fn table(label: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table class=(if heads.len() > FEW { "cards" } else { "few" }) role="table" aria-label=(label) {
            thead role="rowgroup" {
                tr role="row" { @for head in heads { th role="columnheader" scope="col" { (head) } } }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (head, cell) in heads.iter().zip(row) {
                            td role="cell" data-label=(head) { div { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// A message at the head of a page.
pub(super) fn note(kind: &str, text: &Markup) -> Markup {
    html! { div class={ "note " (kind) } role="status" { (text) } }
}

/// The ways to the first and the next page of a list.
pub(super) fn pager(
    path: &str,
    query: &[(&str, &str)],
    is_first: bool,
    next: Option<&str>,
) -> Markup {
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !is_first { a href=(address(path, query)) rel="first" { "First page" } }
                @if let Some(next) = next {
                    a href=(address(path, &[query, &[("after", next)]].concat())) rel="next" { "Next page" }
                }
            }
        }
    }
}

/// What a query says, as a form that was filled in.
pub(super) fn query(query: Option<&str>, fields: &[&'static str]) -> Draft {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.fold(Draft::default(), |draft, (name, value)| {
        match fields.iter().find(|field| **field == name) {
            Some(field) if draft.value(field).is_empty() => draft.with(field, value.trim()),
            _ => draft,
        }
    })
}

/// A path with a query, of which empty parts are left out.
pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    match text.finish() {
        text if text.is_empty() => path.to_owned(),
        text => format!("{path}?{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (given, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (68_719_476_734, "68,719,476,734"),
        ] {
            assert_eq!(number(given), shown);
        }
    }

    #[test]
    fn times_are_shown_short_and_told_in_full() {
        let shown = time(1_790_000_000).into_string();
        assert!(
            shown.contains("datetime=\"2026-09-21T14:13:20Z\""),
            "{shown}"
        );
        assert!(shown.contains(">2026-09-21 14:13<"), "{shown}");
        assert!(
            time(u64::MAX)
                .into_string()
                .contains(&format!(">{}<", u64::MAX))
        );
    }

    #[test]
    fn an_address_keeps_what_was_asked_for() {
        assert_eq!(address("/keys", &[("q", ""), ("after", "")]), "/keys");
        assert_eq!(
            address("/keys", &[("q", "a&b c"), ("state", "active")]),
            "/keys?q=a%26b+c&state=active"
        );
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let hostile = "<script>\"'&";
        let cell = html! { (hostile) };
        let shown = table(hostile, &[hostile], &[vec![cell]]).into_string();
        assert!(!shown.contains("<script>"), "{shown}");
        assert!(
            shown.contains("aria-label=\"&lt;script&gt;&quot;"),
            "{shown}"
        );
    }

    #[test]
    fn a_bar_is_full_at_its_limit_and_no_fuller() {
        for (used_units, limit, class) in [
            (0, 10, "bar"),
            (8, 10, "bar high"),
            (10, 10, "bar full"),
            (11, 10, "bar full"),
            (0, 0, "bar full"),
            (u64::MAX, u64::MAX, "bar full"),
        ] {
            let shown = used(used_units, Some(limit)).into_string();
            assert!(shown.contains(&format!("class=\"{class}\"")), "{shown}");
        }
    }
}
