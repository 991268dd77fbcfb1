//! The list of keys, newest first, with search.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use engine::{Hour, ID_LEN, Name};
use maud::{Markup, html};
use store::{Cursor, KeyPage, KeyQuery, ListedKey, Scope, StateFilter};

use super::{PATH, badge, name, project_list, project_names};
use crate::serve::control::{Control, Problem, SignedIn};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields::{self, Field, Line};
use crate::serve::pages::parts;
use crate::serve::pages::shell::{Place, page};

/// Characters of a key behind its prefix: id, secret, check.
const WHOLE_TAIL: usize = 48;
/// Keys of a page.
const PAGE: usize = 50;

const STATES: [(&str, &str); 5] = [
    ("", "Any state"),
    ("active", "Active"),
    ("disabled", "Disabled"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
];

/// What is asked for, checked.
struct Wanted {
    search: String,
    state: Option<StateFilter>,
    project: Option<Name>,
    after: Option<Cursor>,
}

pub(super) async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut draft = parts::query(query.as_deref(), &["q", "state", "project", "after"]);
    // A whole key is asked for by its public part, and left in no address.
    if let Some(id) = whole_key(draft.value("q")) {
        return Ok(Redirect::to(&parts::address(PATH, &[("q", &id)])).into_response());
    }
    let now = control.now();
    let wanted = read(&mut draft, now);
    let keys = match wanted {
        Some(wanted) => {
            control
                .keeper()
                .read(move |store| Ok(look(store, &wanted)?))
                .await?
        }
        None => KeyPage::default(),
    };
    let projects = project_names(&control).await?;
    let may_write = visit.admin.scope >= Scope::Write;
    let body = html! {
        div.head {
            h1 { "API keys" }
            @if may_write { a.button.main href="/keys/new" { "Generate key" } }
        }
        (fields::summary(&draft))
        (filter(&draft, &projects))
        (found(&control, &draft, &keys, now))
    };
    Ok(page(&visit, Place::Keys, "API keys", &body))
}

/// The public part of what looks like a whole key.
fn whole_key(text: &str) -> Option<String> {
    let (_, tail) = text.rsplit_once('_')?;
    let is_one = tail.len() == WHOLE_TAIL && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_one.then(|| tail.chars().take(ID_LEN).collect())
}

fn read(draft: &mut Draft, now: u64) -> Option<Wanted> {
    let state = draft.read("state", |text| match text {
        "" => Ok(None),
        "active" => Ok(Some(StateFilter::Active)),
        "disabled" => Ok(Some(StateFilter::Disabled)),
        "expired" => Ok(Some(StateFilter::Expired { now })),
        "revoked" => Ok(Some(StateFilter::Revoked)),
        _ => Err("State: choose one of the list."),
    });
    let project = draft.read("project", |text| match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error| format!("Project: {error}.")),
    });
    let after = draft.read("after", |text| match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "This page is no longer there: begin at the first."),
    });
    Some(Wanted {
        search: draft.value("q").to_owned(),
        state: state?,
        project: project?,
        after: after?,
    })
}

fn look(store: &store::Store, wanted: &Wanted) -> Result<KeyPage, store::StoreError> {
    store.key_page(&KeyQuery {
        project: wanted.project,
        state: wanted.state,
        search: Some(&wanted.search),
        after: wanted.after.as_ref(),
        limit: PAGE,
    })
}

fn filter(draft: &Draft, projects: &[String]) -> Markup {
    html! {
        form.filter method="get" action=(PATH) role="search" aria-label="Keys" {
            (fields::line(draft, Field { name: "q", label: "Name or id", hint: "" }, Line::default()))
            (fields::choice(draft, Field { name: "state", label: "State", hint: "" }, &STATES))
            (fields::line(draft, Field { name: "project", label: "Project", hint: "" }, Line { list: Some("projects"), ..Line::default() }))
            (project_list(projects))
            button type="submit" { "Search" }
        }
    }
}

fn found(control: &Control, draft: &Draft, keys: &KeyPage, now: u64) -> Markup {
    let query = [
        ("q", draft.value("q")),
        ("state", draft.value("state")),
        ("project", draft.value("project")),
    ];
    let is_first = draft.value("after").is_empty();
    let is_filtered = query.iter().any(|(_, value)| !value.is_empty());
    let next = keys.next.as_ref().map(Cursor::as_str);
    let rows: Vec<Vec<Markup>> = keys.keys.iter().map(|key| row(control, key, now)).collect();
    html! {
        @if !rows.is_empty() {
            (parts::table("API keys, newest first", &["Name", "Project", "State", "Used this hour", "Last used", "Expires"], &rows))
        } @else if next.is_some() {
            p.empty { "None found so far; there are more keys to look through." }
        } @else if draft.is_faulty() {
        } @else if is_filtered {
            p.empty { "No key is like that. " a href=(PATH) { "Show all keys" } }
        } @else if is_first {
            p.empty { "There is no key yet." }
        } @else {
            p.empty { "No more keys." }
        }
        (parts::pager(PATH, &query, is_first, next))
    }
}

fn row(control: &Control, listed: &ListedKey, now: u64) -> Vec<Markup> {
    let key = &listed.key;
    let (id, policy) = (key.record.id, &key.record.policy);
    let used = control.engine().used(id, Hour::of(now)).unwrap_or(0);
    vec![
        html! {
            a href={ "/keys/" (id) } { (name(key)) }
            @if !key.label.as_str().is_empty() { br; code.quiet { (id) } }
        },
        html! { (policy.project) },
        badge(key, now),
        parts::used(used, policy.hourly_limit.map(engine::Limit::units)),
        parts::last_used(listed.last_used, used, now),
        parts::time_or(policy.expires_at, "never"),
    ]
}
