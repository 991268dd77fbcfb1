//! Projects: what keys and sessions belong to.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use engine::Name;
use http::StatusCode;
use maud::{Markup, html};
use store::{Actor, Cursor, KeyCounts, Label, Project, ProjectPage, Scope};

use super::draft::Draft;
use super::fields::{self, Field, Line};
use super::parts;
use super::shell::{Place, page_with};
use crate::serve::control::{Control, Form, NewProject, Precondition, Problem, SignedIn, Visit};

const PATH: &str = "/projects";
/// Projects of a page.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(show).post(create))
        .route("/projects/{name}", get(show_one).post(change))
}

/// The address of a project's page.
fn address(name: &Name) -> String {
    let escaped: String = form_urlencoded::byte_serialize(name.as_str().as_bytes()).collect();
    // In a path a space is not a plus.
    format!("{PATH}/{}", escaped.replace('+', "%20"))
}

async fn show(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = parts::query(query.as_deref(), &["after"]);
    list(
        &control,
        &visit,
        StatusCode::OK,
        &Draft::default(),
        query.value("after"),
    )
    .await
}

async fn create(
    State(control): State<Control>,
    visit: SignedIn,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let mut draft = Draft::of(&sent, &["name", "label"]);
    let name = draft.read("name", |text| match text {
        "" => Err("Name: give it one.".to_owned()),
        text => text
            .parse::<Name>()
            .map_err(|error| format!("Name: {error}.")),
    });
    let label = label(&mut draft);
    let (Some(name), Some(label)) = (name, label) else {
        return list(
            &control,
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &draft,
            "",
        )
        .await;
    };
    let maker = control.clone();
    let made = control.change(Actor::page(admin.id), move |writer| {
        maker.create_project_in(writer, NewProject { name, label })
    });
    match made.await {
        Ok(_) => Ok(Redirect::to(&address(&name)).into_response()),
        Err(problem) if problem.status() == StatusCode::CONFLICT => {
            draft.fault("name", "Name: there is a project of this name already.");
            list(&control, &visit.0, StatusCode::CONFLICT, &draft, "").await
        }
        Err(problem) => Err(problem),
    }
}

fn label(draft: &mut Draft) -> Option<Label> {
    draft.read("label", |text| {
        text.parse()
            .map_err(|_| "Label: at most 200 bytes, without control characters.")
    })
}

async fn list(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    after: &str,
) -> Result<Response, Problem> {
    let cursor: Option<Cursor> = after.parse().ok();
    let look = move |store: &store::Store| Ok(store.projects(cursor.as_ref(), PAGE)?);
    let found: ProjectPage = control.keeper().read(look).await?;
    let rows: Vec<Vec<Markup>> = found.projects.iter().map(row).collect();
    let next = found.next.as_ref().map(Cursor::as_str);
    let body = html! {
        div.head { h1 { "Projects" } }
        @if rows.is_empty() { p.empty { "There is no project yet; a key's first mention of one makes it." } }
        @else { (parts::table("Projects, by name", &["Name", "Label", "Created"], &rows)) }
        (parts::pager(PATH, &[], after.is_empty(), next))
        @if visit.admin.scope >= Scope::Write {
            section aria-labelledby="make" {
                h2 id="make" { "New project" }
                (fields::summary(draft))
                form.sheet method="post" action=(PATH) {
                    (fields::csrf(visit))
                    (fields::line(draft, Field { name: "name", label: "Name", hint: "1 to 64 plain characters. It stays." }, Line { is_required: true, ..Line::default() }))
                    (fields::line(draft, Field { name: "label", label: "Label", hint: "What people call it. It may be empty." }, Line::default()))
                    div.actions { button.main type="submit" { "Make project" } }
                }
            }
        }
    };
    Ok(page_with(status, visit, Place::Projects, "Projects", &body))
}

fn row(project: &Project) -> Vec<Markup> {
    vec![
        html! { a href=(address(&project.name)) { (project.name) } },
        match project.label.as_str() {
            "" => html! { span.quiet { "none" } },
            label => html! { (label) },
        },
        parts::time(project.created_at),
    ]
}

