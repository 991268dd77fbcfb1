//! `/v1/audit`: who changed what.

use axum::body::Body;
use axum::extract::State;
use http::Response;
use store::AuditQuery;

use super::answer::listed;
use super::query::{MAX_PAGE, Query, words};
use super::views::AuditView;
use crate::serve::control::{Control, Problem};

pub(super) async fn list(
    State(control): State<Control>,
    mut query: Query,
) -> Result<Response<Body>, Problem> {
    let (limit, before): (usize, Option<Before>) = query.page(MAX_PAGE);
    let object = query.optional("object", words);
    let actor = query.optional("actor", words);
    let action = query.optional("action", words);
    query.end()?;
    let page = control
        .read(move |store| {
            Ok(store.audit(&AuditQuery {
                object: object.as_deref(),
                actor: actor.as_deref(),
                action: action.as_deref(),
                before: before.map(|Before(seq)| seq),
                limit,
            })?)
        })
        .await?;
    let entries: Vec<_> = page.entries.into_iter().map(AuditView::of).collect();
    let next = page.next.map(|next| format!("a{next}"));
    listed("entries", &entries, next)
}

/// Where the next page begins.
struct Before(i64);

impl std::str::FromStr for Before {
    type Err = store::CursorError;

    fn from_str(text: &str) -> Result<Self, store::CursorError> {
        let seq = text.strip_prefix('a').and_then(|seq| seq.parse().ok());
        seq.filter(|seq| *seq >= 0)
            .map(Self)
            .ok_or(store::CursorError)
    }
}
