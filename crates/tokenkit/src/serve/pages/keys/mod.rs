//! Settings → API keys.

mod change;
mod list;
mod minted;
mod new;
mod one;
mod policy;
mod rotate;
mod state;
mod usage;

use axum::Router;
use axum::routing::{get, post};
use engine::{KeyId, KeyState};
use maud::{Markup, html};
use store::StoredKey;

use crate::serve::control::{Control, Form, Precondition, Problem};
use crate::serve::pages::fields;

pub(super) use self::policy::expiry;

pub(super) const PATH: &str = "/keys";

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(list::show).post(new::create))
        .route("/keys/new", get(new::show))
        .route("/keys/{id}", get(one::show))
        .route("/keys/{id}/change", get(change::show).post(change::change))
        .route("/keys/{id}/rotate", get(rotate::show).post(rotate::rotate))
        .route("/keys/{id}/disable", post(state::disable))
        .route("/keys/{id}/enable", post(state::enable))
        .route(
            "/keys/{id}/revoke",
            get(state::ask_revoke).post(state::revoke),
        )
}

/// The id in an address.
fn id(text: &str) -> Result<KeyId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("There is no such key."))
}

/// A key.
async fn key(control: &Control, id: KeyId) -> Result<StoredKey, Problem> {
    control.keeper().read(move |store| Ok(store.key(id)?)).await
}

/// A key for a form that is shown again. What it was when they began stays what
/// they go by.
async fn key_again(control: &Control, id: KeyId, sent: &Form) -> Result<StoredKey, Problem> {
    Ok(StoredKey {
        revision: fields::revision(sent)?,
        ..key(control, id).await?
    })
}

/// What a form's change goes by: the key as it was shown.
fn seen(sent: &Form) -> Result<Precondition, Problem> {
    Ok(Precondition::OneOf(vec![fields::revision(sent)?]))
}

/// What people call a key; its id where they call it nothing.
fn name(key: &StoredKey) -> String {
    match key.label.as_str() {
        "" => key.record.id.to_string(),
        label => label.to_owned(),
    }
}

/// A key's state as a badge, in a word besides the colour.
fn badge(key: &StoredKey, now: u64) -> Markup {
    let policy = &key.record.policy;
    let has_expired = policy
        .expires_at
        .is_some_and(|expires_at| expires_at <= now);
    let (class, word) = match policy.state {
        KeyState::Revoked => ("bad", "revoked"),
        KeyState::Disabled => ("warn", "disabled"),
        KeyState::Active if has_expired => ("warn", "expired"),
        KeyState::Active => ("good", "active"),
    };
    html! { span class={ "badge " (class) } { (word) } }
}

/// The names of the first projects, for fields where one is wanted.
pub(super) fn project_list(names: &[String]) -> Markup {
    html! { datalist id="projects" { @for name in names { option value=(name) {} } } }
}

/// The projects that are offered: more than anybody scrolls through.
const OFFERED: usize = 200;

/// The names of the first projects.
pub(super) async fn project_names(control: &Control) -> Result<Vec<String>, Problem> {
    let look = |store: &store::Store| {
        let page = store.projects(None, OFFERED)?;
        Ok(page
            .projects
            .into_iter()
            .map(|project| project.name.to_string())
            .collect())
    };
    control.keeper().read(look).await
}
