//! The page of a key.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use engine::{KeyId, KeyState, Limit};
use maud::{Markup, html};
use store::{AuditEntry, AuditQuery, Scope, Store, StoredKey};

use super::usage::{self, Span};
use super::{badge, id, name};
use crate::serve::control::{Control, Problem, SignedIn, Visit};
use crate::serve::pages::shell::{Place, page};
use crate::serve::pages::{audit, fields, parts};

/// Entries of the audit log that are shown with a key.
const ENTRIES: usize = 10;

/// All that is shown.
struct Seen {
    key: StoredKey,
    last_used: Option<u64>,
    replaced_by: Option<KeyId>,
    hours: Vec<(u32, u64)>,
    entries: Vec<AuditEntry>,
}

pub(super) async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = id(&text)?;
    let query = parts::query(query.as_deref(), &["span", "did"]);
    let span = Span::of(query.value("span"));
    let now = control.now();
    let seen = control
        .keeper()
        .read(move |store| look(store, id, span, now))
        .await?;
    let key = &seen.key;
    let hours = usage::with_present(&seen.hours, control.engine(), id, now);
    let used = hours.last().map_or(0, |(_, used)| *used);
    let body = html! {
        p.way { a href="/keys" { "API keys" } }
        div.head {
            div.title { h1 { (name(key)) } (badge(key, now)) }
            @if visit.admin.scope >= Scope::Write { (actions(&visit, key)) }
        }
        (said(query.value("did")))
        (facts(&seen, used, now))
        section aria-labelledby="usage" {
            div.head {
                h2 id="usage" { "Usage" }
                (span.links(id))
            }
            (usage::chart(&hours, span, now))
        }
        (lists(key))
        section aria-labelledby="log" {
            div.head {
                h2 id="log" { "What was done to it" }
                a href={ "/audit?object=" (id) } { "In the audit log" }
            }
            (audit::table(&seen.entries))
        }
    };
    Ok(page(&visit, Place::Keys, &name(key), &body))
}

fn look(store: &Store, id: KeyId, span: Span, now: u64) -> Result<Seen, Problem> {
    let object = id.to_string();
    let entries = store.audit(&AuditQuery {
        object: Some(&object),
        limit: ENTRIES,
        ..AuditQuery::default()
    })?;
    Ok(Seen {
        key: store.key(id)?,
        last_used: store.last_used(id)?,
        replaced_by: store.replaced_by(id)?,
        hours: store.usage_by_hour(&span.query(id, now))?,
        entries: entries.entries,
    })
}

fn said(word: &str) -> Markup {
    let text = match word {
        "changed" => "The key is changed, as of now.",
        "disabled" => "The key is disabled, as of now.",
        "enabled" => "The key is enabled, as of now.",
        "revoked" => "The key is revoked, for ever and as of now.",
        _ => return html! {},
    };
    parts::note("good", &html! { p { (text) } })
}

fn actions(visit: &Visit, key: &StoredKey) -> Markup {
    let id = key.record.id;
    let state = |action: &str, label: &str| {
        html! {
            form.one method="post" action={ "/keys/" (id) "/" (action) } {
                (fields::csrf(visit))
                input type="hidden" name="revision" value=(key.revision);
                button type="submit" { (label) }
            }
        }
    };
    html! {
        @if key.record.policy.state != KeyState::Revoked {
            div.actions {
                a.button href={ "/keys/" (id) "/change" } { "Change" }
                @if key.record.policy.state == KeyState::Active {
                    a.button href={ "/keys/" (id) "/rotate" } { "Rotate" }
                    (state("disable", "Disable"))
                } @else {
                    (state("enable", "Enable"))
                }
                a.button.danger href={ "/keys/" (id) "/revoke" } { "Revoke" }
            }
        }
    }
}

fn facts(seen: &Seen, used: u64, now: u64) -> Markup {
    let key = &seen.key;
    let policy = &key.record.policy;
    let link = |id: KeyId| html! { a href={ "/keys/" (id) } { code { (id) } } };
    html! {
        dl.facts {
            div { dt { "Id" } dd { code { (key.record.id) } } }
            div { dt { "Project" } dd { a href=(parts::address("/keys", &[("project", policy.project.as_str())])) { (policy.project) } } }
            div { dt { "Used this hour" } dd { (parts::used(used, policy.hourly_limit.map(Limit::units))) } }
            div { dt { "Last used" } dd { (parts::last_used(seen.last_used, used, now)) } }
            div { dt { "Created" } dd { (parts::time(key.created_at)) } }
            div { dt { "Expires" } dd { (parts::time_or(policy.expires_at, "never")) } }
            div { dt { "Begins with" } dd { code { (key.prefix.as_str()) "_" (key.record.id) "…" } } }
            @if let Some(at) = key.revoked_at { div { dt { "Revoked" } dd { (parts::time(at)) } } }
            @if let Some(reason) = &key.revoked_reason { div { dt { "Reason" } dd { (reason) } } }
            @if let Some(old) = key.replaces { div { dt { "In the place of" } dd { (link(old)) } } }
            @if let Some(new) = seen.replaced_by { div { dt { "Replaced by" } dd { (link(new)) } } }
        }
    }
}

fn lists(key: &StoredKey) -> Markup {
    let policy = &key.record.policy;
    html! {
        section aria-labelledby="from" {
            h2 id="from" { "Where it may be used from" }
            dl.facts {
                div {
                    dt { "Origins" }
                    dd {
                        @if policy.origins.is_empty() { span.quiet { "any" } }
                        ul { @for origin in policy.origins.iter() { li { code { (origin) } } } }
                        @if policy.require_origin { p.hint { "Requests that name none are refused." } }
                    }
                }
                div {
                    dt { "Addresses" }
                    dd {
                        @if policy.ips.is_empty() { span.quiet { "any" } }
                        ul { @for block in policy.ips.iter() { li { code { (block) } } } }
                    }
                }
            }
        }
    }
}
