//! What handlers take from a request, checked.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use super::Control;
use super::door::{Admin, Visit};
use super::problem::Problem;

/// The longest body, in bytes.
const MAX_BODY: usize = 65_536;
/// The longest form of who is signed in: it holds all of a key's lists, which the
/// command line and an import let become long.
const MAX_FORM: usize = 1 << 20;

/// Who sends a request to the API: only what has passed the door comes here.
impl FromRequestParts<Control> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Problem> {
        let admin = parts.extensions.get::<Self>().cloned();
        // No handler of the API is reached past the door; were one, it would
        // stay closed.
        admin.ok_or_else(|| Problem::unauthorized("missing_token", "An admin token is wanted."))
    }
}

/// Whoever is signed in to the pages. Anybody else is shown to where one signs
/// in.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn(pub(crate) Visit);

impl FromRequestParts<Control> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Response> {
        let visit = control.door().visit(&parts.headers);
        visit
            .map(Self)
            .ok_or_else(|| crate::serve::pages::to_sign_in(parts))
    }
}

impl SignedIn {
    /// Who it is.
    pub(crate) fn admin(&self) -> &Admin {
        &self.0.admin
    }

    /// Lets through a form that a page of ours showed to this visitor.
    ///
    /// # Errors
    ///
    /// 403 where the form's `csrf` is not this visitor's.
    pub(crate) fn sent(&self, control: &Control, csrf: &str) -> Result<(), Problem> {
        if control.door().is_same(self.0.csrf(), csrf) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "stale_form",
            "This form was shown to somebody else, or before you signed in again: \
             go back and load the page anew.",
        ))
    }

    /// The same, where the visitor may change things: every handler of a `POST`
    /// that changes any calls it before anything else.
    ///
    /// # Errors
    ///
    /// As [`sent`](Self::sent), and 403 where the token by which they signed in
    /// is of scope `read`.
    pub(crate) fn may_change(&self, control: &Control, csrf: &str) -> Result<&Admin, Problem> {
        self.sent(control, csrf)?;
        self.admin().may_write()?;
        Ok(self.admin())
    }
}

/// A whole body of a bounded size.
pub(crate) struct Whole(pub(crate) Bytes);

impl FromRequest<Control> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &Control) -> Result<Self, Problem> {
        whole(request, MAX_BODY).await.map(Self)
    }
}

async fn whole(request: Request<Body>, most: usize) -> Result<Bytes, Problem> {
    match Limited::new(request.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("A body of at most {most} bytes is taken."),
        )),
        Err(_) => Err(Problem::bad_request("The body broke off.")),
    }
}

/// The fields of a form (`application/x-www-form-urlencoded`), in their order.
pub(crate) struct Form(Vec<(String, String)>);

impl FromRequest<Control> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, control: &Control) -> Result<Self, Problem> {
        wants_type(&request, "application/x-www-form-urlencoded")?;
        let is_known = control.door().visit(request.headers()).is_some();
        let most = if is_known { MAX_FORM } else { MAX_BODY };
        let body = whole(request, most).await?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

impl Form {
    /// The one value of a field; empty where there is none or there are several.
    pub(crate) fn field<'a>(&'a self, name: &'a str) -> &'a str {
        let mut found = self.all(name);
        match (found.next(), found.next()) {
            (Some(value), None) => value,
            _ => "",
        }
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Refuses a body of another media type.
///
/// # Errors
///
/// 415, which names the one that is wanted.
pub(crate) fn wants_type(request: &Request<Body>, wanted: &'static str) -> Result<(), Problem> {
    let given = request.headers().get(CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "media_type",
        format!("The body's Content-Type has to be {wanted}."),
    ))
}
