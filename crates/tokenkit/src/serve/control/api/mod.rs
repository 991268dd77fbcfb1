//! The admin API: JSON under `/v1`.

use axum::Router;

use super::Control;

/// All of the API.
pub(crate) fn router() -> Router<Control> {
    Router::new()
}
