//! `/v1/usage` and `/v1/keys/{id}/usage`: what was used, hour by hour, as JSON
//! for who looks and as CSV or JSON lines for who bills.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use engine::{KeyId, Name};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LINK, VARY};
use http::{Response, StatusCode};
use serde_json::json as value;
use store::{Cursor, Usage, UsageQuery};

use super::answer::{json, listed};
use super::form::Form;
use super::members::{shown_time, time_of};
use super::path::Named;
use super::query::{self, Query};
use crate::serve::control::{Control, Problem};
use crate::usage::view::{HEADS, UsageView, hour_from};

/// The most rows of an answer.
const MAX_ROWS: usize = 10_000;
/// The span of a key's own hours, where nobody says: two days.
const HOURS: u32 = 48;

pub(super) async fn list(
    State(control): State<Control>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let (limit, cursor): (usize, Option<Cursor>) = query.page(MAX_ROWS);
    let key: Option<KeyId> = query.optional("key", query::parsed);
    let project: Option<Name> = query.optional("project", query::parsed);
    let from = query.optional("from", time_of);
    let to = query.optional("to", time_of);
    let form = query.optional("format", |text| match text {
        "json" => Ok(Form::Json),
        "csv" => Ok(Form::Csv),
        "jsonl" => Ok(Form::Lines),
        _ => Err("json, csv or jsonl is wanted".into()),
    });
    let form = form.unwrap_or_else(|| Form::accepted(&headers));
    // What is billed must not grow afterwards.
    let only_final = query
        .optional("final", query::flag)
        .unwrap_or(form != Form::Json);
    query.end()?;
    let now = control.now();
    let again = Again {
        limit,
        key,
        project,
        from,
        to,
        form,
        only_final,
    };
    let (page, final_before) = control
        .read(move |store| {
            let final_before = store.usage_final_before(now)?.unwrap_or(0);
            let to_hour = to.map_or(u32::MAX, hour_from);
            let page = store.usage(&UsageQuery {
                key,
                project,
                from_hour: from.map_or(0, hour_from),
                to_hour: if only_final {
                    to_hour.min(final_before)
                } else {
                    to_hour
                },
                after: cursor.as_ref(),
                limit,
            })?;
            Ok((page, final_before))
        })
        .await?;
    let next = page.next.map(|next| next.to_string());
    let mut answer = match form {
        Form::Json => {
            let rows = page.rows.iter().map(|row| UsageView::of(row, final_before));
            let rows: Vec<_> = rows.collect();
            listed("usage", &rows, next.clone())?
        }
        Form::Csv => text(form, csv(&page.rows, final_before)?),
        Form::Lines => text(form, lines(&page.rows, final_before)?),
    };
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    if let Some(next) = next {
        let link = format!("<{}>; rel=\"next\"", again.link(&next));
        headers.insert(
            LINK,
            HeaderValue::try_from(link).map_err(Problem::internal)?,
        );
    }
    Ok(answer)
}

pub(super) async fn of_key(
    State(control): State<Control>,
    id: Named,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let from = query.optional("from", time_of);
    let to = query.optional("to", time_of);
    query.end()?;
    let id: KeyId = id.parse()?;
    let now = control.now();
    let to_hour = hour_from(to.unwrap_or(now.saturating_add(1)));
    let from_hour = from.map_or(to_hour.saturating_sub(HOURS), hour_from);
    let (hours, last_used, final_before) = control
        .read(move |store| {
            store.key(id)?;
            let hours = store.usage_by_hour(&UsageQuery {
                key: Some(id),
                from_hour,
                to_hour,
                ..UsageQuery::default()
            })?;
            let final_before = store.usage_final_before(now)?.unwrap_or(0);
            Ok((hours, store.last_used(id)?, final_before))
        })
        .await?;
    let hours: Vec<_> = hours
        .into_iter()
        .map(|(hour, units)| {
            value!({
                "hour": shown_time(u64::from(hour) * 3600),
                "units": units,
                "final": hour < final_before,
            })
        })
        .collect();
    json(
        StatusCode::OK,
        &value!({
            "key": id.to_string(),
            "last_used_at": last_used.map(shown_time),
            "hours": hours,
        }),
    )
}

fn text(form: Form, body: String) -> Response<Body> {
    let mut answer = body.into_response();
    let media_type = HeaderValue::from_static(form.media_type());
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}

/// The rows as CSV, the first line naming the columns.
fn csv(rows: &[Usage], final_before: u32) -> Result<String, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADS).map_err(Problem::internal)?;
    for row in rows {
        let row = UsageView::of(row, final_before).row();
        writer.write_record(row).map_err(Problem::internal)?;
    }
    let bytes = writer.into_inner().map_err(Problem::internal)?;
    String::from_utf8(bytes).map_err(Problem::internal)
}

/// The rows as JSON, one a line.
fn lines(rows: &[Usage], final_before: u32) -> Result<String, Problem> {
    let mut lines = String::new();
    for row in rows {
        let row = UsageView::of(row, final_before);
        lines.push_str(&serde_json::to_string(&row).map_err(Problem::internal)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// A request as it is made for the next page.
struct Again {
    limit: usize,
    key: Option<KeyId>,
    project: Option<Name>,
    from: Option<u64>,
    to: Option<u64>,
    form: Form,
    only_final: bool,
}

impl Again {
    fn link(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(key) = self.key {
            query.append_pair("key", &key.to_string());
        }
        if let Some(project) = self.project {
            query.append_pair("project", project.as_str());
        }
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                query.append_pair(name, &shown_time(time));
            }
        }
        let form = match self.form {
            Form::Json => "json",
            Form::Csv => "csv",
            Form::Lines => "jsonl",
        };
        query.append_pair("format", form);
        query.append_pair("final", if self.only_final { "true" } else { "false" });
        query.append_pair("cursor", cursor);
        format!("/v1/usage?{}", query.finish())
    }
}
