//! `/v1/projects`.

use axum::body::Body;
use axum::extract::State;
use http::Response;
use store::{Cursor, Label};

use super::answer::{listed, segment, shown, view};
use super::creation::{IdempotencyKey, Made, Secret};
use super::etag::{IfMatch, IfNoneMatch};
use super::members::{Json, parsed};
use super::path::Named;
use super::query::{MAX_PAGE, Query};
use super::views::ProjectView;
use crate::serve::control::work::NewProject;
use crate::serve::control::{Admin, Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let (limit, cursor): (usize, Option<Cursor>) = query.page(MAX_PAGE);
    query.end()?;
    let page = control
        .read(move |store| Ok(store.projects(cursor.as_ref(), limit)?))
        .await?;
    let projects: Vec<_> = page.projects.iter().map(ProjectView::of).collect();
    let next = page.next.map(|next| next.to_string());
    listed("projects", &projects, next)
}

pub(super) async fn create(
    State(control): State<Control>,
    admin: Admin,
    query: Query,
    idempotency: IdempotencyKey,
    body: Json,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let bytes = body.bytes.clone();
    let mut members = body.members();
    let name = members.required("name", parsed);
    let label = members.optional("label", parsed::<Label>);
    let new = members.finish(|| {
        Some(NewProject {
            name: name?,
            label: label.unwrap_or_default(),
        })
    })?;
    control
        .create(&admin, idempotency, &bytes, |control, writer, _| {
            let project = control.create_project_in(writer, new)?;
            let made = Made {
                body: view(&ProjectView::of(&project))?,
                location: format!("/v1/projects/{}", segment(project.name.as_str())),
                revision: Some(project.revision),
                secret: Secret::None,
            };
            Ok((made, None))
        })
        .await
}

pub(super) async fn show(
    State(control): State<Control>,
    name: Named,
    query: Query,
    seen: IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let project = control.project(name.parse()?).await?;
    shown(&ProjectView::of(&project), project.revision, &seen)
}

pub(super) async fn change(
    State(control): State<Control>,
    admin: Admin,
    name: Named,
    query: Query,
    IfMatch(seen): IfMatch,
    body: Json,
) -> Result<Response<Body>, Problem> {
    query.end()?;
    let name = name.parse()?;
    let mut members = body.members();
    let label = members.optional("label", parsed::<Label>);
    let label = members.finish(|| Some(label))?;
    let project = control
        .change_project(admin.actor(), name, seen, label)
        .await?;
    shown(
        &ProjectView::of(&project),
        project.revision,
        &IfNoneMatch::default(),
    )
}
