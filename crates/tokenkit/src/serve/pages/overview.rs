//! The server at a glance: what is decided, and about whom.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use engine::Reason;
use maud::{Markup, html};

use super::chart::{Areas, Series};
use super::recent::{self, Decided, KEPT, Used};
use super::shell::{Place, fragment, page};
use super::{parts, reasons};
use crate::serve::control::{BlockedAddress, Control, Problem, SignedIn};
use crate::serve::refusals::Refused;

/// Seconds over which the rate is told.
const RATE_S: usize = 10;
/// Blocked addresses that are named.
const BLOCKED: usize = 6;

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route("/", get(show))
        .route("/overview/live", get(live))
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
) -> Result<Response, Problem> {
    let body = html! {
        div.head {
            h1 { "Overview" }
            div.actions {
                // The script shows the one and hides the other.
                a.button.small href="/" data-plain { "Refresh" }
                button.small type="button" data-pause aria-pressed="false" hidden { "Pause" }
            }
        }
        div.live data-live="/overview/live" { (content(&control).await?) }
    };
    Ok(page(&visit, Place::Overview, "Overview", &body))
}

async fn live(State(control): State<Control>, _visit: SignedIn) -> Result<Response, Problem> {
    Ok(fragment(content(&control).await?))
}

async fn content(control: &Control) -> Result<Markup, Problem> {
    let overview = control.overview();
    let seconds = control.recent().seconds();
    let top = recent::top(control, overview.at).await?;
    let mut refusals = control.refused_keys();
    refusals.truncate(recent::TOP);
    let refused_ids = refusals.iter().map(|one| one.key).collect();
    let names = recent::names(control, refused_ids).await?;
    let (blocked, _) = control.blocked(None);
    let lately: u64 = seconds
        .iter()
        .rev()
        .take(RATE_S)
        .map(|second| second.all())
        .sum();
    Ok(html! {
        dl.tiles {
            div { dt { "Decisions a second" } dd { (rate(lately)) } }
            div { dt { "Blocked addresses" } dd { a href="/blocked" { (parts::number(overview.stats.blocked_addresses as u64)) } } }
            div { dt { "Active keys" } dd { a href="/keys?state=active" { (parts::number(overview.active_keys() as u64)) } } }
            div { dt { "Sessions" } dd { a href="/sessions" { (parts::number(overview.stats.sessions as u64)) } } }
        }
        (chart(&seconds))
        div.columns {
            section aria-labelledby="top" { h2 id="top" { "Most used this hour" } (used(&top)) }
            section aria-labelledby="refused" { h2 id="refused" { "Most refused this hour" } (refused(&refusals, &names)) }
            section aria-labelledby="since" { h2 id="since" { "Since the start" } (totals(&overview.decisions)) }
            section aria-labelledby="lately" { h2 id="lately" { "Blocked now" } (addresses(&blocked)) }
        }
        p.quiet { "As of " (parts::time(overview.at)) " UTC." }
    })
}

/// Decisions a second, to the tenth where there are few.
fn rate(lately: u64) -> String {
    let tenths = lately * 10 / RATE_S as u64;
    match tenths {
        0..1000 => format!("{}.{}", tenths / 10, tenths % 10),
        _ => parts::number(tenths / 10),
    }
}

fn chart(seconds: &[Decided]) -> Markup {
    let of = |part: fn(&Decided) -> u64| seconds.iter().map(part).collect();
    let series = [
        Series {
            class: "s1",
            name: "Allowed",
            values: of(|second| second.allowed),
        },
        Series {
            class: "s2",
            name: "Over the limit",
            values: of(|second| second.limited),
        },
        Series {
            class: "s3",
            name: "Address blocked",
            values: of(|second| second.blocked),
        },
        Series {
            class: "s4",
            name: "Refused otherwise",
            values: of(|second| second.refused),
        },
    ];
    let sums: Vec<String> = series
        .iter()
        .map(|series| {
            format!(
                "{}: {}",
                series.name,
                parts::number(series.values.iter().sum())
            )
        })
        .collect();
    let minutes = KEPT / 60;
    Areas {
        id: "decided",
        title: "Decisions in each second of the last 5 minutes",
        summary: format!("In the last {minutes} minutes: {}.", sums.join(", ")),
        series: &series,
        ends: ["5 minutes ago", "now"],
    }
    .draw()
}

fn key_name(name: &str, id: engine::KeyId) -> Markup {
    html! {
        a href={ "/keys/" (id) } { @if name.is_empty() { code { (id) } } @else { (name) } }
    }
}

fn used(top: &[Used]) -> Markup {
    let rows: Vec<Vec<Markup>> = top
        .iter()
        .map(|key| {
            vec![
                key_name(&key.name, key.id),
                html! { (key.project) },
                parts::used(key.used, key.limit),
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "Nothing is saved of this hour yet." } }
        @else { (parts::table("Keys most used this hour", &["Key", "Project", "Used"], &rows)) }
    }
}

fn refused(top: &[Refused], names: &[String]) -> Markup {
    let rows: Vec<Vec<Markup>> = top
        .iter()
        .zip(names)
        .map(|(one, name)| {
            vec![
                key_name(name, one.key),
                html! { (reasons::in_words(one.reason)) },
                html! { span.num { (parts::number(one.count)) } },
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "No known key was refused." } }
        @else { (parts::table("Keys most refused this hour", &["Key", "Why", "Times"], &rows)) }
    }
}

fn totals(decisions: &[(Reason, u64)]) -> Markup {
    let mut some: Vec<(Reason, u64)> = decisions
        .iter()
        .copied()
        .filter(|(_, count)| *count > 0)
        .collect();
    some.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rows: Vec<Vec<Markup>> = some
        .into_iter()
        .map(|(reason, count)| {
            vec![
                html! { (reasons::in_words(reason)) },
                html! { span.num { (parts::number(count)) } },
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "Nothing was decided yet." } }
        @else { (parts::table("Decisions since the start", &["Outcome", "Times"], &rows)) }
    }
}

fn addresses(blocked: &[BlockedAddress]) -> Markup {
    let rows: Vec<Vec<Markup>> = blocked
        .iter()
        .take(BLOCKED)
        .map(|one| {
            let address = one.address.to_string();
            vec![
                html! { a href=(parts::address("/blocked", &[("address", &address)])) { code { (one.addresses) } } },
                parts::time(one.until),
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "No address is blocked." } }
        @else { (parts::table("Addresses that are blocked", &["Address", "Until (UTC)"], &rows)) }
    }
}
