//! What a path names. A name that nothing can have is as good as one that
//! nothing has: 404.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::serve::control::{Control, Problem};

/// The one parameter of a path, without its percent signs.
pub(super) struct Named(String);

impl FromRequestParts<Control> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, control).await;
        let params = params.map_err(|_| nothing())?;
        params
            .iter()
            .next()
            .map(|(_, value)| Self(value.into()))
            .ok_or_else(nothing)
    }
}

impl Named {
    /// The parameter as a value.
    ///
    /// # Errors
    ///
    /// 404 where it is none.
    pub(super) fn parse<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        self.0.parse().map_err(|_| nothing())
    }
}

fn nothing() -> Problem {
    Problem::not_found("There is nothing of this name.")
}
