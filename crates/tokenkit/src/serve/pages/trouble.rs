//! Pages for what could not be done: they say what to do next.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::shell;
use crate::serve::control::Problem;

/// The page of a problem, for who can read one. It stands alone, as it may be
/// shown to anybody.
pub(crate) fn page(problem: &Problem) -> Response {
    let status = problem.status();
    let title = match status {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => "Not as you saw it",
        StatusCode::METHOD_NOT_ALLOWED => "Not in this way",
        StatusCode::PAYLOAD_TOO_LARGE => "Too much",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        StatusCode::INTERNAL_SERVER_ERROR => "Something failed",
        _ => "That did not work",
    };
    let mut answer = shell::bare(
        status,
        title,
        &html! {
            h1 { (title) }
            p { (problem.detail()) }
            ul {
                @for fault in problem.faults() { li { (fault.detail) } }
            }
            p.quiet { "Status " (status.as_u16()) ", reason " code { (problem.reason()) } "." }
            p { a.button href="/" { "To the first page" } }
        },
    );
    answer
        .headers_mut()
        .extend(problem.headers().iter().cloned());
    answer
}
