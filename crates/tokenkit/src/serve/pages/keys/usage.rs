//! What a key used over time, as a chart.

use engine::{Engine, Hour, KeyId};
use maud::{Markup, html};
use store::UsageQuery;

use crate::serve::pages::chart::{Bar, Bars};
use crate::serve::pages::parts;
use crate::when::show_when;

const HOUR_S: u64 = 3600;
const DAY_HOURS: u32 = 24;
/// Hours that the engine itself still knows.
const PRESENT: u32 = 8;

/// How far a chart goes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// The last 48 hours.
    Hours,
    /// The last 30 days, of UTC.
    Days,
}

impl Span {
    /// What a query asks for.
    pub(super) fn of(text: &str) -> Self {
        match text {
            "30d" => Self::Days,
            _ => Self::Hours,
        }
    }

    fn first_hour(self, now: u64) -> u32 {
        let hour = Hour::of(now).number();
        match self {
            Self::Hours => hour.saturating_sub(47),
            Self::Days => (hour / DAY_HOURS).saturating_sub(29) * DAY_HOURS,
        }
    }

    pub(super) fn query(self, id: KeyId, now: u64) -> UsageQuery<'static> {
        UsageQuery {
            key: Some(id),
            from_hour: self.first_hour(now),
            to_hour: Hour::of(now).number() + 1,
            ..UsageQuery::default()
        }
    }

    /// The ways to the one and the other.
    pub(super) fn links(self, id: KeyId) -> Markup {
        html! {
            ul.spans aria-label="Show" {
                @for (span, query, label) in [(Self::Hours, "", "48 hours"), (Self::Days, "30d", "30 days")] {
                    li { a href={ (parts::address(&format!("/keys/{id}"), &[("span", query)])) "#usage" } aria-current=[(span == self).then_some("true")] { (label) } }
                }
            }
        }
    }
}

/// What is saved, and of the last hours what the engine itself has counted
/// since; the present hour last.
pub(super) fn with_present(
    saved: &[(u32, u64)],
    engine: &Engine,
    id: KeyId,
    now: u64,
) -> Vec<(u32, u64)> {
    let hour = Hour::of(now).number();
    let mut hours = saved.to_vec();
    for recent in hour.saturating_sub(PRESENT - 1)..=hour {
        let counted = engine
            .used(id, Hour::of(u64::from(recent) * HOUR_S))
            .unwrap_or(0);
        match hours.iter_mut().find(|(found, _)| *found == recent) {
            Some((_, used)) => *used = counted.max(*used),
            None => hours.push((recent, counted)),
        }
    }
    hours.sort_unstable();
    hours
}

/// The chart.
pub(super) fn chart(hours: &[(u32, u64)], span: Span, now: u64) -> Markup {
    let (first, last) = (span.first_hour(now), Hour::of(now).number());
    let of = |from: u32, to: u32| -> u64 {
        let within = hours.iter().filter(|(hour, _)| (from..to).contains(hour));
        within.fold(0, |sum, (_, used)| sum.saturating_add(*used))
    };
    let show = |hour: u32| show_when(u64::from(hour) * HOUR_S);
    let bars: Vec<Bar> = match span {
        Span::Hours => (first..=last)
            .map(|hour| Bar {
                label: show(hour).get(5..16).unwrap_or_default().replace('T', " "),
                value: of(hour, hour + 1),
            })
            .collect(),
        Span::Days => (first..=last)
            .step_by(DAY_HOURS as usize)
            .map(|hour| Bar {
                label: show(hour).get(..10).unwrap_or_default().into(),
                value: of(hour, hour + DAY_HOURS),
            })
            .collect(),
    };
    let total = bars
        .iter()
        .fold(0, |sum: u64, bar| sum.saturating_add(bar.value));
    let most = bars.iter().max_by_key(|bar| bar.value);
    let (title, head, what) = match span {
        Span::Hours => ("Units in each of the last 48 hours", "Hour (UTC)", "hour"),
        Span::Days => ("Units on each of the last 30 days", "Day (UTC)", "day"),
    };
    let summary = match most {
        Some(most) if total > 0 => format!(
            "{} units in all; most in the {what} {}, with {}.",
            parts::number(total),
            most.label,
            parts::number(most.value)
        ),
        _ => "Nothing was used.".to_owned(),
    };
    html! {
        p { (summary) }
        (Bars { id: "units", title, summary, heads: [head, "Units"], bars: &bars }.draw())
    }
}