fn name(text: &str) -> Result<Name, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("There is no such project."))
}

async fn show_one(
    State(control): State<Control>,
    SignedIn(visit): SignedIn,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = parts::query(query.as_deref(), &["did"]);
    let project = control.project(name(&text)?).await?;
    let draft = Draft::default().with("label", &project.label);
    let above = match query.value("did") {
        "changed" => parts::note("good", &html! { p { "The label is stored." } }),
        _ => html! {},
    };
    one(&control, &visit, StatusCode::OK, &project, &draft, &above).await
}

async fn change(
    State(control): State<Control>,
    visit: SignedIn,
    Path(text): Path<String>,
    sent: Form,
) -> Result<Response, Problem> {
    let admin = visit.may_change(&control, sent.field("csrf"))?;
    let name = name(&text)?;
    let revision = fields::revision(&sent)?;
    let mut draft = Draft::of(&sent, &["label"]);
    let Some(label) = label(&mut draft) else {
        let project = Project {
            revision,
            ..control.project(name).await?
        };
        return one(
            &control,
            &visit.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            &project,
            &draft,
            &html! {},
        )
        .await;
    };
    let seen = Precondition::OneOf(vec![revision]);
    let changed = control.change_project(Actor::page(admin.id), name, seen, Some(label));
    match changed.await {
        Ok(_) => Ok(Redirect::to(&format!("{}?did=changed", address(&name))).into_response()),
        Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {
            let project = control.project(name).await?;
            let above = html! {
                div.note.warn role="alert" tabindex="-1" autofocus id="changed" {
                    h2 { "Somebody else has changed this project meanwhile" }
                    p { "Its label is now " strong { (project.label) } ". Yours is still in the form: storing it replaces that." }
                }
            };
            one(
                &control,
                &visit.0,
                StatusCode::CONFLICT,
                &project,
                &draft,
                &above,
            )
            .await
        }
        Err(problem) => Err(problem),
    }
}

async fn one(
    control: &Control,
    visit: &Visit,
    status: StatusCode,
    project: &Project,
    draft: &Draft,
    above: &Markup,
) -> Result<Response, Problem> {
    let name = project.name;
    let counts = control
        .keeper()
        .read(move |store| Ok(store.key_counts(Some(&name))?))
        .await?;
    let body = html! {
        p.way { a href=(PATH) { "Projects" } }
        h1 { (name) }
        (above)
        dl.facts {
            div { dt { "Label" } dd { @if project.label.as_str().is_empty() { span.quiet { "none" } } @else { (project.label) } } }
            div { dt { "Created" } dd { (parts::time(project.created_at)) } }
            div { dt { "Keys" } dd { (keys(&name, counts)) } }
            div { dt { "Sessions" } dd { a href=(parts::address("/sessions", &[("project", name.as_str())])) { "Show" span.unseen { " sessions" } } } }
        }
        @if visit.admin.scope >= Scope::Write {
            section aria-labelledby="change" {
                h2 id="change" { "Change its label" }
                (fields::summary(draft))
                form.sheet method="post" action=(address(&name)) {
                    (fields::csrf(visit))
                    input type="hidden" name="revision" value=(project.revision);
                    (fields::line(draft, Field { name: "label", label: "Label", hint: "What people call it. It may be empty." }, Line::default()))
                    div.actions { button.main type="submit" { "Store label" } }
                }
            }
        }
    };
    Ok(page_with(
        status,
        visit,
        Place::Projects,
        name.as_str(),
        &body,
    ))
}

/// How many keys there are in each state, with the way to them.
fn keys(name: &Name, counts: KeyCounts) -> Markup {
    let states = [
        ("active", counts.active),
        ("disabled", counts.disabled),
        ("revoked", counts.revoked),
    ];
    html! {
        ul {
            @for (state, count) in states {
                li {
                    a href=(parts::address("/keys", &[("project", name.as_str()), ("state", state)])) {
                        (parts::number(count)) " " (state)
                    }
                }
            }
        }
    }
}
