//! The audit log.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde_json::Value;
use store::{AuditEntry, AuditPage, AuditQuery};

use super::draft::Draft;
use super::fields::{self, Field, Line};
use super::parts;
use super::shell::{Place, page};
use crate::serve::control::{Control, Problem, SignedIn};
use crate::when::show_when;

const PATH: &str = "/audit";
/// Entries of a page.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Control> {
    Router::new().route(PATH, get(show))
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut draft = parts::query(query.as_deref(), &["object", "actor", "action", "before"]);
    let before = draft.read("before", |text| match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "This page is no longer there: begin at the first."),
    });
    let asked = ["object", "actor", "action"].map(|name| draft.value(name).to_owned());
    let found = match before {
        Some(before) => {
            control
                .keeper()
                .read(move |store| Ok(look(store, &asked, before)?))
                .await?
        }
        None => AuditPage::default(),
    };
    let query = [
        ("object", draft.value("object")),
        ("actor", draft.value("actor")),
        ("action", draft.value("action")),
    ];
    let next = found.next.map(|next| next.to_string());
    let body = html! {
        div.head { h1 { "Audit log" } }
        (fields::summary(&draft))
        (filter(&draft))
        (table(&found.entries))
        (pager(&query, draft.value("before").is_empty(), next.as_deref()))
    };
    Ok(page(&visit, Place::Audit, "Audit log", &body))
}

fn look(
    store: &store::Store,
    asked: &[String; 3],
    before: Option<i64>,
) -> Result<AuditPage, store::StoreError> {
    let [object, actor, action] = asked
        .each_ref()
        .map(|text| Some(text.as_str()).filter(|text| !text.is_empty()));
    store.audit(&AuditQuery {
        object,
        actor,
        action,
        before,
        limit: PAGE,
    })
}

fn pager(query: &[(&str, &str)], is_first: bool, next: Option<&str>) -> Markup {
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !is_first { a href=(parts::address(PATH, query)) rel="first" { "Newest" } }
                @if let Some(next) = next {
                    a href=(parts::address(PATH, &[query, &[("before", next)]].concat())) rel="next" { "Older" }
                }
            }
        }
    }
}

fn filter(draft: &Draft) -> Markup {
    let field = |name, label| Field {
        name,
        label,
        hint: "",
    };
    html! {
        form.filter method="get" action=(PATH) role="search" aria-label="Audit log" {
            (fields::line(draft, field("object", "Key or other id"), Line::default()))
            (fields::line(draft, field("actor", "By whom"), Line::default()))
            (fields::line(draft, field("action", "What, such as key.revoke"), Line::default()))
            button type="submit" { "Filter" }
        }
    }
}

/// Entries, newest first.
pub(super) fn table(entries: &[AuditEntry]) -> Markup {
    let rows: Vec<Vec<Markup>> = entries
        .iter()
        .map(|entry| {
            vec![
                parts::time(entry.at),
                html! { strong { (entry.action) } },
                object(entry),
                html! { (entry.actor) },
                details(&entry.details),
            ]
        })
        .collect();
    html! {
        @if rows.is_empty() { p.empty { "Nothing is written here." } }
        @else { (parts::table("Audit log, newest first", &["When (UTC)", "What", "To", "By", "Details"], &rows)) }
    }
}

fn object(entry: &AuditEntry) -> Markup {
    html! {
        @if entry.action.starts_with("key.") { a href={ "/keys/" (entry.object) } { code { (entry.object) } } }
        @else { code { (entry.object) } }
    }
}

/// What an entry says besides, a member a line.
fn details(details: &Value) -> Markup {
    html! {
        @if let Value::Object(members) = details {
            ul.details {
                @for (name, value) in members {
                    li {
                        span.quiet { (name) " " }
                        @match (value.get("from"), value.get("to")) {
                            (Some(from), Some(to)) => { (text(name, from)) " → " (text(name, to)) }
                            _ => (text(name, value)),
                        }
                    }
                }
            }
        }
    }
}

/// A value as people read it.
fn text(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| text(name, item)).collect();
            items.join(", ")
        }
        Value::Number(second) if AuditEntry::is_time(name) => second
            .as_u64()
            .map_or_else(|| second.to_string(), show_when),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_says_is_readable() {
        let shown = details(&serde_json::json!({
            "expires_at": { "from": null, "to": 1_790_000_000 },
            "ips": ["10.0.0.0/8", "::1/128"],
            "name": "<b>",
            "hourly_limit": 5,
        }));
        let shown = shown.into_string();
        for part in [
            "none → 2026-09-21T14:13:20Z",
            "10.0.0.0/8, ::1/128",
            "&lt;b&gt;",
            " </span>5<",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
