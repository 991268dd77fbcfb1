//! Sessions of the users whom services serve, by project and user.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use engine::Name;
use http::StatusCode;
use maud::{Markup, html};
use store::{
    Actor, Cursor, Scope, SessionId, SessionPage, SessionQuery, SessionState, StoredSession,
};

use super::draft::Draft;
use super::fields::{self, Field, Line};
use super::shell::{Place, page, page_with};
use super::{keys, parts};
use crate::serve::control::{Control, Form, Problem, SignedIn, Visit};

const PATH: &str = "/sessions";
/// Sessions of a page.
const PAGE: usize = 50;

const STATES: [(&str, &str); 2] = [("", "Live"), ("all", "Ended and expired too")];

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(show))
        .route("/sessions/{id}/end", post(end))
        .route("/sessions/end-all", get(ask_end_all).post(end_all))
}

/// What is asked for, checked.
struct Wanted {
    project: Option<Name>,
    user: Option<Name>,
    live_at: Option<u64>,
    after: Option<Cursor>,
}

fn read(draft: &mut Draft, now: u64) -> Option<Wanted> {
    let name = |what: &'static str| {
        move |text: &str| match text {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|error| format!("{what}: {error}.")),
        }
    };
    let project = draft.read("project", name("Project"));
    let user = draft.read("user", name("User"));
    let live_at = draft.read("state", |text| match text {
        "" => Ok(Some(now)),
        "all" => Ok(None),
        _ => Err("State: choose one of the list."),
    });
    let after = draft.read("after", |text| match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "This page is no longer there: begin at the first."),
    });
    Some(Wanted {
        project: project?,
        user: user?,
        live_at: live_at?,
        after: after?,
    })
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut draft = parts::query(
        query.as_deref(),
        &["project", "user", "state", "after", "ended"],
    );
    let now = control.now();
    let found = match read(&mut draft, now) {
        None => SessionPage::default(),
        Some(wanted) => {
            control
                .keeper()
                .read(move |store| Ok(look(store, &wanted)?))
                .await?
        }
    };
    let projects = keys::project_names(&control).await?;
    let query = [
        ("project", draft.value("project")),
        ("user", draft.value("user")),
        ("state", draft.value("state")),
    ];
    let next = found.next.as_ref().map(Cursor::as_str);
    let may_write = visit.admin.scope >= Scope::Write;
    let rows: Vec<Vec<Markup>> = found
        .sessions
        .iter()
        .map(|session| row(session, &visit, now))
        .collect();
    let body = html! {
        div.head { h1 { "Sessions" } }
        p { "Users who are signed in to your services, each by a bearer token. They are made by the API or the command line." }
        @if let Ok(ended) = draft.value("ended").parse::<u64>() {
            (parts::note("good", &html! { p { (parts::number(ended)) @if ended == 1 { " session is" } @else { " sessions are" } " ended, as of now." } }))
        }
        (fields::summary(&draft))
        form.filter method="get" action=(PATH) role="search" aria-label="Sessions" {
            (fields::line(&draft, Field { name: "user", label: "User", hint: "" }, Line::default()))
            (fields::line(&draft, Field { name: "project", label: "Project", hint: "" }, Line { list: Some("projects"), ..Line::default() }))
            (fields::choice(&draft, Field { name: "state", label: "State", hint: "" }, &STATES))
            (keys::project_list(&projects))
            button type="submit" { "Search" }
        }
        @if !rows.is_empty() {
            (parts::table("Sessions, newest first", &["User", "Project", "State", "Created", "Expires", "End"], &rows))
        } @else if next.is_some() {
            p.empty { "None found so far; there are more sessions to look through." }
        } @else {
            p.empty { "No session is like that." }
        }
        (parts::pager(PATH, &query, draft.value("after").is_empty(), next))
        @if may_write && !draft.value("user").is_empty() && !draft.value("project").is_empty() && !draft.is_faulty() {
            p.actions {
                a.button.danger href=(parts::address("/sessions/end-all", &query[..2])) {
                    "End all sessions of " (draft.value("user"))
                }
            }
        }
    };
    Ok(page(&visit, Place::Sessions, "Sessions", &body))
}

