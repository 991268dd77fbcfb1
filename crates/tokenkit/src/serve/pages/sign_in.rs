//! Signing in and out.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use engine_hyper::PeerAddr;
use http::header::{COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{Method, StatusCode};
use maud::html;

use super::{parts, shell};
use crate::serve::control::{Control, Form, Problem, SignedIn};

const PATH: &str = "/sign-in";

pub(super) fn router() -> Router<Control> {
    Router::new()
        .route(PATH, get(show).post(sign_in))
        .route("/sign-out", post(sign_out))
}

/// The way to where one signs in, for who is not signed in (any more). What
/// they wanted to look at is shown after that.
pub(crate) fn to_sign_in(parts: &Parts) -> Response {
    let wanted = match parts.method {
        Method::GET => parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        // A form is not sent again.
        _ => "/",
    };
    let why = match parts.headers.contains_key(COOKIE) || parts.method != Method::GET {
        true => "ended",
        false => "",
    };
    let wanted = if wanted == "/" { "" } else { wanted };
    Redirect::to(&parts::address(PATH, &[("to", wanted), ("why", why)])).into_response()
}

/// A path of ours, from what a query or a form says; the first page for
/// anything else.
fn own_path(text: &str) -> &str {
    // `//host` and `/\host` are other hosts' to a browser.
    let is_own = text.starts_with('/')
        && !text.starts_with("//")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && text.len() <= 2000
        && !text.starts_with(PATH);
    if is_own { text } else { "/" }
}

/// What the form holds besides the token.
struct Ask<'a> {
    to: &'a str,
    notice: Option<&'a str>,
    fault: Option<&'a str>,
}

fn page(status: StatusCode, ask: &Ask<'_>) -> Response {
    shell::bare(
        status,
        "Sign in",
        &html! {
            h1 { "Sign in" }
            @if let Some(notice) = ask.notice { (parts::note("", &html! { p { (notice) } })) }
            form method="post" action=(PATH) {
                input type="hidden" name="to" value=(ask.to);
                // By this name a browser keeps the token, where it is asked to.
                input type="text" name="username" value="admin" autocomplete="username" hidden;
                div.field {
                    label for="token" { "Admin token" }
                    p.hint id="token-hint" {
                        "Begins with " code { "tk_admin_" } ". "
                        code { "tokenkit admin token create" } " makes one."
                    }
                    @if let Some(fault) = ask.fault { p.fault id="token-fault" role="alert" { (fault) } }
                    input type="password" id="token" name="token" autocomplete="current-password"
                        autocapitalize="none" spellcheck="false" autofocus
                        aria-required="true" aria-invalid=[ask.fault.map(|_| "true")]
                        aria-describedby=(if ask.fault.is_some() { "token-hint token-fault" } else { "token-hint" });
                }
                button.main type="submit" { "Sign in" }
            }
        },
    )
}

async fn show(
    State(control): State<Control>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (mut to, mut notice) = (String::new(), None);
    for (name, value) in &mut pairs {
        match (&*name, &*value) {
            ("to", _) => to = value.into_owned(),
            ("why", "ended") => notice = Some("You are signed out, by now: sign in again."),
            ("why", "out") => notice = Some("You are signed out."),
            _ => {}
        }
    }
    let to = own_path(&to);
    if control.door().visit(&headers).is_some() {
        return Redirect::to(to).into_response();
    }
    page(
        StatusCode::OK,
        &Ask {
            to,
            notice,
            fault: None,
        },
    )
}

async fn sign_in(
    State(control): State<Control>,
    axum::Extension(PeerAddr(peer)): axum::Extension<PeerAddr>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let to = own_path(form.field("to"));
    let client = control.client(peer, &headers);
    let problem = match control.door().sign_in(client, form.field("token")) {
        Ok(cookie) => return with_cookie(Redirect::to(to).into_response(), &cookie),
        Err(problem) => problem,
    };
    let wait = problem
        .header(&RETRY_AFTER)
        .and_then(|wait| wait.to_str().ok());
    let fault = match (problem.reason(), wait) {
        ("missing_token", _) => "Enter your admin token.".to_owned(),
        (_, Some(wait)) if problem.status() == StatusCode::TOO_MANY_REQUESTS => {
            format!("Too many wrong tokens came from your address. Try again in {wait} seconds.")
        }
        _ => format!("{} Look whether it is whole.", problem.detail()),
    };
    let mut answer = page(
        problem.status(),
        &Ask {
            to,
            notice: None,
            fault: Some(&fault),
        },
    );
    if let Some(wait) = problem.header(&RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    answer
}

async fn sign_out(
    State(control): State<Control>,
    visit: SignedIn,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    visit.sent(&control, form.field("csrf"))?;
    let cookie = control.door().sign_out(&headers);
    Ok(with_cookie(
        Redirect::to("/sign-in?why=out").into_response(),
        &cookie,
    ))
}

fn with_cookie(mut answer: Response, cookie: &str) -> Response {
    // It is made of letters, digits and our own signs.
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().insert(SET_COOKIE, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_gone_to() {
        for own in ["/", "/keys", "/keys?q=a%20b&after=k1"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "keys",
            "//evil.example.com",
            "/\\evil.example.com",
            "https://evil.example.com/",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/a b",
            "/\t/evil.example.com",
            "/sign-in?to=/sign-in",
        ] {
            assert_eq!(own_path(other), "/", "{other}");
        }
    }
}