fn look(store: &store::Store, wanted: &Wanted) -> Result<SessionPage, store::StoreError> {
    store.session_page(&SessionQuery {
        project: wanted.project,
        user: wanted.user,
        live_at: wanted.live_at,
        after: wanted.after.as_ref(),
        limit: PAGE,
    })
}

fn row(stored: &StoredSession, visit: &Visit, now: u64) -> Vec<Markup> {
    let session = &stored.session;
    let (class, state) = match stored.state(now) {
        SessionState::Active => ("good", "live"),
        SessionState::Ended => ("bad", "ended"),
        SessionState::Expired => ("warn", "expired"),
    };
    let query = [
        ("project", session.project.as_str()),
        ("user", session.user.as_str()),
    ];
    vec![
        html! { a href=(parts::address(PATH, &query)) { (session.user) } br; code.quiet { (stored.id) } },
        html! { (session.project) },
        html! { span class={ "badge " (class) } { (state) } },
        parts::time(stored.created_at),
        parts::time_or(session.expires_at, "never"),
        html! {
            @if visit.admin.scope >= Scope::Write && state == "live" {
                form.one method="post" action={ (PATH) "/" (stored.id) "/end" } {
                    (fields::csrf(visit))
                    input type="hidden" name="project" value=(session.project);
                    input type="hidden" name="user" value=(session.user);
                    button.small type="submit" { "End" span.unseen { " session " (stored.id) " of " (session.user) } }
                }
            } @else { span.quiet { "–" } }
        },
    ]
}

async fn end(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let id: SessionId = text
        .parse()
        .map_err(|_| Problem::not_found("There is no such session."))?;
    control.end_session(Actor::page(admin.id), id).await?;
    Ok(back(sent.field("project"), sent.field("user"), 1))
}

/// To the user's sessions, and how many were ended.
fn back(project: &str, user: &str, ended: u64) -> Response {
    let ended = ended.to_string();
    let query = [("project", project), ("user", user), ("ended", &ended)];
    Redirect::to(&parts::address(PATH, &query)).into_response()
}

/// Whose sessions a query or a form is about.
fn whose(project: &str, user: &str) -> Result<(Name, Name), Problem> {
    match (project.parse(), user.parse()) {
        (Ok(project), Ok(user)) => Ok((project, user)),
        _ => Err(Problem::bad_request(
            "A project and a user are wanted: choose them in the list of sessions.",
        )),
    }
}

async fn ask_end_all(
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    visit.admin.may_write()?;
    let query = parts::query(query.as_deref(), &["project", "user"]);
    let (project, user) = whose(query.value("project"), query.value("user"))?;
    let body = html! {
        p.way { a href=(parts::address(PATH, &[("project", project.as_str()), ("user", user.as_str())])) { "Sessions" } }
        h1 { "End all sessions of a user" }
        div.note.warn {
            p { "User " strong { (user) } " of project " strong { (project) } " is signed out everywhere, from now on, and has to sign in anew." }
        }
        form.sheet method="post" action="/sessions/end-all" {
            (fields::csrf(&visit))
            input type="hidden" name="project" value=(project);
            input type="hidden" name="user" value=(user);
            div.actions {
                button.danger type="submit" { "End all" }
                a href=(PATH) { "Cancel" }
            }
        }
    };
    Ok(page_with(
        StatusCode::OK,
        &visit,
        Place::Sessions,
        "End all sessions",
        &body,
    ))
}

async fn end_all(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let (project, user) = whose(sent.field("project"), sent.field("user"))?;
    let ended = control
        .end_sessions_of(Actor::page(admin.id), project, user)
        .await?;
    Ok(back(project.as_str(), user.as_str(), ended))
}
